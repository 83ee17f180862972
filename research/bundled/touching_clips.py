"""Clips in which similar objects touch, cross and hide one another, with parts that move against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training import layouts
from aotlab.dataloaders.training.augment import MAX_DROPPED_PIXELS, flip_horizontally
from aotlab.dataloaders.training.clips import Clip, Motion, paste, relabel
from aotlab.dataloaders.training.sets import ImageSet
from aotlab.media.masks import VOID

MAX_TRIES = 4
"""Number of attempts to draw motions that show every object on the reference frame."""
MIN_VISIBLE = 0.35
"""Fraction of each object's pixels that must be visible on the reference frame."""
MIN_CUTOUT_PIXELS = 400
"""Smallest number of pixels of an object that is cut out."""
MAX_OBJECTS = 10
"""Largest number of objects in a clip."""
PEOPLE = ("CCP", "PennFudan")
"""Sets of images of people."""
PARTS = 20
"""Number of parts that all images are divided into."""
HELD_OUT_PART = 0
"""Part that the prompt network and rendered clips do not use."""
MIN_CONNECTED_SHARE = 0.9
"""Fraction of the labeled pixels in one component, above which the objects of an image may be parts of one body."""


@dataclass(frozen=True)
class Cutout:
    """An object without its surroundings."""

    image: np.ndarray
    """H×W×3 uint8."""
    mask: np.ndarray
    """H×W float32, 1 on the object, else 0."""

    @property
    def size(self) -> np.ndarray:
        """Width and height in pixels, (2,)."""
        return np.array([self.mask.shape[1], self.mask.shape[0]], float)


@dataclass(frozen=True)
class Joint:
    """A part of an object that swings relative to the rest, with a smooth transition."""

    pivot: np.ndarray
    """Column and row in the cutout, (2,)."""
    normal: np.ndarray
    """Unit vector from the fixed part to the swinging part, (2,)."""
    width: float
    """Width of the transition in pixels."""
    swing: float
    """Largest angle in radians."""
    rate: float
    """Number of swings from the first frame to the last."""
    phase: float
    """Phase on the first frame in radians."""

    def bend(self, points: np.ndarray, time: float) -> np.ndarray:
        """Return where points (..., 2) of the object at a time from 0 to 1 lie in the cutout."""
        angle = self.swing * math.sin(2 * math.pi * self.rate * time + self.phase)
        away = points - self.pivot
        share = 1 / (1 + np.exp(-np.clip(away @ self.normal / self.width, -30, 30)))
        cosine, sine = math.cos(angle), math.sin(angle)
        turned = away @ np.array([[cosine, -sine], [sine, cosine]])
        return np.asarray(points + share[..., None] * (turned - away))


def cut_out_object(image: np.ndarray, mask: np.ndarray, rng: Generator) -> Cutout | None:
    """Cut an object out of an image H×W×3 with ids H×W, at random parts of one body together; None if all are small."""
    objects = np.where(mask < VOID, mask, 0)
    ids, areas = np.unique(objects[objects > 0], return_counts=True)
    if not (areas >= MIN_CUTOUT_PIXELS).any():
        return None
    chosen = objects == rng.choice(ids[areas >= MIN_CUTOUT_PIXELS])
    if len(ids) > 1 and rng.random() < 0.5 and measure_largest_part(objects > 0) >= MIN_CONNECTED_SHARE:
        chosen = objects > 0
    left, top, width, height = cv2.boundingRect(chosen.astype(np.uint8))
    window = slice(top, top + height), slice(left, left + width)
    return Cutout(image[window], chosen[window].astype(np.float32))


def draw_cutouts(source: ImageSet, index: int, rng: Generator) -> list[Cutout]:
    """Cut out two or three similar objects: of an image and of others of its folder, or one object several times.

    Returns:
        An empty list if the image has no object that is large enough.
    """
    image_file, same_folder = source.images[index], source.images
    for indices in source.folders.values():
        if index in indices:
            same_folder = source.images[indices.start : indices.stop]
    first = cut_out_object(*image_file.read(), rng)
    if first is None:
        return []
    cutouts = [first]
    for _ in range(2 if rng.random() < 0.3 else 1):
        kind = rng.random()
        other = image_file if kind < 0.4 else same_folder[int(rng.integers(len(same_folder)))]
        image, mask = other.read()
        cutout = (first if kind < 0.2 else cut_out_object(image, mask, rng)) or first
        cutout = Cutout(*flip_horizontally(cutout.image, cutout.mask)) if rng.random() < 0.5 else cutout
        cutouts.append(match_colors(cutout, first, rng.uniform(0.4, 1.0)))
    return [cutouts[number] for number in rng.permutation(len(cutouts))]


