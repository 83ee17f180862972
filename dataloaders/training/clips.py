"""Training clips: objects renumbered, and one clip pasted over another (AOT, Training Details)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.dataloaders.training.augment import MAX_DROPPED_PIXELS, count_ids, translation_matrix, warp_affine
from aotlab.media.masks import VOID
from aotlab.utils.errors import require
from aotlab.utils.plugins import describe_object

MAX_OBJECTS = (VOID - 1) // 2
"""Largest number of objects in a clip; two merged clips stay below 255."""
MOTION_TRIES = 4
"""Number of attempts to draw a motion that hides no object on the reference frame."""
MIN_VISIBLE = 0.4
"""Fraction of the pasted pixels that must be visible on the reference frame."""
MAX_ENTERING_PIXELS = 20
"""Largest number of visible pixels on the reference frame for which an entering object is dropped."""
EDGE_BLUR = 0.7
"""Standard deviation of the blur along the outline of pasted objects, in pixels."""


Transform = Callable[[np.ndarray, np.ndarray, Generator], tuple[np.ndarray, np.ndarray]]
"""Function that changes the frames T×H×W×3 uint8 and labels T×H×W uint8 of a clip with a random generator."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A training clip; the first frame is the reference frame."""

    frames: np.ndarray
    """T×H×W×3 uint8 RGB."""
    labels: np.ndarray
    """T×H×W uint8: 0 background, 1 to ``num_objects``, 255 ignored."""
    num_objects: int
    names: tuple[str, ...] = ()
    """Names of the images and videos it was made from."""


def reflect_index(index: int, length: int) -> int:
    """Reflect a frame index into 0 to length-1 at both ends."""
    period = max(2 * (length - 1), 1)
    return min(index % period, -index % period)


def relabel(frames: np.ndarray, labels: np.ndarray, rng: Generator, *, min_pixels: int, max_objects: int) -> Clip:
    """Renumber the reference frame's objects 1 to n; everything else becomes background.

    Args:
        min_pixels: number of pixels on the reference frame that an object must exceed.
        max_objects: largest number of objects; more are sampled at random.
    """
    kept = 1 + np.flatnonzero(count_ids(labels[0])[1:VOID] > min_pixels)
    kept = rng.permutation(kept)[: min(max_objects, MAX_OBJECTS)]
    table = np.zeros(256, dtype=np.uint8)
    table[kept] = np.arange(1, len(kept) + 1)
    table[VOID] = VOID
    return Clip(frames, table[labels], len(kept))


def transform_clip(clip: Clip, transform: Transform, rng: Generator) -> Clip:
    """Apply the transform of a plug-in; objects that the reference frame no longer shows are dropped.

    Raises:
        InputError: the transform changes shapes or types.
    """
    frames, labels = transform(clip.frames.copy(), clip.labels.copy(), rng)
    for found, expected in ((frames, clip.frames), (labels, clip.labels)):
        problem = f"returned {'×'.join(map(str, found.shape))} {found.dtype}"
        is_same = (found.shape, found.dtype) == (expected.shape, expected.dtype)
        remedy = f"expected {'×'.join(map(str, expected.shape))} {expected.dtype}"
        require(is_same, problem, subject=describe_object(transform), remedy=remedy)
    changed = relabel(frames, labels, rng, min_pixels=0, max_objects=MAX_OBJECTS)
    return replace(changed, names=clip.names)


def merge_clips(first: Clip, second: Clip, rng: Generator, *, max_objects: int) -> Clip:
    """Paste the second clip's objects over the first clip (dynamic merge), keeping at most ``max_objects``."""
    pasted = _object_mask(second.labels)
    frames = np.where(pasted[..., None], second.frames, first.frames)
    labels = np.where(pasted, second.labels + np.uint8(first.num_objects), first.labels)
    merged = relabel(frames, labels, rng, min_pixels=MAX_DROPPED_PIXELS, max_objects=max_objects)
    return replace(merged, names=first.names + second.names)


