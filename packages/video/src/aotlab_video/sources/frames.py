"""Sources of frames: their interface, folders of images and TIFF stacks."""

from __future__ import annotations

import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from PIL import Image

from aotlab.media.images import require_image_size
from aotlab.sdk import build
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import atomic_path, base_name, reading
from aotlab_video.sources.exr import read_exr_header, read_primaries
from aotlab_video.sources.high_bit_depth import TiffStack, decode_dpx, detect_image_kind, read_raw_image
from aotlab_video.sources.image_folders import list_images, warn_about_mixed_images
from aotlab_video.sources.levels import OCIO_PREFIX, Levels, estimate_levels, find_decoder
from aotlab_video.sources.plates import BT709, ImagePlate, Plate
from aotlab_video.sources.source_options import IMAGE_RATE, SourceOptions, parse_rate
from aotlab_video.sources.timecode import Timecode


class FrameSource(ABC):
    """Frames in order; each iteration starts at the first one and keeps one frame in memory.

    Iterating yields H×W×3 uint8 RGB, and raises `InputError` naming the first frame that cannot be read. Stored frames
    have a ``len()`` and indices, as lists do; streams raise `TypeError`.
    """

    path: Path | None = None
    """File or folder of the frames; None for a stream."""
    name: str
    """File or folder name without suffix."""
    size: tuple[int, int]
    """Height and width of every frame after rotation."""
    rate: Fraction
    """Frames per second."""
    pixel_aspect: Fraction = Fraction(1)
    """Width by height of a pixel as it is shown."""
    color_tags: tuple[int, int] = (1, 1)
    """Color primaries and transfer function by FFmpeg's numbers, as the source states them; 1 (BT.709) if unknown."""
    has_names: bool = False
    """Whether frames have names, not only numbers."""
    is_live: bool = False
    """Whether frames come from a camera or live stream and are dropped if not read in time."""
    damaged_frames: Sequence[int] = ()
    """Frames read so far that were damaged and concealed by the decoder."""
    corrupt_packets: int = 0
    """Number of packets read so far that were skipped because they did not decode."""
    options: SourceOptions = SourceOptions()
    """Options that read the same frames again, also if defaults change: rate, levels and matrix as they were found."""
    levels: Levels | None = None
    """Black and white levels of images with more than 8 bits; None: frames are unchanged."""
    timecode: Timecode | None = None
    """Time code of the first frame, None if the source states no time code."""

    @cached_property
    def length(self) -> int | None:
        """Number of frames that can be read; None for a stream."""
        return None

    @property
    def has_constant_rate(self) -> bool:
        """Whether the times of all frames follow from `rate`."""
        return True

    def time(self, index: int) -> Fraction:
        """Return the time of a frame that has been read, in seconds from the first one."""
        return index / self.rate

    def frame_name(self, index: int) -> str:
        """Return the name of a frame: its number with at least five digits, or that of its image without suffix."""
        return f"{index:05d}"

    def file(self, index: int) -> Path | None:
        """Return the image file of a frame; None if it is in a file of several frames."""
        return None

    def read(self, index: int) -> np.ndarray:
        """Return a frame, H×W×3 uint8 RGB, in any order; thread-safe. Raises `InputError` if it cannot be read."""
        return self.read_plate(index).to_image()

    def read_plate(self, index: int) -> Plate:
        """Return a frame as it is stored, as `read` does."""
        raise InputError("can only be read sequentially", subject=self.name, remedy="save the stream to a file")

    def iterate_plates(self, first: int) -> Iterator[tuple[int, Plate]]:
        """Yield index and plate of each frame from ``first`` on, as `iterate_from` does."""
        return ((index, ImagePlate(image)) for index, image in islice(enumerate(self), first, None))

    def iterate_from(self, first: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and image of each frame from ``first`` on; a video is decoded from the key frame before it."""
        return ((index, plate.to_image()) for index, plate in self.iterate_plates(first))

    @abstractmethod
    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames."""

    def __bool__(self) -> bool:
        """Return True, also for a stream, whose length is unknown."""
        return True

    def __len__(self) -> int:
        """Return the number of frames that can be read. Raises `TypeError` for a stream."""
        if self.length is None:
            raise TypeError(f"{self.name}: a stream has no length or indices; iterate over it or save it to a file")
        return self.length

    def __getitem__(self, index: SupportsIndex) -> np.ndarray:
        """Return a frame as `read`; negative indices count from the end.

        Raises `IndexError` without such a frame, and `TypeError` for a stream.
        """
        number = operator.index(index)
        is_first = self.path is not None and number == 0  # then the frames of a video need not be counted
        count = 1 if is_first else len(self)
        if not -count <= number < count:
            raise IndexError(f"{self.name}: index {number} is out of range for {count} frames")
        return self.read(number % count)


class ImageFrames(FrameSource):
    """Images of a folder in natural order, a single image, or a TIFF stack.

    Raises `InputError` if there are no images, the first one cannot be read, or levels or rate are invalid.
    """

    length: int

    def __init__(self, path: Path, options: SourceOptions | None = None) -> None:
        options = options or SourceOptions()
        self.rate = Fraction(options.fps or IMAGE_RATE)
        self._paths: list[Path] = []
        curve = options.input_transform or "srgb"
        if not path.is_dir() and detect_image_kind(path) == "tiff":
            stack = TiffStack(path)
            self._read_values: Callable[[int], np.ndarray] = stack.read
            self.length = stack.count
        else:
            self._paths = [path]
            if path.is_dir():
                self._paths = list_images(path)
                warn_about_mixed_images(path, self._paths)
            self._read_values = lambda index: read_raw_image(self._paths[index], options.layer)
            self.length = len(self._paths)
            kind = detect_image_kind(self._paths[0])
            if kind == "exr":
                curve = options.input_transform or "linear"
                self._read_exr_attributes(read_exr_header(self._paths[0]), options)
            elif kind == "dpx":
                frame, file_rate = decode_dpx(self._paths[0])
                self._set_times(file_rate, frame.metadata.get("timecode"), options)
        self.path, self.name = path, base_name(path)
        first = self._read_values(0)
        self._dtype, self.size = first.dtype, (first.shape[0], first.shape[1])
        self.has_names = bool(self._paths)
        find_decoder(curve)  # raises InputError
        is_space = curve.startswith(OCIO_PREFIX)
        white = np.iinfo(first.dtype).max if is_space and first.dtype.kind in "iu" else 1.0
        if isinstance(options.levels, tuple):
            self.levels = Levels(*options.levels, curve=curve, white=white)
        elif options.levels is not None or first.dtype != np.uint8 or curve != "srgb":
            low, high = estimate_levels(self._read_or_skip, self.length)
            self.levels = Levels(low, high, curve=curve, white=white, estimated=True)
        limits = None if self.levels is None else (self.levels.low, self.levels.high)
        transform = None if self.levels is None else curve
        found = {"fps": self.rate, "levels": limits, "input_transform": transform}
        self.options = build(SourceOptions, {**dict(options), **found})

    def _read_exr_attributes(self, header: Mapping[str, Any], options: SourceOptions) -> None:
        """Set color primaries, rate, pixel aspect and time code to those that the first EXR file states."""
        self.color_tags = (read_primaries(header), BT709)
        self.pixel_aspect = Fraction(header.get("pixelAspectRatio", 1)).limit_denominator(1000) or Fraction(1)
        code, text = header.get("timeCode"), None
        if code is not None:
            separator = ";" if code.dropFrame else ":"
            text = f"{code.hours:02d}:{code.minutes:02d}:{code.seconds:02d}{separator}{code.frame:02d}"
        self._set_times(header.get("framesPerSecond"), text, options)

    def _set_times(self, file_rate: float | Fraction | None, code: str | None, options: SourceOptions) -> None:
        """Set rate and time code to those that the first file states; a rate of the user comes first."""
        with suppress(ValueError):  # no rate, or a code that its rate does not have
            self.rate = Fraction(options.fps or parse_rate(file_rate) or self.rate)
            if code is not None:
                self.timecode = Timecode.parse(code, self.rate)

    def frame_name(self, index: int) -> str:
        return self._paths[index].stem if self._paths else super().frame_name(index)

    def file(self, index: int) -> Path | None:
        return self._paths[index] if self._paths else None

    def read_plate(self, index: int) -> Plate:
        """Return a frame; raise `InputError` if it is missing, broken or of another size or type."""
        require_index(self, index, self.length)
        values = self._read_values(index)
        subject = str(self._paths[index]) if self._paths else f"{self.path}, image {index}"
        if values.dtype != self._dtype and not values.dtype.kind == self._dtype.kind == "f":
            problem = f"values are {values.dtype}, but {self._dtype} on the first frame"
            raise InputError(problem, subject=subject, remedy="convert all frames alike")
        require_image_size(values, self.size, subject, "the first frame")
        return ImagePlate(values, self.levels, self.color_tags[0])

    def iterate_plates(self, first: int) -> Iterator[tuple[int, Plate]]:
        return ((index, self.read_plate(index)) for index in range(first, self.length))

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.read, range(self.length))

    def _read_or_skip(self, index: int) -> np.ndarray:
        """Return the values of an image; empty if it is broken, as the error is raised when the frame is read."""
        try:
            return self._read_values(index)
        except InputError:
            return np.empty(0, self._dtype)


def store_frame(source: FrameSource, index: int, frame: np.ndarray, path: Path) -> Path:
    """Copy the image file of a frame, as a hard link if possible; write a frame without an 8-bit file as JPEG.

    ``frame`` is H×W×3 uint8 RGB, and ``path`` the file to write without suffix. Return the written file.
    """
    file = source.file(index) if source.levels is None else None
    path = path.with_name(f"{path.name}{'.jpg' if file is None else file.suffix}")
    with atomic_path(path) as temporary:
        if file is None:
            Image.fromarray(frame).save(temporary, format="JPEG", quality=95)
            return path
        try:
            os.link(file.resolve(), temporary)
        except OSError:  # another disk, or no links here
            with reading(file, "restore it"):
                content = file.read_bytes()
            temporary.write_bytes(content)
    return path


def require_index(source: FrameSource, index: int, length: int) -> None:
    require(0 <= index < length, f"no frame {index}", subject=source.name, remedy=f"its last frame is {length - 1}")