def match_colors(cutout: Cutout, other: Cutout, share: float) -> Cutout:
    """Move mean and deviation of an object's colors (CIELAB) toward those of another, by the fraction ``share``."""
    inside, reference = cutout.mask > 0, other.mask > 0
    colors = cv2.cvtColor(cutout.image, cv2.COLOR_RGB2LAB).astype(np.float32)
    target = cv2.cvtColor(other.image, cv2.COLOR_RGB2LAB)[reference].astype(np.float32)
    mean, deviation = colors[inside].mean(0), colors[inside].std(0) + 1
    scaled = (colors - mean) * ((target.std(0) + 1) / deviation) ** share
    moved = scaled + mean + share * (target.mean(0) - mean)
    image = cv2.cvtColor(np.clip(moved, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return Cutout(image, cutout.mask)


def paste_touching(background: Clip, cutouts: Sequence[Cutout], rng: Generator, *, max_objects: int) -> Clip:
    """Let objects meet over a clip: they come from different sides, touch or overlap, then pass or separate.

    Args:
        background: clip of T×S×S frames; its own objects stay, under the others.
        cutouts: two or three objects, the first one lowest.
        max_objects: largest number of objects; more are sampled at random.
    """
    side = background.frames.shape[1]
    for _ in range(MAX_TRIES):
        motions = draw_meeting(cutouts, side, rng)
        joints = [draw_joints(cutout, rng) for cutout in cutouts]
        turn = rng.uniform(0.25, 0.75) if rng.random() < 0.5 else 1.0  # before it objects meet, then go back
        frames, labels = background.frames.copy(), background.labels.copy()
        for index in range(len(frames)):
            time = index / max(len(frames) - 1, 1)
            time = turn - abs(time - turn)
            for number, each in enumerate(zip(cutouts, motions, joints, strict=True)):
                _paste_cutout(frames[index], labels[index], *each, time, background.num_objects + 1 + number)
        pixels = [motion.scale**2 * cutout.mask.sum() for motion, cutout in zip(motions, cutouts, strict=True)]
        shown = [(labels[0] == background.num_objects + 1 + number).sum() for number in range(len(cutouts))]
        if all(seen > MIN_VISIBLE * whole for seen, whole in zip(shown, pixels, strict=True)):
            break
    clip = relabel(frames, labels, rng, min_pixels=MAX_DROPPED_PIXELS, max_objects=max_objects)
    return replace(clip, names=background.names)


def compose_touching_clip(images: ImageSet, rng: Generator, frames: int, side: int) -> Clip:
    """Compose a clip of T×side×side frames: similar objects meet in front of a panned image, whose objects remain."""
    cutouts: list[Cutout] = []
    while not cutouts:
        index = images.sample_index(rng)
        cutouts = draw_cutouts(images, index, rng)
    background = pan_image(*images.images[int(rng.integers(len(images.images)))].read(), rng, frames, side)
    clip = paste_touching(background, cutouts, rng, max_objects=MAX_OBJECTS)
    return replace(clip, names=(images.images[index].image.stem,))


def compose_people_clip(images: ImageSet, rng: Generator, frames: int, side: int) -> Clip:
    """Compose a clip of T×side×side frames: two people in similar colors meet in front of a panned image."""
    people = [image for image in images.images if image.image.parent.name in PEOPLE]
    others = [image for image in images.images if image.image.parent.name not in PEOPLE]
    cutouts: list[Cutout] = []
    for index in rng.permutation(len(people)):
        image, mask = people[index].read()
        if people[index].image.parent.name == "CCP":  # ids of clothes
            mask = ((mask > 0) & (mask < VOID)).astype(np.uint8)
        person = cut_out_object(image, mask, rng)
        if person is not None:
            cutouts.append(match_colors(person, cutouts[0], rng.uniform(0.4, 1.0)) if cutouts else person)
        if len(cutouts) == 2:
            break
    image, mask = others[int(rng.integers(len(others)))].read()
    clip = paste_touching(pan_image(image, np.zeros_like(mask), rng, frames, side), cutouts, rng, max_objects=2)
    return replace(clip, names=(people[index].image.stem,))


def pan_image(image: np.ndarray, mask: np.ndarray, rng: Generator, frames: int, side: int) -> Clip:
    """Move a square window across an image H×W×3 with ids H×W."""
    factor = 1.2 * side / min(mask.shape)
    size = round(mask.shape[1] * factor), round(mask.shape[0] * factor)
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
    mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT))
    room = np.array(mask.shape) - side
    start, end = room * rng.uniform(0, 1, 2), room * rng.uniform(0, 1, 2)
    views, labels = [], []
    for time in np.linspace(0, 1, frames):
        top, left = np.rint(start + time * (end - start)).astype(int)
        views.append(image[top : top + side, left : left + side])
        labels.append(mask[top : top + side, left : left + side])
    return relabel(np.stack(views), np.stack(labels), rng, min_pixels=100, max_objects=3)


