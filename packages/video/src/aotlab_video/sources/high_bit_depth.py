"""Images with more than 8 bits a channel: 16-bit PNG, TIFF stacks, EXR and DPX."""

from __future__ import annotations

import logging
import math
import re
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.media.images import DECODER_ERRORS, apply_orientation, open_image, parse_png_depth, read_image
from aotlab.utils.errors import require, require_modules
from aotlab.utils.files import is_file_name, reading
from aotlab_video.sources.exr import MAX_PIXELS, read_exr

if TYPE_CHECKING:
    import av

MAX_CHANNELS = 3
"""Largest number of channels of a TIFF, shown as red, green and blue."""
UNSUPPORTED_COLORS = {5: "CMYK", 6: "YCbCr", 8: "CIELAB"}
"""Colors of a TIFF that are not converted, by TIFF's number."""
JPEG = 7
"""Compression of a TIFF whose YCbCr is decoded to RGB."""
ALPHA = (1, 2)
"""Kinds of extra samples of a TIFF that are transparency."""


def detect_image_kind(path: Path) -> str:
    """Return the kind of an image by its content: ``exr``, ``tiff``, ``dpx``, ``png16``, else ``8 bits``."""
    with suppress(OSError):  # the 8-bit reader reports the error
        if not path.is_file():
            return "8 bits"
        with path.open("rb") as file:
            start = file.read(25)
        if start.startswith(b"v/1\x01"):
            return "exr"
        if start.startswith((b"SDPX", b"XPDS")):
            return "dpx"
        if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):  # TIFF and BigTIFF
            return "tiff"
        if parse_png_depth(start) == 16:
            return "png16"
    return "8 bits"


def read_raw_image(path: Path, layer: str | None = None) -> np.ndarray:
    """Read an image as stored: H×W×C integers or floats with 1 to 3 channels; a stack of several is refused.

    ``layer``: of EXR, as in `read_exr_colors`; other images have none.
    """
    kind = detect_image_kind(path)
    if kind == "exr":
        return read_exr(path, layer)
    require(layer is None, f"{path} is not an EXR image", subject=f"layer {layer}", remedy="remove it")
    if kind == "dpx":
        return _read_dpx(path)
    if kind == "png16":
        return _read_png(path)
    if kind == "8 bits":
        return read_image(path)
    stack = TiffStack(path)
    require(stack.count == 1, f"has {stack.count} images", subject=path, remedy="give the file itself, not its folder")
    return stack.read(0)


def decode_dpx(path: Path) -> tuple[av.VideoFrame, Fraction | None]:
    """Return the frame of a DPX file, with a time code in ``metadata``, and the frame rate, None if it states none."""
    require_modules("av")
    import av

    from aotlab_video.sources import decoding

    with reading(path, "save it again", av.FFmpegError), decoding.open_container(str(path), format="dpx_pipe") as file:
        frame = next(file.decode(video=0), None)
        if frame is None or frame.is_corrupt:
            raise ValueError("it does not decode")
        return frame, file.streams.video[0].codec_context.framerate


def _read_dpx(path: Path) -> np.ndarray:
    """Read a DPX image as H×W×3 uint8 or uint16, in which 65535 is the largest code; its alpha is left out."""
    from aotlab_video.sources import decoding

    return decoding.to_deep_rgb(decode_dpx(path)[0])


def _read_png(path: Path) -> np.ndarray:
    """Read a 16-bit PNG; Pillow reduces colors to 8 bits, and OpenCV pads truncated files."""
    require_modules("cv2")
    import cv2

    with open_image(path) as image:
        image.load()
        gray = image.mode.startswith("I")
        flags = cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH
        flags |= cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
        values = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
        if values is None or values.dtype != np.uint16:
            raise ValueError("its 16 bits do not decode")
        values = values[..., None] if gray else np.ascontiguousarray(values[..., ::-1])
        return apply_orientation(values, image, path.parent)


