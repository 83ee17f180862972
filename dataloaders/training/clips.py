"""Training clips made of single images and of videos (AOT, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig
from aotlab.dataloaders.training.augment import MERGE_PIXELS, count_ids, crop_video, move_image
from aotlab.dataloaders.training.labelled import LabelledImage, LabelledVideo
from aotlab.media.masks import VOID
from aotlab.utils.errors import InputError

MOST_OBJECTS = (VOID - 1) // 2
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


def sample_image(item: LabelledImage, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
    """Make a clip of at most ``max_objects`` objects from a single image; raises `InputError` if it is not readable."""
    frames, labels = move_image(*item.read(), phase, rng)
    clip = relabel(frames, labels, rng, minimum=0, max_objects=max_objects)
    return replace(clip, names=(item.name,))


def sample_video(
    video: LabelledVideo, max_gap: int, phase: PhaseConfig, rng: Generator, *, max_objects: int
) -> Clip:
    """Make a clip of at most ``max_objects`` objects from frames of a video, in one random crop.

    Raises:
        InputError: a frame is not readable, or two differ in size.
    """
    indices = choose_frames(video, phase.clip_length, max_gap, rng)
    read = {index: video.frames[index].read() for index in sorted(set(indices))}
    height, width = read[indices[0]][1].shape
    for index, (_, mask) in read.items():
        if mask.shape != (height, width):
            raise InputError(
                f"{video.frames[index].name}: {mask.shape[1]}×{mask.shape[0]}, but another frame of its video is "
                f"{width}×{height}; give frames of one size"
            )
    images, masks = zip(*(read[index] for index in indices), strict=True)
    frames, labels = crop_video(images, masks, phase, rng)
    clip = relabel(frames, labels, rng, minimum=MERGE_PIXELS, max_objects=max_objects)
    return replace(clip, names=(video.name,))


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
    kept = rng.permutation(kept)[: min(max_objects, MOST_OBJECTS)]
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
