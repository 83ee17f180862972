"""Augmentation of images with masks into training clips: size, motion, colours (AOT, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig
from aotlab.dataloaders.training.colours import MILD, STRONG, fade_and_blur, jitter
from aotlab.dataloaders.training.warps import (
    FILL,
    fit_box,
    mirror,
    random_affine,
    random_box,
    spline_coordinates,
    warp_affine,
    warp_spline,
)

MERGE_PIXELS = 100
"""largest number of pixels on the reference frame for which an object is dropped"""
CROP_TRIES = 5
SHRINK_BELOW = 0.75
"""scale of a crop below which the image is first shrunk by averaging"""


def count_ids(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each of the 256 ids in a uint8 array of any shape."""
    return np.bincount(labels.ravel(), minlength=256)


def move_image(
    image: np.ndarray, mask: np.ndarray, phase: PhaseConfig, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make a clip from one image: every frame is cropped at random, all but the first are moved.

    Args:
        image: H×W×3 uint8.
        mask: H×W uint8.
        phase: uses crop, clip_length, augmentation and thin_plate.

    Returns:
        T×crop×crop×3 uint8 and T×crop×crop uint8.
    """
    image, mask = _shrunk(image, mask, phase.crop)
    if rng.random() < 0.5:
        image, mask = mirrored(image, mask)
    frames, labels = [], []
    height, width = mask.shape
    for index in range(phase.clip_length):
        box = random_box(height, width, rng)
        if index == 0:
            move = fit_box(box, phase.crop)
            frame, label = warp_affine(image, mask, move, phase.crop, border=cv2.BORDER_REPLICATE)
        else:
            frame, label = _moved(image, mask, box, phase, rng)
        frames.append(_recoloured(frame, phase, rng, single=True))
        labels.append(label)
    return np.stack(frames), np.stack(labels)


def crop_video(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], phase: PhaseConfig, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scale, crop and flip all frames alike, keeping an object in the reference frame if possible.

    Args:
        images: H×W×3 uint8 each.
        masks: H×W uint8 each.
        phase: uses crop, short_edge and augmentation.

    Returns:
        T×crop×crop×3 uint8 and T×crop×crop uint8; images smaller than the crop are padded with `FILL`
        and background.
    """
    crop = phase.crop
    factor = rng.uniform(0.7, 1.3) * phase.short_edge / min(masks[0].shape)
    height, width = (max(1, round(side * factor)) for side in masks[0].shape)
    reference = _resized(masks[0], (width, height), cv2.INTER_NEAREST_EXACT)
    window = _window_on_object(reference, crop, rng)
    flipped = rng.random() < 0.5
    rows, columns = min(crop, height), min(crop, width)
    top, left = int(rng.integers(crop - rows + 1)), int(rng.integers(crop - columns + 1))
    inside = slice(top, top + rows), slice(left, left + columns)
    frames = np.empty((len(images), crop, crop, 3), np.uint8)
    if rows < crop or columns < crop:
        frames[:] = FILL
    labels = np.zeros((len(images), crop, crop), np.uint8)
    for frame, label, image, mask in zip(frames, labels, images, masks, strict=True):
        part = _resized(image, (width, height), cv2.INTER_CUBIC)[window]
        part = _recoloured(np.ascontiguousarray(part), phase, rng, single=False)
        part_label = _resized(mask, (width, height), cv2.INTER_NEAREST_EXACT)[window]
        frame[inside], label[inside] = mirrored(part, part_label) if flipped else (part, part_label)
    return frames, labels


def _moved(
    image: np.ndarray, mask: np.ndarray, box: tuple[int, int, int, int], phase: PhaseConfig, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Move an image and crop it to the box."""
    height, width = mask.shape
    flipped = rng.random() < 0.3
    if rng.random() < phase.thin_plate:
        coordinates = spline_coordinates(box, mask.shape, phase.crop, rng)
        if flipped:
            coordinates[..., 0] = width - coordinates[..., 0]
        return warp_spline(image, mask, coordinates)
    move = random_affine(height, width, rng) @ (mirror(width) if flipped else np.eye(3))
    return warp_affine(image, mask, fit_box(box, phase.crop) @ move, phase.crop)


def _recoloured(frame: np.ndarray, phase: PhaseConfig, rng: Generator, *, single: bool) -> np.ndarray:
    """Change colours as published: AOT mildly and only for single images, DeAOT strongly and per frame."""
    if phase.augmentation == "deaot":
        return fade_and_blur(jitter(frame, STRONG, rng), rng)
    return jitter(frame, MILD, rng) if single else frame


def _window_on_object(reference: np.ndarray, crop: int, rng: Generator) -> tuple[slice, slice]:
    """Draw the rows and columns of a random crop, a few times until it shows enough of an object."""
    height, width = reference.shape
    for _ in range(CROP_TRIES):
        top = int(rng.integers(max(height - crop, 0) + 1))
        left = int(rng.integers(max(width - crop, 0) + 1))
        window = slice(top, top + crop), slice(left, left + crop)
        if count_ids(reference[window])[1:255].max() > MERGE_PIXELS:
            break
    return window


def _shrunk(image: np.ndarray, mask: np.ndarray, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """Shrink images much larger than the crop; the warp interpolates 16 pixels and would skip the rest."""
    factor = crop / min(mask.shape)
    if factor >= SHRINK_BELOW:
        return image, mask
    size = round(mask.shape[1] * factor), round(mask.shape[0] * factor)
    return _resized(image, size, cv2.INTER_AREA), _resized(mask, size, cv2.INTER_NEAREST_EXACT)


def mirrored(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image and its mask left to right."""
    return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])


def _resized(image: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """Resize H×W or H×W×3 to (width, height)."""
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))
