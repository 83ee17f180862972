# syntax=docker/dockerfile:1
# CPU:   docker build -t aotlab .
# CUDA:  docker build -t aotlab:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# Run:   docker run --rm -v "$PWD:/work" aotlab track video.mp4 --mask first.png --output results/video
#        With --gpus all and --device cuda for the CUDA image; add --user "$(id -u):$(id -g)" to own the results.
# PyAV's wheel brings FFmpeg with x264 and x265: an image that is passed on is under the GPL in that part.
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