class TiffStack:
    """Images of a TIFF file by index. Thread-safe.

    Only the first series is read. ``S`` and ``C`` are channels, at most three; one further axis besides ``Y`` and ``X``
    may be longer than 1 and holds the frames.
    """

    def __init__(self, path: Path) -> None:
        require_modules("tifffile")
        import tifffile

        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # problems are raised as well as logged
        self.path, self._lock = path, threading.Lock()
        with reading(path, "save it again", *DECODER_ERRORS):
            file = tifffile.TiffFile(path)
            for part in set(re.findall(r'FileName="([^"]*)"', file.ome_metadata or "")):
                # opened with the first series; only regular files of the folder may be
                part_path = path.parent / part
                if not is_file_name(part) or (part_path.exists() and not part_path.is_file()):
                    raise ValueError(f"its part {part[:80]!r} is not a file next to it")
            shapes = {series.shape for series in file.series}
            self._series: Any = file.series[0]
            self._axes, self._page = str(self._series.axes), self._series.keyframe
            contiguous = self._series.dataoffset is not None  # as in large stacks of ImageJ
            self._values = tifffile.memmap(path, series=0, mode="r") if contiguous else None
            if len(shapes) > 1 or self._series.dtype.kind == "c":
                raise ValueError(f"{len(shapes)} series of {self._series.dtype}; expected one of integers or floats")
            colors = UNSUPPORTED_COLORS.get(self._page.photometric)
            if colors and self._page.compression != JPEG:
                raise ValueError(f"colors are {colors}; expected RGB or gray")
            self._frame_axis, self.count = self._parse_axes()

    def read(self, index: int) -> np.ndarray:
        """Read an image as stored, H×W×C with 1 to 3 channels; raises `InputError` on failure."""
        frame, every = slice(index, index + 1), slice(None)
        part = tuple(frame if axis == self._frame_axis else every for axis in self._axes)
        with reading(self.path, "save it again", *DECODER_ERRORS), self._lock:
            if self._values is not None:
                values = self._values[part]
                values = values.astype(values.dtype.newbyteorder("="))
            else:
                values = self._read_pages(part)
            # rows and columns first; after them only channels may be longer than 1
            order = sorted(range(values.ndim), key=lambda axis: ("YX" + self._axes).index(self._axes[axis]))
            values = values.transpose(order)
            return self._to_colors(values.reshape(*values.shape[:2], -1))

    def _parse_axes(self) -> tuple[str, int]:
        """Return axis (or empty) and number of frames; raise `ValueError` for unsupported axes."""
        sizes = dict(zip(self._axes, self._series.shape, strict=True))
        extra_axes = [axis for axis, size in sizes.items() if size > 1 and axis not in "YX"]
        frames = [axis for axis in extra_axes if axis not in "SC"]
        channels = [axis for axis in extra_axes if axis in "SC"]
        # samples may include transparency
        too_many = any(sizes[axis] > MAX_CHANNELS + (axis == "S") for axis in channels)
        supported = len(sizes) == len(self._axes) and {"Y", "X"} <= set(sizes)
        if not supported or too_many or len(frames) > 1 or len(channels) > 1:
            raise ValueError(f"unsupported axes {self._axes} of {self._series.shape}")
        if sizes["Y"] * sizes["X"] > MAX_PIXELS:
            raise ValueError(f"{sizes['X']}×{sizes['Y']} pixels are too many")
        return (frames[0], sizes[frames[0]]) if frames else ("", 1)

    def _read_pages(self, part: tuple[slice, ...]) -> np.ndarray:
        """Decode the pages of a part of the series."""
        shape, inner = self._series.shape, self._page.shape
        outer = len(shape) - len(inner)
        pages = np.arange(math.prod(shape[:outer])).reshape(shape[:outer])[part[:outer]]
        values = np.stack([self._series.pages[int(page)].asarray() for page in np.ravel(pages)])
        return values.reshape(*pages.shape, *inner)[(slice(None),) * outer + part[outer:]]

    def _to_colors(self, values: np.ndarray) -> np.ndarray:
        """Convert to brightness or colors: look up palettes, drop alpha, invert min-is-white."""
        if self._page.colormap is not None:
            return (np.moveaxis(self._page.colormap, 0, -1)[values[..., 0]] >> 8).astype(np.uint8)
        if values.dtype == bool:
            values = values.astype(np.uint8) * 255
        if self._page.photometric == 0 and values.dtype.kind == "u":  # min is white
            values = np.iinfo(values.dtype).max - values
        values = values[..., : values.shape[-1] - sum(kind in ALPHA for kind in self._page.extrasamples)]
        if values.shape[-1] == 2:  # two channels are shown in magenta and green, as microscopes do
            return values[..., [0, 1, 0]]
        return values[..., :MAX_CHANNELS]