@dataclass(frozen=True)
class Motion:
    """Motion of pasted objects from the first frame to the last; lengths in pixels."""

    start: np.ndarray
    """Column and row of the objects' center on the first frame, (2,)."""
    shift: np.ndarray
    """Shift of the center on the last frame, (2,)."""
    scale: float
    """Scale on the first frame."""
    growth: float
    """Logarithm of the scale factor on the last frame."""
    turn: float
    """Rotation from the first frame to the last, in radians."""

    def matrix(self, time: float, center: np.ndarray) -> np.ndarray:
        """Return the 3×3 map of objects around ``center`` at a time from 0 to 1."""
        scale, angle = self.scale * math.exp(self.growth * time), self.turn * time
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return translation_matrix(*(self.start + self.shift * time)) @ turned @ translation_matrix(*-center)


def compose_clips(first: Clip, second: Clip, rng: Generator, *, max_objects: int, entering: bool = False) -> Clip:
    """Paste the second clip's objects, scaled and moving, over the first clip; under its objects half the time.

    Args:
        first: clip of T×S×S frames, which provides the background.
        second: clip of the same shape; its objects also keep their motion.
        max_objects: largest number of objects; more are sampled at random.
        entering: objects enter over a border, mostly hidden on the reference frame.
    """
    left, top, width, height = cv2.boundingRect(_object_mask(second.labels[0]).view(np.uint8))
    if width == 0:
        return merge_clips(first, second, rng, max_objects=max_objects)
    box = left, top, width, height
    num_expected = min(first.num_objects + second.num_objects, max_objects)
    pixels = np.count_nonzero(_object_mask(second.labels[0]))
    draw, min_pixels, min_visible = random_motion, MAX_DROPPED_PIXELS, MIN_VISIBLE
    if entering:
        draw, min_pixels, min_visible = random_entering_motion, MAX_ENTERING_PIXELS, 0.0
    for _ in range(MOTION_TRIES):
        motion = draw(box, first.frames.shape[1], rng)
        frames, labels = _paste(first, second, motion, box, underneath=rng.random() < 0.5)
        visible = np.count_nonzero(_object_mask(labels[0]) & (labels[0] > first.num_objects))
        clip = relabel(frames, labels, rng, min_pixels=min_pixels, max_objects=max_objects)
        if clip.num_objects == num_expected and visible > min_visible * motion.scale**2 * pixels:
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


def random_entering_motion(box: tuple[int, int, int, int], crop: int, rng: Generator) -> Motion:
    """Draw a motion as `random_motion` does, with at most 0.4 of width or height visible on the first frame."""
    motion = random_motion(box, crop, rng)
    axis, at_far_border = int(rng.integers(2)), rng.random() < 0.5
    size = motion.scale * box[2 + axis]
    outside = (0.5 - 0.4 * rng.random() ** 2) * size  # distance of the center from the border
    start, shift = motion.start.copy(), motion.shift.copy()
    start[axis] = crop + outside if at_far_border else -outside
    shift[axis] = (outside + rng.uniform(0.1, 0.5) * crop) * (-1 if at_far_border else 1)
    return replace(motion, start=start, shift=shift, turn=0.0)


def _paste(
    first: Clip, second: Clip, motion: Motion, box: tuple[int, int, int, int], *, underneath: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames T×S×S×3 and labels T×S×S; ids of the second clip follow the first clip's."""
    left, top, width, height = box
    center = np.array([left + width / 2, top + height / 2])
    frames, labels = first.frames.copy(), first.labels.copy()
    for index, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        transform = motion.matrix(index / max(len(frames) - 1, 1), center)
        image, ids = warp_affine(second.frames[index], second.labels[index], transform, frame.shape[0])
        visible = _object_mask(ids)
        if underneath:
            visible &= label == 0
        paste(frame, image, visible.astype(np.float32))
        label[visible] = ids[visible] + np.uint8(first.num_objects)
    return frames, labels


def paste(frame: np.ndarray, image: np.ndarray, mask: np.ndarray) -> None:
    """Draw an image H×W×3 over a frame of its size, in place, where a float32 mask H×W is 1, with a blurred edge."""
    alpha = cv2.GaussianBlur(mask, (0, 0), EDGE_BLUR)[..., None]
    frame[:] = np.rint(frame + alpha * (image.astype(np.float32) - frame))


def _object_mask(labels: np.ndarray) -> np.ndarray:
    """Return the mask of labels that are neither background nor ignored."""
    return np.asarray((labels > 0) & (labels < VOID))
