"""Folders of pictures and TIFF stacks as frames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from aotlab.media.deep_images import kind_of, read_values
from aotlab.media.levels import Levels, find_levels, read_levels
from aotlab.media.sound import Sound
from aotlab.media.tiff import TiffStack
from aotlab.utils.errors import InputError
from aotlab.utils.files import real_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".exr")
"""Files that count as frames in a folder."""

FOLDER_RATE = Fraction(24)
"""Frames per second of pictures, which do not say; DAVIS and most films use 24."""

LevelsOption = str | tuple[float, float] | None
"""``auto``, ``LOW,HIGH`` or a pair of numbers; None: pictures of 8 bits as they are, all others ``auto``"""


class Pictures(Protocol):
    """Pictures by number, as stored."""

    name: str
    count: int
    linear: bool
    """whether values are light rather than brightness on a screen"""

    def read(self, index: int) -> np.ndarray:
        """H×W×C of 1 or 3 channels; raises `InputError` where it cannot be read."""

    def title(self, index: int) -> str:
        """What messages call a picture."""

    def stem(self, index: int) -> str:
        """File name without suffix for what belongs to it."""


class FolderPictures:
    """The pictures of a folder in the order of their names; raises `InputError` where there are none."""

    def __init__(self, folder: Path) -> None:
        names = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        self.paths = sorted(names, key=_natural)
        if not self.paths:
            raise InputError(f"{folder}: holds no frames; give a folder of {', '.join(SUFFIXES)} files")
        stem, count = Counter(path.stem for path in names).most_common(1)[0]
        if count > 1:
            raise InputError(f"{folder}: {count} pictures are named {stem}; give every frame its own name")
        self.name, self.count = real_path(folder).name, len(self.paths)
        self.linear = kind_of(self.paths[0]) == "exr"

    def read(self, index: int) -> np.ndarray:
        """As `read_values`."""
        return read_values(self.paths[index])

    def title(self, index: int) -> str:
        """The path."""
        return str(self.paths[index])

    def stem(self, index: int) -> str:
        """The stem of the picture of this index."""
        return self.paths[index].stem


class StackPictures:
    """The pictures of a TIFF file; raises `InputError` as `TiffStack`."""

    linear = False

    def __init__(self, path: Path) -> None:
        self._stack = TiffStack(path)
        self.name, self.count = path.stem, self._stack.count

    def read(self, index: int) -> np.ndarray:
        """As `TiffStack.read`."""
        return self._stack.read(index)

    def title(self, index: int) -> str:
        """File and number."""
        return f"{self._stack.path}, picture {index}"

    def stem(self, index: int) -> str:
        """The number, five digits at least."""
        return f"{index:05d}"


class PictureFrames:
    """Pictures as a `FrameSource` that can be read in any order; results are named like the pictures.

    Args:
        pictures: of one size and kind.
        rate: frames per second.
        levels: what is black and white.

    Raises:
        InputError: the first picture cannot be read, or levels are wrong.
    """

    variable = live = False
    lost = 0
    sound: Sound | None = None

    def __init__(self, pictures: Pictures, rate: Fraction = FOLDER_RATE, levels: LevelsOption = None) -> None:
        self._pictures = pictures
        first = pictures.read(0)
        if first.dtype.kind not in "uif":
            raise InputError(f"{pictures.title(0)}: holds values of {first.dtype}; give integers or floats")
        self._dtype = first.dtype
        self.damaged: list[int] = []
        self.name = pictures.name
        self.size: tuple[int, int] = (first.shape[0], first.shape[1])
        self.rate = Fraction(rate)
        self.length: int | None = pictures.count
        self.levels = self._find(levels)

    def time(self, index: int) -> Fraction:
        """As the rate says."""
        return index / self.rate

    def stem(self, index: int) -> str:
        """As the pictures are named."""
        return self._pictures.stem(index)

    def read(self, index: int) -> np.ndarray:
        """A frame, H×W×3 uint8 RGB; raises `InputError` for one that is broken, or of another size or kind."""
        values, title = self._pictures.read(index), self._pictures.title(index)
        if values.dtype != self._dtype and not values.dtype.kind == self._dtype.kind == "f":
            raise InputError(
                f"{title}: has values of {values.dtype}, but the first frame of {self._dtype}; give frames of one kind"
            )
        of_size(values, self.size, title)
        shown = values if self.levels is None else self.levels(values)
        return shown if shown.shape[2] == 3 else shown.repeat(3, axis=2)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames in order; raises `InputError` as `read`."""
        return (self.read(index) for index in range(self._pictures.count))

    def _find(self, option: LevelsOption) -> Levels | None:
        stated = read_levels(option)
        if stated is not None:
            return Levels(*stated, linear=self._pictures.linear)
        if option is None and self._dtype == np.uint8:
            return None
        low, high = find_levels(self._readable, self._pictures.count)
        return Levels(low, high, linear=self._pictures.linear, found=True)

    def _readable(self, index: int) -> np.ndarray:
        """The values of a picture; none where it is broken, which those who come to it are told."""
        try:
            return self._pictures.read(index)
        except InputError:
            return np.empty(0, self._dtype)


def of_size(picture: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """The picture, if it has the first frame's size."""
    height, width, _ = picture.shape
    if (height, width) != size:
        raise InputError(
            f"{name}: {width}×{height}, but the first frame is {size[1]}×{size[0]}; give frames of one size"
        )
    return picture


def _natural(path: Path) -> list[str | int]:
    """Sort key in which numbers count by value, so that 2.jpg comes before 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
