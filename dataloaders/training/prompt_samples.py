"""Training samples of prompts: one object of an image, seen whole or close, sometimes beside a pasted object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.configs.prompts import PromptSource
from aotlab.dataloaders.training.image_sets import is_held_out
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.utils.errors import InputError

Matrix = np.ndarray
"""2×3 affine map from an image's pixels (x, y) to a sample's"""
FILL = (124, 116, 104)
"""mean colour of ImageNet, around images"""
SMALLEST = 60
"""pixels of the smallest object that is drawn"""


@dataclass(frozen=True)
class Annotated:
    """An image and its mask on disk."""

    image: Path
    mask: Path
    group: str
    """name of its set"""
    weight: float
    """relative frequency"""
    parts: float
    """probability that objects that touch count as one (a rider and a horse, or the parts of a person)"""
    video: bool = False
    """whether its set is one of videos"""


@dataclass(frozen=True)
class Sample:
    """One object as it is trained on."""

    image: np.ndarray
    """H×W×3 float32, 0 to 255"""
    truth: np.ndarray
    """H×W uint8, 1 on the object, 0 beside it, 255 where pixels do not count"""
    others: np.ndarray
    """H×W bool, other objects"""


def list_images(root: Path, sources: Sequence[PromptSource], *, held_out: bool = False) -> list[Annotated]:
    """List the images of all sources; one in 20, by the checksum of its name, is held out of training.

    Raises:
        InputError: a source without images.
    """
    found = []
    for source in sources:
        folder = root / source.path / "Annotations"
        names = (root / source.path / source.list).read_text().split() if source.list else [source.set]
        kept = [name for name in names if held_out == (name in source.held_out)] if source.list else names
        paths = [path for name in kept for path in sorted((folder / name).glob("*.png"))]
        if not source.list:
            paths = [path for path in paths if held_out == is_held_out(path)]
        if not paths and not held_out:
            raise InputError(f"{folder}: no masks of {source.set or source.list}; see datasets/README.md")
        for path in paths:
            image = (root / source.path / "JPEGImages" / path.relative_to(folder)).with_suffix(".jpg")
            weight = source.weight / len(paths) ** 0.5
            found.append(
                Annotated(image, path, source.set or source.path, weight, source.parts, bool(source.list))
            )
    return found


def draw_sample(
    images: Sequence[Annotated], chances: np.ndarray, size: int, rng: np.random.Generator
) -> Sample:
    """Draw an object and a square view of it of ``size`` pixels; ``chances``: of each image, adding up to 1."""
    while True:
        drawn = images[rng.choice(len(images), p=chances)]
        image, labels = read_image(drawn.image), read_mask(drawn.mask)
        picked = pick_object(labels, rng, together=drawn.parts)
        if picked is None:
            continue
        sample, hidden = Sample(image, *picked), rng.random()
        if hidden < 0.22:
            other = images[rng.choice(len(images), p=chances)]
            sample = paste(sample, read_image(other.image), read_mask(other.mask), rng)
        elif hidden < 0.34:
            sample = behind_bars(sample, rng)
        sample = look_at(sample, size, rng)
        if (sample.truth == 1).sum() >= 40 and (sample.truth == 0).sum() >= 100:
            return Sample(recolour(sample.image, rng), sample.truth, sample.others)


def pick_object(
    labels: np.ndarray, rng: np.random.Generator, *, together: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw one object, larger ones a little more often; return truth and others, or None if there is no object.

    ``together``: probability that it and all objects that it touches count as one.
    """
    import cv2

    ids, areas = np.unique(labels[(labels > 0) & (labels != VOID)], return_counts=True)
    chances = np.where(areas >= SMALLEST, areas.astype(float) ** 0.2, 0)
    if not chances.sum():
        return None
    void = labels == VOID
    several = len(ids) > 1 and rng.random() < together
    mask = labels == ids[rng.choice(len(ids), p=chances / chances.sum())]
    if several:
        joined = cv2.dilate(((labels > 0) & ~void).astype(np.uint8), np.ones((5, 5)))
        parts = cv2.connectedComponents(joined)[1]
        mask = np.isin(parts, np.unique(parts[mask])) & (labels > 0) & ~void
    truth = mask.astype(np.uint8)
    truth[void] = VOID
    return truth, (labels > 0) & ~mask & ~void


