"""Colors of plates at their own depth: RGB, and the planes of video files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from aotlab_video import (
    BT709,
    ColorTags,
    ImagePlate,
    Plate,
    VideoPlate,
    apply_display_matrix,
    is_gray,
    is_rgb,
    to_deep_rgb,
)

if TYPE_CHECKING:
    import av

LIMITED_RANGE, FULL_RANGE = 1, 2
"""FFmpeg's numbers of YUV with black at 16 and white at 235 of 8 bits, and of YUV that uses all codes."""
LUMA = {BT709: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Parts of red and blue in the brightness, by FFmpeg's number of the matrix (ITU-T H.273)."""
BT601_LUMA = (0.299, 0.114)
"""Parts of red and blue for all other matrices, also unspecified ones, as in FFmpeg."""
CENTERED_CODECS = ("mjpeg", "mpeg1video")
"""Codecs whose colors lie between the pixels that share them; in others, they lie on the left ones."""
DEPTHS = (8, 9, 10, 12, 14, 16)
"""Bits of the planar formats that frames of video files are read in."""


class Planes(NamedTuple):
    """Brightness and colors of a frame as video files store them."""

    values: list[np.ndarray]
    """Y, U and V as H×W uint16, or float32 if interpolated."""
    depth: int
    """Bits of a value."""
    is_full: bool
    """Whether black and white are the smallest and largest code, instead of 16 and 235 of 8 bits."""
    tags: ColorTags

    def to_rgb(self) -> np.ndarray:
        """Return H×W×3 float32 RGB of 4:4:4 planes; white is 1, and values beyond black and white are not clipped."""
        red, blue = LUMA.get(self.tags.matrix, BT601_LUMA)
        green = 1 - red - blue
        colors = np.array([
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ])  # fmt: skip
        offsets, spans = zip(
            *(measure_range(self.depth, index > 0, is_full=self.is_full) for index in range(3)), strict=True
        )
        colors = colors / spans
        values = np.dstack(self.values).astype(np.float32)
        return np.asarray(cv2.transform(values, np.column_stack([colors, -colors @ offsets])))


def measure_range(depth: int, is_color: bool, *, is_full: bool) -> tuple[float, float]:
    """Return the code of black (of gray for a color plane), and the number of codes up to 1."""
    step = 2 ** (depth - 8)
    span = 2**depth - 1 if is_full else (224 if is_color else 219) * step
    return (128 * step if is_color else 0 if is_full else 16 * step), span


def widen(values: np.ndarray, width: int) -> np.ndarray:
    """Return a color plane that has less columns than the image at its width, H×W float32, interpolated.

    The first of 2 or 4 pixels has the stored color, see `read_planes`.
    """
    values, part = values.astype(np.float32), -(-width // values.shape[1])
    following = np.concatenate([values[:, 1:], values[:, -1:]], axis=1)
    steps = [values + (following - values) * np.float32(step / part) for step in range(part)]
    return np.stack(steps, axis=2).reshape(len(values), -1)[:, :width]


def read_rgb(plate: Plate) -> np.ndarray:
    """Return H×W×3 RGB as stored: uint8, uint16, or float16 and float32 of EXR and TIFF.

    Video files with more than 8 bits become uint16, in which 65535 is white. Colors are interpolated and rounded once;
    those of `Plate.to_image` are less exact, as FFmpeg is faster with its defaults.
    """
    if isinstance(plate, ImagePlate):
        return plate.values if plate.values.shape[2] == 3 else plate.values.repeat(3, axis=2)
    if not isinstance(plate, VideoPlate):
        return plate.to_image()
    if is_rgb(plate.frame):
        with plate.lock:
            return to_deep_rgb(plate.frame)
    kind = np.uint8 if read_depth(plate.frame) <= 8 else np.uint16
    white = np.iinfo(kind).max
    return (read_float_rgb(plate) * white).round().clip(0, white).astype(kind)


def read_float_rgb(plate: Plate) -> np.ndarray:
    """Return H×W×3 RGB in which white is 1: float16 and float32 as stored, else float32.

    YUV of video files is neither rounded nor clipped: codes above white and colors outside the gamut survive.
    """
    if (planes := read_planes(plate)) is not None:
        return planes.to_rgb()
    rgb = read_rgb(plate)
    if rgb.dtype.kind in "iu":
        return (rgb.astype(np.float64) / np.iinfo(rgb.dtype).max).astype(np.float32)
    return rgb if rgb.dtype == np.float16 else rgb.astype(np.float32)


def read_planes(plate: Plate) -> Planes | None:
    """Return Y, U and V of a plate at the depth of its video, or the next one of `DEPTHS`, in its range.

    They are in 4:4:4; None if the plate stores RGB. Colors that two columns share lie on the left one, as in MPEG-2,
    MPEG-4, H.264 and HEVC without a stated location, and in ITU-R BT.601 and BT.709; of two rows, they lie between, or
    where the file states, which libswscale reads. In MPEG-1 and JPEG, they lie between both. A stated horizontal
    location is not read: PyAV lacks it, and libswscale takes all for centered.
    """
    if not isinstance(plate, VideoPlate) or is_rgb(plate.frame):
        return None
    frame, stored = plate.frame, read_depth(plate.frame)
    depth = next(depth for depth in DEPTHS if depth >= stored)
    suffix = "" if depth == 8 else f"{depth}le"
    has_gray = is_gray(frame)  # full range, by FFmpeg
    is_full = has_gray or frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    with plate.lock:
        if has_gray:
            gray = view_plane(frame.reformat(format=f"gray{suffix}", threads=1), 0).astype(np.uint16)
            neutral = np.full(gray.shape, 128 << (depth - 8), np.uint16)
            values = [gray, neutral, neutral]
        else:
            kind = FULL_RANGE if is_full else LIMITED_RANGE

            def read(layout: str) -> list[np.ndarray]:
                same = frame.reformat(format=layout, threads=1, src_color_range=kind, dst_color_range=kind)
                return [view_plane(same, index).astype(np.uint16) for index in range(3)]

            part = round(frame.width / frame.format.chroma_width(frame.width))
            is_low = frame.format.chroma_height(frame.height) < frame.height
            is_left = part == 2 and plate.codec not in CENTERED_CODECS
            if not is_low and (part == 1 or is_left):
                # at the same depth: libswscale fills the low bits of a deeper Y by repeating it, in full range
                values = read(f"yuv{444 if part == 1 else 422}p{suffix}")
            elif part == 4 and not is_low:
                values = read("yuv411p")
            else:
                values = read("yuv422p16le" if is_left else "yuv444p16le")
                values = [plane / np.float32(2 ** (16 - depth)) for plane in values]
            if part > 1:
                values[1:] = [widen(plane, frame.width) for plane in values[1:]]
        values = [apply_display_matrix(frame, plane) for plane in values]
    return Planes(values, depth, is_full, plate.tags)


def read_depth(frame: av.VideoFrame) -> int:
    """Return the bits of a channel."""
    return max(component.bits for component in frame.format.components)


def fill_frame(planes: Planes, layout: str) -> av.VideoFrame:
    """Return planes, and the alpha after them, as a frame of one of FFmpeg's planar formats."""
    import av

    height, width = planes.values[0].shape
    frame = av.VideoFrame(width, height, layout)
    for index, codes in enumerate(planes.values):
        view_plane(frame, index)[:] = codes
    frame.color_range = FULL_RANGE if planes.is_full else LIMITED_RANGE
    return frame


def view_plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """Return a plane of a planar frame, H×W uint8 or uint16, which shares its memory."""
    plane: Any = frame.planes[index]
    kind = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
    return np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
