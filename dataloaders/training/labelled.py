"""Images with masks to learn from, read when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class LabelledImage(Protocol):
    """An image and its mask."""

    @property
    def name(self) -> str:
        """What messages call it: the image's path."""

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """The image H×W×3 uint8 RGB and its mask H×W uint8: ids, 0 background, 255 ignored.

        Raises:
            InputError: not readable, or image and mask differ in size.
        """

    def read_mask(self) -> np.ndarray:
        """The mask alone."""


@dataclass(frozen=True)
class LabelledVideo:
    """The labelled frames of one video, in order; all of one size."""

    name: str
    frames: tuple[LabelledImage, ...]


@dataclass(frozen=True)
class Subset:
    """Neighbouring images of an `ImageSet` that are drawn with a probability of their own."""

    name: str
    first: int
    """index of its first image"""
    count: int
    """images, at least 1"""
    share: float
    """of the draws; those of all subsets add up to 1"""


@dataclass(frozen=True)
class ImageSet:
    """Single images; clips are made by moving one about."""

    name: str
    images: tuple[LabelledImage, ...]
    subsets: tuple[Subset, ...] = ()
    """one is drawn first, then an image in it; none: every image is drawn alike"""
    parts: tuple[str, ...] = ()
    """names of the sets that it is made of, if it is a collection"""


@dataclass(frozen=True)
class VideoSet:
    """Videos; clips are cut from one."""

    name: str
    videos: tuple[LabelledVideo, ...]
    max_gap: int
    """largest number of frames between two frames of a clip"""