def paste(sample: Sample, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Sample:
    """Paste an object of another image near the object, which it may hide; one in three becomes the object itself."""
    import cv2

    ids = sorted(set(np.unique(labels).tolist()) - {0, VOID})
    mask = (labels == ids[rng.integers(len(ids))]).astype(np.uint8) if ids else np.zeros(1, np.uint8)
    if mask.sum() < 200:
        return sample
    size = sample.truth.shape[::-1]
    matrix, scale = _placement(mask, sample.truth, rng)
    flags: Any = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
    alpha = np.asarray(cv2.warpAffine(mask.astype(np.float32), matrix, size, flags=flags))
    pasted = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.5:
        alpha = np.asarray(cv2.GaussianBlur(alpha, (3, 3), 0))
    visible, target = alpha > 0.5, sample.truth == 1
    if visible.sum() < SMALLEST:
        return sample
    mixed = (sample.image * (1 - alpha[..., None]) + pasted * alpha[..., None]).astype(np.uint8)
    left = (target & ~visible).sum() / max(1, target.sum())
    if rng.random() < 0.35 or left < 0.35:
        return Sample(mixed, visible.astype(np.uint8), (target | sample.others) & ~visible)
    truth = np.where(visible, 0, sample.truth).astype(np.uint8)
    return Sample(mixed, truth, sample.others | visible)


def behind_bars(sample: Sample, rng: np.random.Generator) -> Sample:
    """Draw one to six straight bars in colours of the image over the object, as of a fence, a net or a pole."""
    import cv2

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
    if (sample.truth[~visible] == 1).sum() < SMALLEST:
        return sample
    colour = sample.image[rng.integers(rows), rng.integers(columns)] * rng.uniform(0.5, 1.2)
    shade = np.clip(colour + rng.uniform(0, 12) * rng.normal(size=(rows, columns, 1)), 0, 255)
    image = np.where(visible[..., None], shade, sample.image).astype(np.uint8)
    return Sample(image, np.where(visible, 0, sample.truth).astype(np.uint8), sample.others & ~visible)


def _placement(mask: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> tuple[Matrix, float]:
    """Return the position of a pasted object, usually near the object, and its scale."""
    import cv2

    x, y, width, height = cv2.boundingRect(mask)
    rows, columns = truth.shape
    scale = np.exp(rng.uniform(np.log(0.1), np.log(0.7))) * np.sqrt(rows * columns / (width * height))
    scale = float(min(scale, 0.9 * columns / width, 0.9 * rows / height))
    pixels = np.argwhere(truth == 1)
    near = len(pixels) > 0 and rng.random() < 0.7
    row, column = pixels[rng.integers(len(pixels))] if near else (rng.integers(rows), rng.integers(columns))
    centre = np.array([column, row]) + 0.25 * scale * rng.normal(size=2) * (width, height)
    angle, mirror = 0.2 * rng.normal(), rng.choice([-1, 1])
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[mirror * cosine, -sine], [mirror * sine, cosine]])
    return np.column_stack([turn, centre - turn @ (x + width / 2, y + height / 2)]), scale


def look_at(sample: Sample, size: int, rng: np.random.Generator) -> Sample:
    """Warp to a square view: 36 % the whole image, 50 % close to the object, 14 % between and beyond."""
    import cv2

    matrix, scale = _view(sample.truth, size, rng)
    image, shape = sample.image, (size, size)
    if scale < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45 / scale))
    flags: Any = cv2.INTER_CUBIC if scale >= 1 and rng.random() < 0.5 else cv2.INTER_LINEAR
    image = np.asarray(cv2.warpAffine(image, matrix, shape, flags=flags, borderValue=FILL))
    nearest: Any = cv2.INTER_NEAREST
    truth = np.asarray(cv2.warpAffine(sample.truth, matrix, shape, flags=nearest))
    if scale > 1.2:  # smooth outlines of enlarged masks
        soft = cv2.warpAffine((sample.truth == 1).astype(np.float32), matrix, shape, flags=cv2.INTER_LINEAR)
        smooth = np.asarray(cv2.GaussianBlur(soft, (0, 0), 0.35 * scale)) > 0.5
        truth = np.where(truth == VOID, VOID, smooth).astype(np.uint8)
    others = np.asarray(cv2.warpAffine(sample.others.astype(np.uint8), matrix, shape, flags=nearest)) > 0
    return Sample(image, truth, others)


def _view(truth: np.ndarray, size: int, rng: np.random.Generator) -> tuple[Matrix, float]:
    """The affine map of a view, and its scale."""
    import cv2

    x, y, width, height = cv2.boundingRect((truth == 1).astype(np.uint8))
    rows, columns = truth.shape
    longest, kind = max(width, height, 1), rng.random()
    if kind < 0.36:
        side = min(rows, columns) * rng.uniform(0.75, 1.0) if rng.random() < 0.55 else max(rows, columns)
    elif kind < 0.86:
        side = max(longest * rng.uniform(1.12, 2.4), 28)
    else:
        low, high = max(0.6 * longest, 24), max(rows, columns, 0.6 * longest + 26)
        side = max(28.0, float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    slack = max(side - 0.9 * longest, 0.15 * side) / 2
    centre = np.array([x + width / 2, y + height / 2]) + slack * rng.uniform(-1, 1, size=2)
    for axis, length in enumerate((columns, rows)):
        centre[axis] = np.clip(centre[axis], side / 2, length - side / 2) if side <= length else length / 2
    angle = 0.12 * rng.normal() if rng.random() < 0.4 else 0.0
    stretch, mirror = np.exp(0.05 * rng.normal()), rng.choice([-1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = size / side
    turn = turn @ np.diag([mirror * scale * stretch, scale / stretch])
    return np.column_stack([turn, size / 2 - turn @ centre]), float(scale)


def recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change contrast, brightness, saturation and tint, and sometimes blur or add noise: H×W×3 float32, 0 to 255."""
    import cv2

    pixels: Any = image.astype(np.float32)
    if rng.random() < 0.7:
        pixels = (pixels - 128) * np.exp(0.15 * rng.normal()) + 128 + 14 * rng.normal()
        grey = pixels.mean(2, keepdims=True)
        colour = np.exp(0.25 * rng.normal()) if rng.random() > 0.04 else 0.0
        pixels = (grey + (pixels - grey) * colour) * np.exp(0.05 * rng.normal(size=3))
    if rng.random() < 0.12:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.3)))
    if rng.random() < 0.15:
        pixels = pixels + rng.uniform(2, 8) * rng.normal(size=pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.float32)