def draw_meeting(cutouts: Sequence[Cutout], side: int, rng: Generator) -> list[Motion]:
    """Draw motions that bring objects, 0.3 to 0.6 of the frame's ``side``, together near the middle of the frame."""
    size, center = rng.uniform(0.3, 0.6) * side, rng.uniform(0.35, 0.65, 2) * side
    angle, contact = rng.normal(0, 0.4), rng.uniform(0.2, 0.8)
    near, far = rng.uniform(-0.15, 0.4), rng.uniform(0.5, 0.95)
    motions = []
    for number, cutout in enumerate(cutouts):
        direction = angle + (0, math.pi, math.pi / 2)[number % 3]
        unit = np.array([math.cos(direction), math.sin(direction)])
        scale = min(2.0, size * math.exp(rng.normal(0, 0.1)) / cutout.size.max())
        reach = scale * float(np.abs(unit) @ cutout.size) * np.exp(rng.normal(0, 0.1))
        last = np.clip(far + (near - far) / contact, -1.2, 1.2)
        start = center + unit * far * reach + rng.normal(0, 0.03, 2) * side
        shift = unit * (last - far) * reach + rng.normal(0, 0.06, 2) * side
        motions.append(Motion(start, shift, scale, rng.uniform(-0.15, 0.15), rng.normal(0, 0.15)))
    return motions


def draw_joints(cutout: Cutout, rng: Generator) -> list[Joint]:
    """Draw one to three joints at pixels of an object."""
    pixels, longest = np.argwhere(cutout.mask > 0), cutout.size.max()
    joints = []
    for _ in range(rng.integers(1, 4)):
        direction = rng.uniform(0, 2 * math.pi)
        joints.append(
            Joint(
                pivot=pixels[rng.integers(len(pixels))][::-1].astype(float),
                normal=np.array([math.cos(direction), math.sin(direction)]),
                width=longest * rng.uniform(0.03, 0.12),
                swing=rng.uniform(0.1, 0.5),
                rate=rng.uniform(0.3, 1.2),
                phase=rng.uniform(0, 2 * math.pi),
            )
        )
    return joints


def _paste_cutout(
    frame: np.ndarray, label: np.ndarray, cutout: Cutout, motion: Motion, joints: Sequence[Joint],
    time: float, number: int,
) -> None:  # fmt: skip
    """Draw a cutout at a time into a frame S×S×3 and its labels S×S, in place."""
    move = motion.matrix(time, cutout.size / 2)
    reach = 0.75 * cutout.size.max() * math.hypot(*move[:2, 0])
    middle = (move @ np.array([*cutout.size / 2, 1]))[:2]
    left, top = np.maximum(np.floor(middle - reach).astype(int), 0)
    right, bottom = np.minimum(np.ceil(middle + reach).astype(int), frame.shape[0])
    if left >= right or top >= bottom:
        return
    columns, rows = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(move)[:2].T
    for joint in joints:
        points = joint.bend(points, time)
    across, down = cv2.split((points - 0.5).astype(np.float32))
    mask = cv2.remap(cutout.mask, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    image = cv2.remap(cutout.image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    window = slice(top, bottom), slice(left, right)
    paste(frame[window], image, mask)
    label[window][mask > 0.5] = number


def measure_largest_part(mask: np.ndarray) -> float:
    """Return the fraction of a mask's pixels in its largest connected component."""
    areas = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum())


def compute_part(image: Path) -> int:
    """Return the part of all images, 0 to 19 by the checksum of its name, that an image belongs to."""
    return crc32(f"{image.parent.name}/{image.stem}".encode()) % PARTS


def is_held_out(image: Path) -> bool:
    """Return whether an image is held out of training."""
    return compute_part(image) == HELD_OUT_PART


def open_static_part(data: Path, part: int) -> ImageSet:
    """Return the images of ``data/static`` that belong to a part."""
    images = layouts.open_static(data / "static", SourceConfig(path="static", kind="static")).images
    return ImageSet(tuple(image for image in images if compute_part(image.image) == part), balance=0.5)
