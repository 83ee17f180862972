"""Sources with all depths and colors, and readers of RGB that share nothing with aotlab's."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import OpenEXR
import tifffile

SIZE, COUNT, RATE = (48, 64), 3, 24
LUMA = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 5: (0.299, 0.114), 6: (0.299, 0.114), 2: (0.299, 0.114)}
"""Parts of red and blue in the brightness by FFmpeg's number of the matrix."""
FULL = 2


def draw_ramps(index=0):
    """Draw H×W×3 float64 from 0 to 1: smooth ramps, so that 4:2:0 and compression change little."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / (np.array(SIZE)[:, None, None] - 1)
    return np.stack([columns, rows, (0.3 + 0.1 * index + 0.4 * rows * columns)], axis=-1)


@dataclass(frozen=True)
class PlateFile:
    """A kind of source: how it is written, and its colors."""

    write: Callable
    is_video: bool = False
    is_linear: bool = False


def write_images(folder, write):
    folder.mkdir()
    for index in range(COUNT):
        write(folder / f"f.{index + 1001}", draw_ramps(index))
    return folder


def write_png(path, rgb, kind):
    codes = (rgb * np.iinfo(kind).max).round().astype(kind)
    cv2.imwrite(f"{path}.png", codes[..., ::-1])


def write_tiff(path, rgb):
    tifffile.imwrite(f"{path}.tif", (rgb * 65535).round().astype(np.uint16), photometric="rgb", compression="zlib")


def write_exr(path, rgb, kind):
    """Write linear light up to 4, with a data window that is larger on the left and smaller below."""
    height, width = SIZE
    light = np.pad(4 * rgb**2, ((0, 0), (2, 0), (0, 0)), mode="edge")[:-3].astype(kind)
    header = {
        "dataWindow": (np.array([-2, 0], np.int32), np.array([width - 1, height - 4], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([width - 1, height - 1], np.int32)),
        "framesPerSecond": Fraction(RATE),
        "timeCode": OpenEXR.TimeCode(1, 2, 3, 4 + int(path.name[2:]) - 1001, *[False] * 6, *[0] * 8),
    }
    depth = np.linspace(0, 9, light[..., 0].size, dtype=np.float32).reshape(light.shape[:2])
    OpenEXR.File(header, {"RGB": light, "Z": depth}).write(f"{path}.exr")


def write_film(
    folder,
    layout,
    codec="ffv1",
    *,
    tags=(1, 1, 1),
    full=False,
    timecode=None,
    suffix="mkv",
    aspect=1,
    times=range(COUNT),
    **options,
):
    """Write a video with these primaries, transfer function and matrix, and times in frames; return its path."""
    folder.mkdir()
    path = folder / f"film.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.height, stream.width, stream.pix_fmt = *SIZE, layout
        if timecode:
            stream.metadata["timecode"] = timecode
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(aspect)
        context.color_primaries, context.color_trc, context.colorspace = tags
        context.color_range = FULL if full else 1
        for index in range(COUNT):
            frame = encode_yuv(draw_ramps(index), layout, tags, full=full)
            frame.pts, frame.time_base = times[index], Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def encode_yuv(rgb, layout, tags, *, full=False):
    """Return a frame with the rounded codes of H×W×3 RGB; colors of 4:2:0 are averages."""
    frame = av.VideoFrame(SIZE[1], SIZE[0], layout)
    depth = frame.format.components[0].bits
    red, blue = LUMA[tags[2]]
    y = rgb @ [red, 1 - red - blue, blue]
    planes = [y, (rgb[..., 2] - y) / (2 - 2 * blue), (rgb[..., 0] - y) / (2 - 2 * red)]
    step = 2 ** (depth - 8)
    for plane, values, is_color in zip(frame.planes, planes, (False, True, True), strict=True):
        rows, columns = SIZE[0] // plane.height, SIZE[1] // plane.width
        values = values.reshape(plane.height, rows, plane.width, columns).mean((1, 3))
        scale, shift = (2**depth - 1, 0) if full else ((224 if is_color else 219) * step, 16 * step)
        shift = 128 * step if is_color else shift
        kind = np.uint8 if depth == 8 else np.uint16
        codes = (values * scale + shift).round().clip(0, 2**depth - 1)
        np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width] = codes
    frame.color_primaries, frame.color_trc, frame.colorspace = tags
    frame.color_range = FULL if full else 1
    return frame


def decode_yuv(frame):
    """Return H×W×3 float64 RGB of a frame by its own matrix and range.

    Colors of 4:2:0 and 4:2:2 lie on the first of two pixels; those between two rows are interpolated by FFmpeg.
    """
    depth = frame.format.components[0].bits
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    is_wide = frame.format.chroma_width(frame.width) < frame.width
    same = frame.reformat(
        format=f"yuv{'422' if is_wide else '444'}p16le", src_color_range=1 + full, dst_color_range=1 + full
    )
    step = 2 ** (depth - 8)
    y, u, v = (np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width] / 2 ** (16 - depth) for p in same.planes)
    if frame.format.is_planar:  # FFmpeg may scale Y of full range by more than that
        plane = frame.planes[0]
        codes = np.frombuffer(plane, np.uint8 if depth == 8 else np.uint16).reshape(plane.height, -1)
        y = codes[:, : plane.width].astype(float)
    if is_wide:
        x = np.arange(y.shape[1])
        u, v = (np.stack([np.interp(x, x[::2], row) for row in plane]) for plane in (u, v))
    y = y / (2**depth - 1) if full else (y - 16 * step) / (219 * step)
    u, v = ((plane - 128 * step) / (2**depth - 1 if full else 224 * step) for plane in (u, v))
    red, blue = LUMA[frame.colorspace]
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=-1)


def read_rgb(path: Path) -> list[np.ndarray]:
    """Return the RGB of all frames of a file or folder, H×W×3 float64: white is 1; EXR as stored, display window."""
    if path.is_dir():
        return [_read_image(file) for file in sorted(path.iterdir())]
    with av.open(str(path)) as container:
        return [decode_yuv(frame) for frame in container.decode(video=0)]


def _read_image(path):
    if path.suffix == ".exr":
        with OpenEXR.File(str(path), separate_channels=True) as file:
            pixels, header = {name: item.pixels for name, item in file.channels().items()}, dict(file.header())
        rgb = np.stack([pixels[name] for name in "RGB"], axis=-1).astype(float)
        left, top = header["dataWindow"][0]
        shown = np.zeros((*SIZE, 3))
        window = rgb[max(0, -top) :, max(0, -left) :][: SIZE[0], : SIZE[1]]
        shown[: window.shape[0], : window.shape[1]] = window
        return shown
    values = tifffile.imread(path) if path.suffix == ".tif" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    values = values[..., :3] if path.suffix == ".tif" else values[..., 2::-1]
    return values / np.iinfo(values.dtype).max


def encode_display(light):
    """Return linear light as a display shows it: clipped, with the sRGB curve."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


