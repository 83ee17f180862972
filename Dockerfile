# syntax=docker/dockerfile:1
# CPU:   docker build -t aotlab .
# CUDA:  docker build -t aotlab:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
# Run:   docker run --rm -v "$PWD:/work" -v aotlab-cache:/home/aotlab/.cache --user "$(id -u):$(id -g)" \
#          aotlab track video.mp4 --mask first.png --output results/video
#        --user makes the results yours; the volume keeps downloaded checkpoints. For the CUDA image, add --gpus all.
# Page:  the same with -p 127.0.0.1:8419:8419 aotlab annotate video.mp4 --host 0.0.0.0 --port 8419 --no-browser
# PyAV's wheel contains FFmpeg with x264 and x265, which are under the GPL; comply with it if you redistribute an image.
FROM python:3.12-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/aotlab
ENV PATH=/opt/aotlab/bin:$PATH
# hadolint ignore=DL3013
RUN pip install --no-cache-dir torch torchvision --index-url "$TORCH_INDEX"
COPY . /source
ARG EXTRAS=all
WORKDIR /source/packages
RUN pip install --no-cache-dir "/source[$EXTRAS]" "./video[images,ocio]" ./studio ./compositing "./trackers[vot]" ./runtime

FROM python:3.12-slim
COPY --from=build /opt/aotlab /opt/aotlab
ENV PATH=/opt/aotlab/bin:$PATH \
    HOME=/home/aotlab \
    PYTHONUNBUFFERED=1
# Any user id may write to the home folder, which holds caches only, and to a new volume, which gets the folder's mode.
RUN useradd --uid 1000 --create-home --home-dir /home/aotlab aotlab \
    && mkdir /home/aotlab/.cache && chmod 1777 /home/aotlab /home/aotlab/.cache
USER 1000
WORKDIR /work
EXPOSE 8419
ENTRYPOINT ["aotlab"]
CMD ["--help"]
