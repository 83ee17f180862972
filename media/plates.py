"""Plates: frames as their source stores them, at its own depth and colors."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aotlab.media import decoding
from aotlab.media.levels import Levels

if TYPE_CHECKING:
    import av

BT709 = 1
"""FFmpeg's number of a color matrix, primaries and transfer function."""
UNKNOWN_TAG = 2
"""FFmpeg's number of what a file does not state."""
HD_WIDTH, SD_HEIGHT = 1280, 576
"""Columns of high definition, and rows of standard definition, the larger one."""
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


class ColorTags(NamedTuple):
    """Colors of a video by FFmpeg's numbers, which are those of ITU-T H.273."""

    primaries: int = BT709
    transfer: int = BT709
    matrix: int = BT709


class Planes(NamedTuple):
    """Brightness and colors of a frame as video files store them."""

    values: list[np.ndarray]
    """Y, U and V as H×W uint16, or float32 if interpolated; in 4:2:0, U and V have half the size, rounded up."""
    depth: int
    """Bits of a value."""
    is_full: bool
    """Whether black and white are the smallest and largest code, instead of 16 and 235 of 8 bits."""
    tags: ColorTags

    def to_rgb(self) -> np.ndarray:
        """Return H×W×3 float32 RGB of 4:4:4 planes; white is 1, and values beyond black and white are not clipped."""
        import cv2

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


