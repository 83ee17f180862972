"""Training clips: objects renumbered, and one clip pasted over another (AOT, Training Details)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig
from aotlab.dataloaders.training.augment import MAX_DROPPED_PIXELS, count_ids
from aotlab.media.masks import VOID

MAX_OBJECTS = (VOID - 1) // 2
"""largest number of objects in a clip; two merged clips stay below 255"""


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
    unreadable: tuple[str, ...] = ()
    """one message per drawn item that could not be read"""


def reflect_index(index: int, length: int) -> int:
    """Reflect a frame index into 0 to length-1 at both ends."""
    period = max(2 * (length - 1), 1)
    return min(index % period, -index % period)


def relabel(
    frames: np.ndarray, labels: np.ndarray, rng: Generator, *, min_pixels: int, max_objects: int
) -> Clip:
    """Renumber the reference frame's objects 1 to n; everything else becomes background.

    Args:
        frames: T×H×W×3 uint8.
        labels: T×H×W uint8.
        min_pixels: number of pixels on the reference frame that an object must exceed.
        max_objects: largest number of objects; more are sampled at random.
    """
    kept = 1 + np.flatnonzero(count_ids(labels[0])[1:VOID] > min_pixels)
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
    merged = relabel(frames, labels, rng, min_pixels=MAX_DROPPED_PIXELS, max_objects=max_objects)
    return replace(merged, names=first.names + second.names)


class ClipSource(Protocol):
    """A set of images or videos that clips are made of."""

    def describe(self) -> str:
        """Return the number and kind of its items, for people."""

    def sample_index(self, rng: Generator) -> int:
        """Draw the index of an item."""

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of at most ``max_objects`` objects of an item; raises `InputError` if it is not readable."""
