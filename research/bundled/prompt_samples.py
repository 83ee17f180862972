"""Training samples of prompts: one object of an image, seen whole or close, sometimes partly hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from aotlab.dataloaders.sequences import list_images_by_stem, read_names
from aotlab.dataloaders.training.augment import (
    STRONG_JITTER,
    box_to_crop_matrix,
    jitter_colors,
    random_gray_and_blur,
    warp_affine,
)
from aotlab.dataloaders.training.clips import compose_clips, relabel
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.utils.errors import InputError
from research.bundled.prompt_settings import PromptSource
from research.bundled.touching_clips import is_held_out

MIN_PIXELS = 60
"""Pixels of the smallest object that is drawn."""
COMPOSED_PROBABILITY, BARS_PROBABILITY = 0.22, 0.12
"""Probability that another image's objects lie over or under the object, and that bars do."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its mask on disk."""

    image: Path
    mask: Path
    group: str
    """Name of its set."""
    weight: float
    """Relative frequency."""
    parts: float
    """Probability that objects that touch count as one (a rider and a horse, or the parts of a person)."""
    video: bool = False
    """The image is a frame of a video."""


@dataclass(frozen=True)
class Sample:
    """One object as it is trained on."""

    image: np.ndarray
    """S×S×3 uint8."""
    truth: np.ndarray
    """S×S uint8, 1 on the object, 0 on background, 255 where pixels do not count."""
    others: np.ndarray
    """S×S bool, other objects."""


def list_images(root: Path, sources: Sequence[PromptSource], *, held_out: bool = False) -> list[AnnotatedImage]:
    """List the images of all sources; one in 20, by the checksum of its name, is held out of training."""
    labeled_images = []
    for source in sources:
        base = root / source.path
        names = [source.folder]
        if source.videos:
            names = [name for name in read_names(base / source.videos) if held_out == (name in source.held_out)]
        masks = [path for name in names for path in sorted((base / "Annotations" / name).glob("*.png"))]
        if not source.videos:
            masks = [path for path in masks if held_out == is_held_out(path)]
        if not masks and not held_out:
            raise InputError(
                f"{base / 'Annotations'}: no masks of {source.folder or source.videos}; see datasets/README.md"
            )
        images = {name: {path.stem: path for path in list_images_by_stem(base / "JPEGImages" / name)} for name in names}
        weight, group = source.weight / max(1, len(masks)) ** 0.5, source.folder or source.path
        for mask in masks:
            name = mask.parent.relative_to(base / "Annotations").as_posix()
            image = images[name][mask.stem]
            labeled_images.append(AnnotatedImage(image, mask, group, weight, source.parts, bool(source.videos)))
    return labeled_images


def draw_sample(
    images: Sequence[AnnotatedImage], probabilities: np.ndarray, size: int, rng: np.random.Generator
) -> Sample:
    """Draw an object and a square view of it of ``size`` pixels; ``probabilities``: of each image, adding up to 1."""
    while True:
        drawn = images[rng.choice(len(images), p=probabilities)]
        image, labels = read_image(drawn.image), read_mask(drawn.mask)
        picked = pick_object(labels, rng, together=drawn.parts)
        if picked is None:
            continue
        frame, labels = crop_view(image, *picked, size, rng)
        object_id, hidden = picked[1], rng.random()
        if hidden < COMPOSED_PROBABILITY:
            other = images[rng.choice(len(images), p=probabilities)]
            frame, labels = compose_images(frame, labels, other, rng)
            composed = pick_object(labels, rng, together=0)
            if composed is None:
                continue
            object_id = composed[1]
        sample = Sample(frame, *split_labels(labels, object_id))
        if COMPOSED_PROBABILITY <= hidden < COMPOSED_PROBABILITY + BARS_PROBABILITY:
            sample = add_bars(sample, rng)
        if (sample.truth == 1).sum() >= 40 and (sample.truth == 0).sum() >= 100:
            colored = random_gray_and_blur(jitter_colors(sample.image, STRONG_JITTER, rng), rng)
            return Sample(colored, sample.truth, sample.others)


def pick_object(labels: np.ndarray, rng: np.random.Generator, *, together: float) -> tuple[np.ndarray, int] | None:
    """Draw one object, larger ones a little more often.

    ``together``: probability that it and all objects that it touches count as one.

    Returns:
        The labels, in which joined objects have one id, and the object's id; None if all objects are small.
    """
    is_object = (labels > 0) & (labels != VOID)
    ids, areas = np.unique(labels[is_object], return_counts=True)
    probabilities = np.where(areas >= MIN_PIXELS, areas.astype(float) ** 0.2, 0)
    if not probabilities.sum():
        return None
    join = len(ids) > 1 and rng.random() < together
    object_id = int(ids[rng.choice(len(ids), p=probabilities / probabilities.sum())])
    if join:
        parts = cv2.connectedComponents(cv2.dilate(is_object.astype(np.uint8), np.ones((5, 5))))[1]
        touching = np.isin(parts, np.unique(parts[labels == object_id])) & is_object
        labels = np.where(touching, labels.dtype.type(object_id), labels)
    return labels, object_id


