"""Small video files."""

from contextlib import closing
from fractions import Fraction

import av
import numpy as np

from aotlab.media.video_writer import VideoWriter

RATE, SAMPLES, SECONDS = 10, 16000, 3
"""Of `film`."""
QUARTER_TURN = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
"""Display matrix of a phone video: the stored image is turned to the right to be shown."""


def draw_smooth(height, width, frames=5):
    """Draw frames T×H×W×3 without fine detail, which compression hardly changes."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([255 * x / width, 255 * y / height, np.full_like(x, 90)], axis=-1).astype(int)
    return np.stack([np.clip(ramp - 6 * index, 0, 255).astype(np.uint8) for index in range(frames)])


def write_video(path, frames, rate=Fraction(24), times=None, sound=None):
    """Write frames as overlays are written, at ``times`` in seconds or by the rate; return the path."""
    with closing(VideoWriter(path, rate=rate, size=frames[0].shape[:2], sound=sound)) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index / rate if times is None else times[index])
    return path


CLOCK_JUMPS = (7 * 3600, 10**6, 10**9, -3600)
"""Seconds by which the clock of a camera jumps."""


def list_jump_times(jump):
    """Return the times of 8 frames, with a jump before the fifth."""
    return [Fraction(index, 24) + (jump if index >= 4 else 0) for index in range(8)]


def require_jump_kept(source, jump):
    """Check the 8 frames of a video that was written with `list_jump_times`, whose gray increases."""
    grays = [int(frame.mean()) for frame in source]
    assert len(grays) == 8
    assert grays == sorted(grays)
    times = [source.time(index) for index in range(8)]
    assert times == sorted(times)
    assert times[-1] < 2 * 3600
    if jump > 0:
        assert abs(times[7] - times[4] - Fraction(3, 24)) < Fraction(1, 100)


def encode(path, codec, images, *, rate=24, times=None, container=None, tags=None, **options):
    """Encode images H×W×3 with options of the encoder, and return the path.

    Args:
        times: seconds at which the images are shown; None: by the rate.
        container: FFmpeg's name of the format; None: by the name of the file.
    """
    header_first = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", format=container, options=header_first) as file:
        file.metadata.update(tags or {})
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=stream.pix_fmt)
            if times:
                frame.pts, frame.time_base = round(times[index] * 1000), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


CONTAINERS = {
    "mp4": "libx264", "mkv": "libx264", "mov": "mpeg4", "avi": "mpeg4", "ts": "libx264", "webm": "libvpx", "gif": "gif",
}  # fmt: skip


TEXTURE = np.kron(np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))


def write_texture(path, codec="libx264", count=40, tags=None, gop=None):
    """Write a small video of a texture that moves; ``gop``: frames from one key frame to the next."""
    options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx" else {}
    if gop:
        options["g"] = str(gop)
    return encode(path, codec, [np.roll(TEXTURE, 3 * index, 1) for index in range(count)], tags=tags, **options)


def set_display_matrix(path, matrix):
    """Overwrite the display matrix in the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    content[start : start + 36] = np.array(matrix, dtype=">i4").tobytes()
    path.write_bytes(content)


def set_frame_count(path, count):
    """Overwrite the number of frames in the header of an AVI file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"strh") + 40
    content[start : start + 4] = count.to_bytes(4, "little")
    path.write_bytes(content)


def write_gray(path, count=6):
    """Write a small video of gray frames that get brighter, which can be read from a pipe; return the path."""
    grays = [np.full((48, 64, 3), 40 + 20 * (index % 8), np.uint8) for index in range(count)]
    return encode(path, "mpeg4", grays, rate=12)


def film(path, codec="aac", delay=0.0):
    """Write gray frames with a click of 0.1 s at 1 s and at 2 s; ``delay`` moves images and sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        audio = container.add_stream(codec, rate=SAMPLES, layout="mono")
        for index in range(SECONDS * RATE):
            frame = av.VideoFrame(48, 32, "yuv420p")
            frame.pts, frame.time_base = index + round(delay * RATE), Fraction(1, RATE)
            container.mux(video.encode(frame))
        time = np.arange(SECONDS * SAMPLES) / SAMPLES
        loud = ((time % 1 < 0.1) & (time >= 1)) * np.sin(2000 * time) * 0.8
        for start in range(0, len(loud), 1024):
            samples = (loud[start : start + 1024] * 32767).astype(np.int16)[None]
            piece = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            piece.sample_rate, piece.time_base = SAMPLES, Fraction(1, SAMPLES)
            piece.pts = start + round(delay * SAMPLES)
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def find_clicks(path):
    """Return the seconds from the first frame at which it becomes loud, and the codec of the sound."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    times, values = [], []
    with av.open(str(path)) as container:
        codec = container.streams.audio[0].codec_context.name
        for frame in container.decode(audio=0):
            sound = frame.to_ndarray().astype(np.float64).reshape(-1)
            values.append(sound / 32768 if frame.format.name.startswith("s16") else sound)
            times.append(float(frame.pts * frame.time_base) + np.arange(len(sound)) / frame.sample_rate)
    loud = np.concatenate(times)[np.abs(np.concatenate(values)) > 0.2] - float(first.pts * first.time_base)
    return loud[np.diff(loud, prepend=-1) > 0.3].tolist(), codec
