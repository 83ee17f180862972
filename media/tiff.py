"""TIFF files as frames: single images and stacks, with the axes of microscopes and ImageJ."""

from __future__ import annotations

import logging
import math
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.utils.errors import InputError, missing_extra
from aotlab.utils.files import file_mode, is_file, is_plain_name
from aotlab.utils.image_files import MOST_PIXELS, reason_of

if TYPE_CHECKING:
    import tifffile

ADVICE = "give a whole TIFF"
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""first bytes of TIFF and BigTIFF"""
CHANNELS = 3
"""largest number of channels, shown as red, green and blue"""


class TiffStack:
    """Images of a TIFF file by index.

    Only the first series is read. ``S`` and ``C`` are channels, at most three; one further axis besides ``Y`` and ``X``
    may be longer than 1 and holds the frames.

    Raises:
        InputError: not a readable TIFF, unsupported axes or channels, or tifffile is not installed.
    """

    linear = False

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        if not is_file(path):
            raise InputError(f"{path}: no such image file; {ADVICE}")
        self._file = _open(path)
        try:
            self._series: Any = self._file.series[0]
            self._axes, self._shape = str(self._series.axes), tuple(self._series.shape)
            self._keyframe: Any = self._series.keyframe
            self._colours: Any = self._keyframe.colormap
            kinds = {one.shape for one in self._file.series}
        except Exception as error:  # the library raises many kinds of errors on broken files
            raise _broken(path, error) from error
        if len(kinds) > 1:
            raise InputError(
                f"{path}: holds {len(kinds)} series of images; store each series in a separate file"
            )
        self._lock = threading.Lock()
        self.count = self._check()
        self._stored = self._map()

    def read(self, index: int) -> np.ndarray:
        """Read an image as stored, H×W×C with 1 to 3 channels; raise `InputError` on failure."""
        try:
            with self._lock:
                values = self._take(index)
        except Exception as error:  # as above
            raise _broken(self.path, error) from error
        order = sorted(range(values.ndim), key=lambda place: ("YX" + self._axes).index(self._axes[place]))
        values = values.transpose(order)
        # only channels may be longer than 1 behind rows and columns
        return self._as_shown(values.reshape(*values.shape[:2], -1))

    def title(self, index: int) -> str:
        """Return file and index."""
        return f"{self.path}, image {index}"

    def stem(self, index: int) -> str:
        """Return the index with at least five digits."""
        return f"{index:05d}"

    def _check(self) -> int:
        """Return the number of frames."""
        sizes = dict(zip(self._axes, self._shape, strict=True))
        if len(sizes) != len(self._axes) or not {"Y", "X"} <= set(sizes):
            raise InputError(f"{self.path}: has the axes {self._axes}; expected images, with Y and X")
        long = {axis: size for axis, size in sizes.items() if size > 1 and axis not in "YX"}
        channels = {axis: size for axis, size in long.items() if axis in "SC"}
        others = {axis: size for axis, size in long.items() if axis not in "SC"}
        if len(others) > 1 or len(channels) > 1:
            text = " × ".join(f"{size} {axis}" for axis, size in long.items())
            raise InputError(
                f"{self.path}: holds {text}; a video has one axis of frames, store one of the others"
            )
        most = CHANNELS if "C" in channels else CHANNELS + 1  # with transparency
        if channels and max(channels.values()) > most:
            raise InputError(
                f"{self.path}: has {max(channels.values())} channels; store up to {CHANNELS} that show the objects"
            )
        if sizes["Y"] * sizes["X"] > MOST_PIXELS:
            raise InputError(
                f"{self.path}: {sizes['X']}×{sizes['Y']} pixels are too many; give smaller images"
            )
        self._frames = next(iter(others), "")
        return next(iter(others.values()), 1)

    def _map(self) -> np.ndarray | None:
        """Map values stored contiguously, as in large stacks of ImageJ."""
        if self._series.dataoffset is None:
            return None
        end = self._series.dataoffset + math.prod(self._shape) * self._series.dtype.itemsize
        if end > self.path.stat().st_size:
            raise _broken(self.path, ValueError("the file was cut off"))
        order = self._file.byteorder + self._series.dtype.char
        return np.memmap(self.path, order, "r", self._series.dataoffset, self._shape)

    def _take(self, index: int) -> np.ndarray:
        """Return the values of an image with all axes of the series."""
        part = [slice(index, index + 1) if axis == self._frames else slice(None) for axis in self._axes]
        if self._stored is not None:
            values = self._stored[tuple(part)]
            return values.astype(values.dtype.newbyteorder("="))
        outer = len(self._shape) - len(self._keyframe.shape)
        pages = np.arange(math.prod(self._shape[:outer])).reshape(self._shape[:outer])[tuple(part[:outer])]
        values = np.stack([self._series.pages[int(page)].asarray() for page in np.ravel(pages)])
        inner = tuple(slice(None) for _ in pages.shape) + tuple(part[outer:])
        return values.reshape(*pages.shape, *self._keyframe.shape)[inner]

    def _as_shown(self, values: np.ndarray) -> np.ndarray:
        """Convert to brightness or colours: look up palettes, drop alpha, invert min-is-white."""
        if self._colours is not None:
            return (np.moveaxis(self._colours, 0, -1)[values[..., 0]] >> 8).astype(np.uint8)
        if values.dtype == bool:
            values = values.astype(np.uint8) * 255
        if self._keyframe.photometric == 0 and values.dtype.kind == "u":  # min is white
            values = np.iinfo(values.dtype).max - values
        if values.shape[-1] == 2:  # two channels are shown in magenta and green, as microscopes do
            return values[..., [0, 1, 0]]
        return values[..., :CHANNELS]


def _open(path: Path) -> tifffile.TiffFile:
    try:
        import tifffile
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: {missing_extra('tifffile')}") from error
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # problems are raised as well as logged
    try:
        file = tifffile.TiffFile(path)
        parts = set(re.findall(r'FileName="([^"]*)"', file.ome_metadata or ""))
    except Exception as error:  # as above
        raise _broken(path, error) from error
    for part in parts:  # opened with the first series
        if not is_plain_name(part) or (file_mode(path.parent / part) and not is_file(path.parent / part)):
            raise InputError(f"{path}: its part {part[:80]!r} is not a file beside it; {ADVICE}")
    return file


def _broken(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable TIFF ({reason_of(error)}); {ADVICE}")
