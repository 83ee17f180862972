"""Small video files."""

from fractions import Fraction

import av
import numpy as np

QUARTER_TURN = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
"""Display matrix of a phone video: the stored image is turned to the right to be shown."""


def draw_smooth(height, width, frames=5):
    """Draw frames T×H×W×3 without fine detail, which compression hardly changes."""
    y, x = np.mgrid[0:height, 0:width]
    ramp = np.stack([255 * x / width, 255 * y / height, np.full_like(x, 90)], axis=-1).astype(int)
    return np.stack([np.clip(ramp - 6 * index, 0, 255).astype(np.uint8) for index in range(frames)])


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
