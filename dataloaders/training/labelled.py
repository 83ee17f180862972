"""Labelled images, image sets and video sets, read on demand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class LabelledImage(Protocol):
    """An image and its mask."""

    @property
    def name(self) -> str:
        """Name in messages: the path of the image."""

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image H×W×3 uint8 RGB and its mask H×W uint8: ids, 0 background, 255 ignored.

        Raises:
            InputError: not readable, or image and mask differ in size.
        """

    def read_mask(self) -> np.ndarray:
        """Return only the mask."""


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
