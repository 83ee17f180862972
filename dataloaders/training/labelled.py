"""Labelled images, image sets and video sets, read on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.media.images import read_image
from aotlab.utils.errors import InputError


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file and its mask."""

    image: Path

    @property
    def name(self) -> str:
        """Name in messages: the path of the image."""
        return str(self.image)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image H×W×3 uint8 RGB and its mask H×W uint8: ids, 0 background, 255 ignored.

        Raises:
            InputError: not readable, or image and mask differ in size.
        """
        image, mask = read_image(self.image), self.read_mask()
        (height, width), size = mask.shape, image.shape
        if (height, width) != size[:2]:
            raise InputError(
                f"{self.image}: {size[1]}×{size[0]}, but its mask is {width}×{height} in {self.source}; "
                "give the image that the mask was made for"
            )
        return image, mask

    def read_mask(self) -> np.ndarray:
        """Return only the mask."""
        raise NotImplementedError

    @property
    def source(self) -> Path:
        """File of the mask."""
        raise NotImplementedError


@dataclass(frozen=True)
class LabelledVideo:
    """The labelled frames of one video, in order; all of one size."""

    name: str
    frames: tuple[LabelledImage, ...]


@dataclass(frozen=True)
class Subset:
    """Adjacent images of an `ImageSet` with a common sampling weight."""

    name: str
    first: int
    """index of the first image"""
    count: int
    """number of images, at least 1"""
    share: float
    """probability of drawing this subset; adds up to 1 over all subsets"""


@dataclass(frozen=True)
class ImageSet:
    """Single images, each of which gives a clip by moving it."""

    name: str
    images: tuple[LabelledImage, ...]
    subsets: tuple[Subset, ...] = ()
    """subsets to draw from before an image is drawn; empty: images are drawn uniformly"""
    parts: tuple[str, ...] = ()
    """names of the sets in a collection"""


@dataclass(frozen=True)
class VideoSet:
    """Videos, from which clips are cut."""

    name: str
    videos: tuple[LabelledVideo, ...]
    max_gap: int
    """largest number of frames between two frames of a clip"""