def split_labels(labels: np.ndarray, object_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and others of an object, as in `Sample`."""
    truth = (labels == object_id).astype(np.uint8)
    truth[labels == VOID] = VOID
    return truth, (labels > 0) & (labels != VOID) & (labels != object_id)


def compose_images(
    frame: np.ndarray, labels: np.ndarray, other: AnnotatedImage, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paste the objects of another image over the frame S×S×3, or under its objects; return frame and labels."""
    mask = read_mask(other.mask).astype(np.uint8)
    whole = box_to_crop_matrix((0, 0, mask.shape[1], mask.shape[0]), len(frame))
    pasted, ids = warp_affine(read_image(other.image), mask, whole, len(frame))
    first, second = (
        relabel(pixels[None], objects[None], rng, min_pixels=MIN_PIXELS, max_objects=10)
        for pixels, objects in ((frame, labels), (pasted, ids))
    )
    clip = compose_clips(first, second, rng, max_objects=20)
    return clip.frames[0], clip.labels[0]


def add_bars(sample: Sample, rng: np.random.Generator) -> Sample:
    """Draw one to six straight bars in colors of the image over the object, as of a fence, a net or a pole."""
    rows, columns = sample.truth.shape
    x, y, width, height = cv2.boundingRect((sample.truth == 1).astype(np.uint8))
    direction, count = rng.uniform(0, np.pi), int(rng.integers(1, 7))
    cover = np.zeros((rows, columns), np.uint8)
    for _ in range(count):
        angle = direction + rng.normal() * (0.05 if count > 2 else 0.5)
        reach = (rows + columns) * np.array([np.cos(angle), np.sin(angle)])
        middle = np.array([x, y]) + rng.uniform(0, 1, 2) * (width, height)
        ends = [tuple(np.rint(middle + side * reach).astype(int).tolist()) for side in (-1, 1)]
        thickness = max(1, round(max(width, height) * float(np.exp(rng.uniform(np.log(0.01), np.log(0.12))))))
        cv2.line(cover, ends[0], ends[1], 1, thickness)
    visible = cover > 0
    if (sample.truth[~visible] == 1).sum() < MIN_PIXELS:
        return sample
    color = sample.image[rng.integers(rows), rng.integers(columns)] * rng.uniform(0.5, 1.2)
    shade = np.clip(color + rng.uniform(0, 12) * rng.normal(size=(rows, columns, 1)), 0, 255)
    image = np.where(visible[..., None], shade, sample.image).astype(np.uint8)
    return Sample(image, np.where(visible, 0, sample.truth).astype(np.uint8), sample.others & ~visible)


def crop_view(
    image: np.ndarray, labels: np.ndarray, object_id: int, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Warp to a square view: 36 % the whole image, 50 % close to the object, 14 % between and beyond."""
    matrix, scale = _draw_view(labels == object_id, size, rng)
    if scale < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45 / scale))
    frame, labels = warp_affine(image, labels.astype(np.uint8), matrix, size)
    if scale > 1.2:  # smooth the outline of an enlarged mask
        soft = cv2.GaussianBlur((labels == object_id).astype(np.float32), (0, 0), 0.35 * scale)
        inside = (soft > 0.5) & (labels == 0)
        labels[(labels == object_id) & (soft <= 0.5)] = 0
        labels[inside] = object_id
    return frame, labels


def _draw_view(mask: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw the 3×3 map of a view of an object, and its scale."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    rows, columns = mask.shape
    longest, kind = max(width, height, 1), rng.random()
    if kind < 0.36:
        side = min(rows, columns) * rng.uniform(0.75, 1.0) if rng.random() < 0.55 else max(rows, columns)
    elif kind < 0.86:
        side = max(longest * rng.uniform(1.12, 2.4), 28)
    else:
        low, high = max(0.6 * longest, 24), max(rows, columns, 0.6 * longest + 26)
        side = max(28.0, float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    slack = max(side - 0.9 * longest, 0.15 * side) / 2
    center = np.array([x + width / 2, y + height / 2]) + slack * rng.uniform(-1, 1, size=2)
    for axis, length in enumerate((columns, rows)):
        center[axis] = np.clip(center[axis], side / 2, length - side / 2) if side <= length else length / 2
    angle = 0.12 * rng.normal() if rng.random() < 0.4 else 0.0
    stretch, mirror = np.exp(0.05 * rng.normal()), rng.choice([-1, 1])
    scale = size / side
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag([mirror * scale * stretch, scale / stretch])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = turn, size / 2 - turn @ center
    return matrix, float(scale)
