"""Image sequences as frames: folders of images and TIFF stacks."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.frame_source import FrameSource
from aotlab.media.images import kind_of, read_values
from aotlab.media.levels import Levels, find_levels, read_levels
from aotlab.media.tiff import TiffStack
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, real_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".exr")
"""suffixes of frames in a folder"""

FOLDER_RATE = Fraction(24)
"""default frame rate of image sequences, as in DAVIS and most films"""

LevelsOption = str | tuple[float, float] | None
"""``auto``, ``LOW,HIGH`` or a pair of numbers; None: 8-bit images unchanged, ``auto`` for others"""


class FolderImages:
    """Images of a folder, sorted by name; raises `InputError` for an empty folder."""

    linear: bool
    """whether values are linear light"""

    def __init__(self, folder: Path) -> None:
        names = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        self.paths = sorted(names, key=lambda path: natural(path.name))
        if not self.paths:
            raise InputError(f"{folder}: holds no frames; give a folder of {', '.join(SUFFIXES)} files")
        stem, count = Counter(path.stem for path in names).most_common(1)[0]
        if count > 1:
            raise InputError(f"{folder}: {count} images are named {stem}; give every frame its own name")
        self.name, self.count = real_path(folder).name, len(self.paths)
        self.linear = kind_of(self.paths[0]) == "exr"

    def read(self, index: int) -> np.ndarray:
        """Read an image as `read_values` does."""
        return read_values(self.paths[index])

    def title(self, index: int) -> str:
        """Return the path."""
        return str(self.paths[index])

    def stem(self, index: int) -> str:
        """Return the stem of the image."""
        return self.paths[index].stem


class ImageFrames(FrameSource):
    """Images with random access; outputs are named like the images.

    Args:
        images: images of one size and type.
        rate: frames per second.
        levels: values shown as black and white.

    Raises:
        InputError: the first image cannot be read, or levels are invalid.
    """

    def __init__(
        self, images: FolderImages | TiffStack, rate: Fraction = FOLDER_RATE, levels: LevelsOption = None
    ) -> None:
        self._images = images
        first = images.read(0)
        if first.dtype.kind not in "uif":
            raise InputError(f"{images.title(0)}: holds values of {first.dtype}; give integers or floats")
        self._dtype = first.dtype
        self.damaged = []
        self.name = images.name
        self.size = (first.shape[0], first.shape[1])
        self.rate = Fraction(rate)
        self.length = images.count
        self.levels = self._find(levels)

    def stem(self, index: int) -> str:
        """Return the stem of the image."""
        return self._images.stem(index)

    def file(self, index: int) -> Path | None:
        """Return the image file of a frame; None in a stack."""
        return self._images.paths[index] if isinstance(self._images, FolderImages) else None

    def read(self, index: int) -> np.ndarray:
        """Read a frame, H×W×3 uint8 RGB; raise `InputError` if it is broken or of another size or type."""
        values, title = self._images.read(index), self._images.title(index)
        if values.dtype != self._dtype and not values.dtype.kind == self._dtype.kind == "f":
            raise InputError(
                f"{title}: has values of {values.dtype}, but the first frame of {self._dtype}; give frames of one kind"
            )
        of_size(values, self.size, title)
        shown = values if self.levels is None else self.levels(values)
        return shown if shown.shape[2] == 3 else shown.repeat(3, axis=2)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames in order; raise `InputError` as `read` does."""
        return (self.read(index) for index in range(self._images.count))

    def _find(self, option: LevelsOption) -> Levels | None:
        stated = read_levels(option)
        if stated is not None:
            return Levels(*stated, linear=self._images.linear)
        if option is None and self._dtype == np.uint8:
            return None
        low, high = find_levels(self._readable, self._images.count)
        return Levels(low, high, linear=self._images.linear, found=True)

    def _readable(self, index: int) -> np.ndarray:
        """Read the values of an image; empty if it is broken, which is reported when the frame is read."""
        try:
            return self._images.read(index)
        except InputError:
            return np.empty(0, self._dtype)


def store_frame(source: object, index: int, frame: np.ndarray, path: Path) -> None:
    """Link the image file of a frame, or write the frame as JPEG if it has no 8-bit file.

    Args:
        frame: H×W×3 uint8 RGB.
        path: file to write, without suffix.

    Raises:
        InputError: the file cannot be written.
    """
    file = source.file(index) if isinstance(source, ImageFrames) and source.levels is None else None
    path = path.with_name(f"{path.name}{'.jpg' if file is None else file.suffix}")
    with atomic_path(path) as temporary:
        if file is None:
            Image.fromarray(frame).save(temporary, format="JPEG", quality=95)
            return
        try:
            temporary.symlink_to(real_path(file))
        except OSError:  # no links here
            shutil.copyfile(file, temporary)


def of_size(image: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """Return the image if it has the size of the first frame."""
    height, width, _ = image.shape
    if (height, width) != size:
        raise InputError(
            f"{name}: {width}×{height}, but the first frame is {size[1]}×{size[0]}; give frames of one size"
        )
    return image


def natural(name: str) -> list[str | int]:
    """Return a sort key that orders numbers by value, so that 2.jpg precedes 10.jpg."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
