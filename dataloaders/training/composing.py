"""Composition of two clips: the objects of one move across the other, over or under its objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.dataloaders.training.augment import MERGE_PIXELS
from aotlab.dataloaders.training.clips import Clip, merge_clips, relabel
from aotlab.dataloaders.training.warps import translation, warp_affine
from aotlab.media.masks import VOID

TRIES = 4
"""number of attempts to draw a motion that hides no object on the reference frame"""
LEAST_SHOWN = 0.4
"""fraction of the pasted pixels that must be visible on the reference frame"""
ENTERING_PIXELS = 20
"""largest number of visible pixels on the reference frame for which an entering object is dropped"""
EDGE = 0.7
"""standard deviation of the blur along the outline of pasted objects, in pixels"""


@dataclass(frozen=True)
class Motion:
    """Motion of pasted objects from the first frame to the last; lengths in pixels."""

    start: np.ndarray
    """column and row of the objects' centre on the first frame, (2,)"""
    shift: np.ndarray
    """shift of the centre on the last frame, (2,)"""
    scale: float
    """scale on the first frame"""
    growth: float
    """logarithm of the scale factor on the last frame"""
    turn: float
    """rotation from the first frame to the last, in radians"""

    def at(self, time: float, centre: np.ndarray) -> np.ndarray:
        """Return the 3×3 map of objects around ``centre`` at a time from 0 to 1."""
        scale, angle = self.scale * math.exp(self.growth * time), self.turn * time
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return translation(*(self.start + self.shift * time)) @ turned @ translation(*-centre)


def compose(first: Clip, second: Clip, rng: Generator, *, max_objects: int, entering: bool = False) -> Clip:
    """Paste the second clip's objects, scaled and moving, over the first clip; under its objects half the time.

    Args:
        first: clip of T×S×S frames, which provides the background.
        second: clip of the same shape; its objects also keep their motion.
        max_objects: largest number of objects; more are sampled at random.
        entering: objects enter over a border, mostly hidden on the reference frame.
    """
    box = _box(second.labels[0])
    if box is None:
        return merge_clips(first, second, rng, max_objects=max_objects)
    wanted = min(first.objects + second.objects, max_objects)
    pixels = np.count_nonzero(_objects(second.labels[0]))
    draw, minimum, least = random_motion, MERGE_PIXELS, LEAST_SHOWN
    if entering:
        draw, minimum, least = entering_motion, ENTERING_PIXELS, 0.0
    for _ in range(TRIES):
        motion = draw(box, first.frames.shape[1], rng)
        frames, labels = _paste(first, second, motion, box, behind=rng.random() < 0.5)
        shown = np.count_nonzero(_objects(labels[0]) & (labels[0] > first.objects))
        clip = relabel(frames, labels, rng, minimum=minimum, max_objects=max_objects)
        if clip.objects == wanted and shown > least * motion.scale**2 * pixels:
            break
    return replace(clip, names=first.names + second.names)


def random_motion(box: tuple[int, int, int, int], crop: int, rng: Generator) -> Motion:
    """Draw a motion for a bounding box (left, top, width, height), 0.25 to 0.6 of the crop on the first frame."""
    scale = rng.uniform(0.25, 0.6) * crop / max(box[2:])
    return Motion(
        start=rng.uniform(0.2, 0.8, 2) * crop,
        shift=rng.uniform(-0.35, 0.35, 2) * crop,
        scale=min(scale, 1.5),  # larger scales would blur
        growth=rng.uniform(-0.25, 0.25),
        turn=math.radians(rng.uniform(-15, 15)),
    )


def entering_motion(box: tuple[int, int, int, int], crop: int, rng: Generator) -> Motion:
    """Draw a motion as `random_motion` does, with at most 0.4 of width or height visible on the first frame."""
    motion = random_motion(box, crop, rng)
    axis, far = int(rng.integers(2)), rng.random() < 0.5
    size = motion.scale * box[2 + axis]
    outside = (0.5 - 0.4 * rng.random() ** 2) * size  # distance of the centre from the border
    start, shift = motion.start.copy(), motion.shift.copy()
    start[axis] = crop + outside if far else -outside
    shift[axis] = (outside + rng.uniform(0.1, 0.5) * crop) * (-1 if far else 1)
    return replace(motion, start=start, shift=shift, turn=0.0)


def _paste(
    first: Clip, second: Clip, motion: Motion, box: tuple[int, int, int, int], *, behind: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames T×S×S×3 and labels T×S×S; ids of the second clip follow those of the first."""
    left, top, width, height = box
    centre = np.array([left + width / 2, top + height / 2])
    frames, labels = first.frames.copy(), first.labels.copy()
    for index, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        move = motion.at(index / max(len(frames) - 1, 1), centre)
        image, ids = warp_affine(second.frames[index], second.labels[index], move, frame.shape[0])
        shown = _objects(ids)
        if behind:
            shown &= label == 0
        cover = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), EDGE)[..., None]
        frame[:] = np.rint(frame + cover * (image.astype(np.float32) - frame))
        label[shown] = ids[shown] + np.uint8(first.objects)
    return frames, labels


def _box(labels: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the bounding box (left, top, width, height) of all objects in H×W labels, or None."""
    left, top, width, height = cv2.boundingRect(_objects(labels).view(np.uint8))
    return (left, top, width, height) if width else None


def _objects(labels: np.ndarray) -> np.ndarray:
    """Return the mask of labels that are neither background nor ignored."""
    return np.asarray((labels > 0) & (labels < VOID))
