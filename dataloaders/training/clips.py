"""Training clips made of single images and of videos (AOT, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig
from aotlab.dataloaders.training.augment import MERGE_PIXELS, count_ids, crop_video, move_image
from aotlab.dataloaders.training.labelled import LabelledImage, LabelledVideo
from aotlab.media.masks import VOID
from aotlab.utils.errors import InputError

MAX_OBJECTS = (VOID - 1) // 2
"""largest number of objects in a clip; those of two merged clips stay below 255"""
REFERENCE_PIXELS = 200
"""number of labelled pixels that a reference frame must exceed"""
IGNORED_SHARE = 0.2
"""largest number of ignored pixels on a reference frame, relative to its labelled ones"""
REFERENCE_TRIES = 20
WINDOW_TRIES = 6
"""number of attempts to choose frames without new objects after the reference frame"""


@dataclass(frozen=True)
class Clip:
    """A training clip; the first frame is the reference frame."""

    frames: np.ndarray
    """T×H×W×3 uint8 RGB"""
    labels: np.ndarray
    """T×H×W uint8: 0 background, 1 to ``objects``, 255 ignored"""
    objects: int
    """may be 0"""
    names: tuple[str, ...] = ()
    """names of the images and videos it was made from"""
    replaced: tuple[str, ...] = ()
    """one sentence per drawn item that could not be read"""


def choose_frames(video: LabelledVideo, length: int, max_gap: int, rng: Generator) -> list[int]:
    """Draw frame indices with random gaps, forwards or backwards, the reference frame first.

    After a few attempts at most, the reference frame shows enough and later frames bring no new objects, if possible.

    Raises:
        InputError: a mask is not readable.
    """
    # Backwards is forwards through the reversed frames.
    order = range(len(video.frames)) if rng.random() < 0.5 else range(len(video.frames))[::-1]

    @cache
    def counts(index: int) -> np.ndarray:
        return count_ids(video.frames[index].read_mask())

    for _ in range(WINDOW_TRIES):
        steps = rng.integers(1, max_gap + 1, length - 1)
        for _ in range(REFERENCE_TRIES):
            start = int(rng.integers(len(order)))
            if fits_as_reference(counts(order[start])):
                break
        positions = [start, *(start + np.cumsum(steps))]
        indices = [order[reflect(int(position), len(order))] for position in positions]
        present = [counts(index)[1:VOID] > 0 for index in indices]
        if not (np.any(present, axis=0) & ~present[0]).any():
            break
    return indices


def fits_as_reference(counts: np.ndarray) -> bool:
    """Return whether a frame with these pixel counts per id can be a reference frame."""
    labelled = counts[1:VOID].sum()
    return bool(labelled > REFERENCE_PIXELS and counts[VOID] <= IGNORED_SHARE * labelled)


def reflect(index: int, length: int) -> int:
    """Reflect a frame index into 0 to length-1 at both ends."""
    period = max(2 * (length - 1), 1)
    return min(index % period, -index % period)


def relabel(
    frames: np.ndarray, labels: np.ndarray, rng: Generator, *, minimum: int, max_objects: int
) -> Clip:
    """Renumber the reference frame's objects 1 to n; everything else becomes background.

    Args:
        frames: T×H×W×3 uint8.
        labels: T×H×W uint8.
        minimum: number of pixels on the reference frame that an object must exceed.
        max_objects: largest number of objects; more are sampled at random.
    """
    kept = 1 + np.flatnonzero(count_ids(labels[0])[1:VOID] > minimum)
    kept = rng.permutation(kept)[: min(max_objects, MAX_OBJECTS)]
    table = np.zeros(256, dtype=np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    table[VOID] = VOID
    return Clip(frames, table[labels], len(kept))


def merge_clips(first: Clip, second: Clip, rng: Generator, *, max_objects: int) -> Clip:
    """Paste the second clip's objects over the first clip (dynamic merge), keeping at most ``max_objects``."""
    pasted = (second.labels > 0) & (second.labels < VOID)
    frames = np.where(pasted[..., None], second.frames, first.frames)
    labels = np.where(pasted, second.labels + np.uint8(first.objects), first.labels)
    merged = relabel(frames, labels, rng, minimum=MERGE_PIXELS, max_objects=max_objects)
    return replace(merged, names=first.names + second.names)


class ClipSource(Protocol):
    """A set of images or videos that clips are made of."""

    def describe(self) -> str:
        """Return the number and kind of its items, for people."""

    def draw(self, rng: Generator) -> int:
        """Draw the index of an item."""

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of at most ``max_objects`` objects of an item; raises `InputError` if it is not readable."""


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
    """Single images, each of which is moved to give a clip."""

    images: tuple[LabelledImage, ...]
    subsets: tuple[Subset, ...] = ()
    """subsets to draw from before an image is drawn; empty: images are drawn uniformly"""

    def describe(self) -> str:
        """Return the number of images, and the shares of the subsets."""
        shares = ", ".join(f"{subset.name} {100 * subset.share:.0f} %" for subset in self.subsets)
        return f"{len(self.images)} images" + (f" ({shares})" if shares else "")

    def draw(self, rng: Generator) -> int:
        """Draw the index of an image."""
        if not self.subsets:
            return int(rng.integers(len(self.images)))
        subset = self.subsets[int(rng.choice(len(self.subsets), p=[subset.share for subset in self.subsets]))]
        return subset.first + int(rng.integers(subset.count))

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of an image; raises `InputError` if it is not readable."""
        frames, labels = move_image(*self.images[index].read(), phase, rng)
        clip = relabel(frames, labels, rng, minimum=0, max_objects=max_objects)
        return replace(clip, names=(self.images[index].name,))


@dataclass(frozen=True)
class VideoSet:
    """Videos, from which clips are cut."""

    name: str
    videos: tuple[LabelledVideo, ...]
    max_gap: int
    """largest number of frames between two frames of a clip"""

    def describe(self) -> str:
        """Return the number of videos and labelled frames, and the largest gap."""
        frames = sum(len(video.frames) for video in self.videos)
        return f"{len(self.videos)} videos with {frames} labelled frames, gaps up to {self.max_gap}"

    def draw(self, rng: Generator) -> int:
        """Draw the index of a video."""
        return int(rng.integers(len(self.videos)))

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of frames of a video, in one random crop.

        Raises:
            InputError: a frame is not readable, or two differ in size.
        """
        video = self.videos[index]
        indices = choose_frames(video, phase.clip_length, self.max_gap, rng)
        frames_read = {index: video.frames[index].read() for index in sorted(set(indices))}
        height, width = frames_read[indices[0]][1].shape
        for index, (_, mask) in frames_read.items():
            if mask.shape != (height, width):
                raise InputError(
                    f"{video.frames[index].name}: {mask.shape[1]}×{mask.shape[0]}, but another frame of its video is "
                    f"{width}×{height}; give frames of one size"
                )
        images, masks = zip(*(frames_read[index] for index in indices), strict=True)
        frames, labels = crop_video(images, masks, phase, rng)
        clip = relabel(frames, labels, rng, minimum=MERGE_PIXELS, max_objects=max_objects)
        return replace(clip, names=(video.name,))
