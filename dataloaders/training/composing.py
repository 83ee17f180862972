"""Two-object clips composed on the fly: one clip's objects move across another, in front of its objects or behind."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.dataloaders.training.augment import MERGE_PIXELS
from aotlab.dataloaders.training.clips import Clip, merge, relabel
from aotlab.dataloaders.training.warps import translation, warp_affine
from aotlab.masks.id_maps import VOID

TRIES = 4
"""motions that are drawn until no object is hidden on the reference frame"""
LEAST_SHOWN = 0.4
"""part of the pasted pixels that the reference frame has to show, or another motion is drawn"""
ENTERING_PIXELS = 20
"""objects that enter are left out where the reference frame shows no more pixels of them than this"""
EDGE = 0.7
"""standard deviation of the blur along the outline of pasted objects, in pixels"""


@dataclass(frozen=True)
class Motion:
    """How pasted objects move from the first frame to the last; lengths in pixels."""

    start: np.ndarray
    """2: column and row of their centre on the first frame"""
    shift: np.ndarray
    """2: to their centre on the last frame"""
    scale: float
    """on the first frame"""
    growth: float
    """logarithm of how much larger they are on the last frame"""
    turn: float
    """radians from the first frame to the last"""

    def at(self, time: float, centre: np.ndarray) -> np.ndarray:
        """3×3: what moves objects around ``centre`` to where they are at a time from 0 to 1."""
        scale, angle = self.scale * math.exp(self.growth * time), self.turn * time
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return translation(*(self.start + self.shift * time)) @ turned @ translation(*-centre)


def compose(first: Clip, second: Clip, rng: Generator, *, max_objects: int, entering: bool = False) -> Clip:
    """Paste the second clip's objects scaled and moving over the first clip; half the time behind its objects.

    Args:
        first: T×S×S frames; gives the background.
        second: a clip of the same shape; its objects keep their own motion besides.
        rng: source of all randomness.
        max_objects: where there are more objects, so many are drawn at random.
        entering: they come in over a border of the picture, so that the reference frame shows little of them.
    """
    box = _box(second.labels[0])
    if box is None:
        return merge(first, second, rng, max_objects=max_objects)
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
    """A motion for objects of a bounding box (left, top, width, height): 0.25 to 0.6 of the crop large at first."""
    scale = rng.uniform(0.25, 0.6) * crop / max(box[2:])
    return Motion(
        start=rng.uniform(0.2, 0.8, 2) * crop,
        shift=rng.uniform(-0.35, 0.35, 2) * crop,
        scale=min(scale, 1.5),  # larger ones would be blurred
        growth=rng.uniform(-0.25, 0.25),
        turn=math.radians(rng.uniform(-15, 15)),
    )


def entering_motion(box: tuple[int, int, int, int], crop: int, rng: Generator) -> Motion:
    """As `random_motion`, but of their width or height at most 0.4 is in the picture at first, mostly far less."""
    motion = random_motion(box, crop, rng)
    axis, far = int(rng.integers(2)), rng.random() < 0.5
    size = motion.scale * box[2 + axis]
    outside = (0.5 - 0.4 * rng.random() ** 2) * size  # from the border to their centre
    start, shift = motion.start.copy(), motion.shift.copy()
    start[axis] = crop + outside if far else -outside
    shift[axis] = (outside + rng.uniform(0.1, 0.5) * crop) * (-1 if far else 1)
    return replace(motion, start=start, shift=shift, turn=0.0)


def _paste(
    first: Clip, second: Clip, motion: Motion, box: tuple[int, int, int, int], *, behind: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Frames T×S×S×3 and labels T×S×S; the second's objects are numbered behind the first's."""
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
    """Left, top, width and height of the rectangle around all objects of H×W labels; None without any."""
    rows, columns = np.nonzero(_objects(labels))
    if not len(rows):
        return None
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top


def _objects(labels: np.ndarray) -> np.ndarray:
    """Where labels are neither background nor ignored."""
    return np.asarray((labels > 0) & (labels < VOID))
