# syntax=docker/dockerfile:1
# CPU:   docker build -t aotlab .
# CUDA:  docker build -t aotlab:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# Run:   docker run --rm -v "$PWD:/work" aotlab track video.mp4 --mask first.png --output results/video
#        For the CUDA image, add --gpus all and --device cuda. To own the results, add --user "$(id -u):$(id -g)".
# PyAV's wheel contains FFmpeg with x264 and x265, which are under the GPL; comply with it if you redistribute an image.
FROM python:3.12-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/aotlab
ENV PATH=/opt/aotlab/bin:$PATH
# hadolint ignore=DL3013
RUN pip install --no-cache-dir torch torchvision --index-url "$TORCH_INDEX"
COPY . /source
ARG EXTRAS=all
RUN pip install --no-cache-dir "/source[$EXTRAS]" /source/studio /source/runtime

FROM python:3.12-slim
COPY --from=build /opt/aotlab /opt/aotlab
ENV PATH=/opt/aotlab/bin:$PATH \
    HOME=/home/aotlab \
    PYTHONUNBUFFERED=1
# Any user id may write to the home folder, which holds caches only.
RUN useradd --uid 1000 --create-home --home-dir /home/aotlab aotlab && chmod 1777 /home/aotlab
USER 1000
WORKDIR /work
ENTRYPOINT ["aotlab"]
CMD ["--help"]