def halve(values: np.ndarray) -> np.ndarray:
    """Return H×W values for the colors of 4:2:0, float32 of half the size, rounded up: weighted means, see `widen`."""
    import cv2

    across, down = np.array([0.25, 0.5, 0.25], np.float32), np.array([0, 0.5, 0.5], np.float32)
    means = cv2.sepFilter2D(values.astype(np.float32), -1, across, down, borderType=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(means[::2, ::2])


def widen(values: np.ndarray, width: int) -> np.ndarray:
    """Return a color plane that has less columns than the image at its width, H×W float32, interpolated.

    The first of 2 or 4 pixels has the stored color, see `VideoPlate`.
    """
    values, part = values.astype(np.float32), -(-width // values.shape[1])
    following = np.concatenate([values[:, 1:], values[:, -1:]], axis=1)
    steps = [values + (following - values) * np.float32(step / part) for step in range(part)]
    return np.stack(steps, axis=2).reshape(len(values), -1)[:, :width]


class Plate(ABC):
    """A frame as its source stores it. The tracker gets `to_image`; outputs that deliver the frame use the others."""

    tags: ColorTags
    """Colors that the source states; those of BT.709 if it states none."""
    is_linear: bool = False
    """Whether its RGB is linear light, as floats."""

    @abstractmethod
    def to_image(self) -> np.ndarray:
        """Return the frame for the network and for overlays: H×W×3 uint8 RGB, 16 bits and more by the levels."""

    @abstractmethod
    def to_rgb(self) -> np.ndarray:
        """Return H×W×3 RGB as stored: uint8, uint16, or float16 and float32 of EXR and TIFF.

        Video files with more than 8 bits become uint16, in which 65535 is white. Colors are interpolated and rounded
        once; those of `to_image` are less exact, as FFmpeg is faster with its defaults.
        """

    def to_float_rgb(self) -> np.ndarray:
        """Return H×W×3 RGB in which white is 1: float16 and float32 as stored, else float32.

        YUV of video files is neither rounded nor clipped: codes above white and colors outside the gamut survive.
        """
        rgb = self.to_rgb()
        if rgb.dtype.kind in "iu":
            return (rgb.astype(np.float64) / np.iinfo(rgb.dtype).max).astype(np.float32)
        return rgb if rgb.dtype == np.float16 else rgb.astype(np.float32)

    def read_planes(self, *, subsampled: bool = False) -> Planes | None:
        """Return Y, U and V at the depth of a video, or the next one of `DEPTHS`, in its range; None if it stores RGB.

        They are in 4:4:4, or 4:2:0 if ``subsampled``.
        """
        return None


class ImagePlate(Plate):
    """An image of a folder or TIFF stack.

    Args:
        values: H×W×C with 1 or 3 channels, as stored.
        levels: levels of images with more than 8 bits; None: the values are 8 bits.
        primaries: FFmpeg's number of the color primaries.
    """

    def __init__(self, values: np.ndarray, levels: Levels | None = None, primaries: int = BT709) -> None:
        self.values, self.levels, self.tags = values, levels, ColorTags(primaries)
        self.is_linear = values.dtype.kind == "f" and levels is not None and levels.curve == "linear"

    def to_image(self) -> np.ndarray:
        return _repeat_gray(self.values if self.levels is None else self.levels(self.values))

    def to_rgb(self) -> np.ndarray:
        return _repeat_gray(self.values)


class VideoPlate(Plate):
    """A frame of a video in its decoder's format, about half the size of the image. Thread-safe.

    A frame without a color matrix has ``matrix``, or by default that of BT.709 if it is larger than standard
    definition, as in players.

    Colors that two columns share lie on the left one, as in MPEG-2, MPEG-4, H.264 and HEVC without a stated location,
    and in ITU-R BT.601 and BT.709; of two rows, they lie between. In MPEG-1 and JPEG, they lie between both.
    libswscale takes all for centered. PyAV does not pass on the location that a file states.

    Args:
        frame: the frame.
        codec: FFmpeg's name of the codec.
        matrix: FFmpeg's number of the color matrix, if the frame states none.
    """

    def __init__(self, frame: av.VideoFrame, codec: str = "", matrix: int | None = None) -> None:
        self._is_centered = codec in CENTERED_CODECS
        if lacks_matrix(frame):
            is_large = frame.width >= HD_WIDTH or frame.height > SD_HEIGHT
            frame.colorspace = matrix or (BT709 if is_large else UNKNOWN_TAG)
        self._frame, self._lock = frame, threading.Lock()  # PyAV keeps one scaler for each frame
        self.depth = max(component.bits for component in frame.format.components)
        """Bits of a channel."""
        self.tags: ColorTags = ColorTags(frame.color_primaries, frame.color_trc, frame.colorspace)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as the frame is shown."""
        size = self._frame.height, self._frame.width
        return size[::-1] if decoding.is_turned(self._frame) else size

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return sum(plane.buffer_size for plane in self._frame.planes)

    def to_image(self) -> np.ndarray:
        with self._lock:
            return decoding.to_rgb(self._frame)

    def to_rgb(self) -> np.ndarray:
        if self._is_rgb:
            return self._read_deep_rgb() if self.depth > 8 else self.to_image()
        kind = np.uint8 if self.depth <= 8 else np.uint16
        white = np.iinfo(kind).max
        return (self.to_float_rgb() * white).round().clip(0, white).astype(kind)

    def to_float_rgb(self) -> np.ndarray:
        planes = self.read_planes()
        return super().to_float_rgb() if planes is None else planes.to_rgb()

    @property
    def _is_rgb(self) -> bool:
        return _is_rgb(self._frame)

    def _read_deep_rgb(self) -> np.ndarray:
        """Return RGB with more than 8 bits as uint16, or float32 as stored."""
        with self._lock:
            name = self._frame.format.name
            values = self._frame.to_ndarray(format=None if name.startswith("gbr") else "rgb48le")[..., :3]
            values = decoding.apply_display_matrix(self._frame, values)
        if values.dtype.kind == "f" or not name.startswith("gbr"):
            return values
        return (values * (65535 / (2**self.depth - 1)) + 0.5).astype(np.uint16)

    def read_planes(self, *, subsampled: bool = False) -> Planes | None:
        if self._is_rgb:
            return None
        frame = self._frame
        depth = next(depth for depth in DEPTHS if depth >= self.depth)
        suffix = "" if depth == 8 else f"{depth}le"
        is_gray = _is_gray(frame)  # full range, by FFmpeg
        is_full = is_gray or frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
        with self._lock:
            if is_gray:
                gray = view_plane(frame.reformat(format=f"gray{suffix}", threads=1), 0).astype(np.uint16)
                neutral = np.full((halve(gray) if subsampled else gray).shape, 128 << (depth - 8), np.uint16)
                values = [gray, neutral, neutral]
            else:
                kind = FULL_RANGE if is_full else LIMITED_RANGE

                def read(layout: str) -> list[np.ndarray]:
                    same = frame.reformat(format=layout, threads=1, src_color_range=kind, dst_color_range=kind)
                    return [view_plane(same, index).astype(np.uint16) for index in range(3)]

                part = round(frame.width / frame.format.chroma_width(frame.width))
                is_low = frame.format.chroma_height(frame.height) < frame.height
                is_left = part == 2 and not self._is_centered
                if is_same := subsampled and is_left and is_low:
                    values = read(f"yuv420p{suffix}")
                elif not is_low and (part == 1 or is_left):
                    # at the same depth: libswscale fills the low bits of a deeper Y by repeating it, in full range
                    values = read(f"yuv{444 if part == 1 else 422}p{suffix}")
                elif part == 4 and not is_low:
                    values = read("yuv411p")
                else:
                    values = read("yuv422p16le" if is_left else "yuv444p16le")
                    values = [plane / np.float32(2 ** (16 - depth)) for plane in values]
                if not is_same:
                    colors = [widen(plane, frame.width) if part > 1 else plane for plane in values[1:]]
                    values[1:] = map(halve, colors) if subsampled else colors
            values = [decoding.apply_display_matrix(frame, plane) for plane in values]
        return Planes(values, depth, is_full, self.tags)


def lacks_matrix(frame: av.VideoFrame) -> bool:
    """Return whether a frame has colors in YUV without a stated matrix."""
    return frame.colorspace == UNKNOWN_TAG and not _is_rgb(frame) and not _is_gray(frame)


def _is_rgb(frame: av.VideoFrame) -> bool:
    return bool(frame.format.is_rgb or frame.format.has_palette)


def _is_gray(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith(("gray", "ya", "mono"))


def view_plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """Return a plane of a planar frame, H×W uint8 or uint16, which shares its memory."""
    plane: Any = frame.planes[index]
    kind = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
    return np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]


def _repeat_gray(values: np.ndarray) -> np.ndarray:
    return values if values.shape[2] == 3 else values.repeat(3, axis=2)