PLATE_FILES = {
    "8-bit PNG": PlateFile(lambda path: write_images(path, lambda p, rgb: write_png(p, rgb, np.uint8))),
    "16-bit PNG": PlateFile(lambda path: write_images(path, lambda p, rgb: write_png(p, rgb, np.uint16))),
    "16-bit TIFF": PlateFile(lambda path: write_images(path, write_tiff)),
    "half EXR": PlateFile(
        lambda path: write_images(path, lambda p, rgb: write_exr(p, rgb, np.float16)), is_linear=True
    ),
    "float EXR": PlateFile(
        lambda path: write_images(path, lambda p, rgb: write_exr(p, rgb, np.float32)), is_linear=True
    ),
    "8-bit full-range video": PlateFile(
        lambda path: write_film(path, "yuv420p", full=True), True
    ),
    "10-bit PQ video": PlateFile(
        lambda path: write_film(path, "yuv420p10le", tags=(9, 16, 9)), True
    ),
    "12-bit HLG video": PlateFile(
        lambda path: write_film(path, "yuv444p12le", tags=(9, 18, 9)), True
    ),
    "10-bit full-range video": PlateFile(
        lambda path: write_film(path, "yuv422p10le", full=True), True
    ),
}  # fmt: skip
"""Kinds of sources by name."""
