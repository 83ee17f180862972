"""Augmentation of training clips: one affine map per frame, colours. Randomness comes from the caller."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator

FILL = (124, 116, 104)
"""colour outside the image: the ImageNet mean"""


def place_static(
    image: np.ndarray, mask: np.ndarray, length: int, crop: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make a clip of one image: all frames but the first are moved, each is cropped at random.

    Args:
        image: H×W×3 uint8.
        mask: H×W uint8.
        length: frames to make.
        crop: side of the result in pixels.
        rng: source of all randomness.

    Returns:
        T×crop×crop×3 uint8 and T×crop×crop uint8.
    """
    height, width = mask.shape
    base = _flip(width) if rng.random() < 0.5 else np.eye(3)
    frames, labels = [], []
    for index in range(length):
        move = base
        if index:
            move = _random_affine(height, width, rng) @ (_flip(width) @ base if rng.random() < 0.3 else base)
        frame, label = _warp(image, mask, _random_crop(height, width, crop, rng) @ move, crop)
        frames.append(frame)
        labels.append(label)
    return np.stack(frames), np.stack(labels)


def place_video(
    frames: np.ndarray, masks: np.ndarray, crop: int, short_edge: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scale, crop and flip all frames alike, so that the reference frame shows an object if that is possible.

    Args:
        frames: T×H×W×3 uint8.
        masks: T×H×W uint8.
        crop: side of the result in pixels.
        short_edge: pixels that the shortest side is scaled to, before a random factor of 0.7 to 1.3.
        rng: source of all randomness.

    Returns:
        T×crop×crop×3 uint8 and T×crop×crop uint8.
    """
    height, width = masks.shape[1:]
    scale = short_edge / min(height, width) * rng.uniform(0.7, 1.3)
    base = np.diag([scale, scale, 1.0])
    if rng.random() < 0.5:
        base = base @ _flip(width)
    for _ in range(5):
        top, left = (_offset(side * scale, crop, rng) for side in (height, width))
        move = _translation(-left, -top) @ base
        reference = _warp_mask(masks[0], move, crop)
        if np.bincount(reference.ravel(), minlength=256)[1:255].max() > 100:
            break
    placed = [_warp(frame, mask, move, crop) for frame, mask in zip(frames, masks, strict=True)]
    return np.stack([frame for frame, _ in placed]), np.stack([label for _, label in placed])


def jitter_colours(frames: np.ndarray, rng: Generator, *, strength: float) -> np.ndarray:
    """Change brightness, contrast and saturation by up to ``strength``, alike for all pixels of ...×3 uint8."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    pixels = frames.astype(np.float32) * np.float32(brightness)
    grey = pixels.mean(-1, keepdims=True)
    pixels = grey + (pixels - grey) * np.float32(saturation)
    mean = grey.mean()
    return np.clip(mean + (pixels - mean) * np.float32(contrast), 0, 255).astype(np.uint8)


def _offset(side: float, crop: int, rng: Generator) -> float:
    """Where a crop begins on one axis; negative where the picture is smaller and lies inside the crop."""
    return float(rng.uniform(min(side - crop, 0), max(side - crop, 0)))


def _translation(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=float)


def _flip(width: int) -> np.ndarray:
    return np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], dtype=float)


def _random_affine(height: int, width: int, rng: Generator) -> np.ndarray:
    """Rotation ±20°, scale 0.9 to 1.1, shear ±10°, shift of a tenth, about the centre."""
    angle, shear = math.radians(rng.uniform(-20, 20)), math.tan(math.radians(rng.uniform(-10, 10)))
    scale = rng.uniform(0.9, 1.1)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    slant = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    shift = _translation(rng.uniform(-0.1, 0.1) * width, rng.uniform(-0.1, 0.1) * height)
    centre = _translation(width / 2, height / 2)
    return shift @ centre @ turn @ slant @ _translation(-width / 2, -height / 2)


def _random_crop(height: int, width: int, crop: int, rng: Generator) -> np.ndarray:
    """A rectangle of 0.8 to 1 of the area and a ratio of 3:4 to 4:3, resized to the crop."""
    area = rng.uniform(0.8, 1.0) * height * width
    ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    box_width, box_height = min(math.sqrt(area * ratio), width), min(math.sqrt(area / ratio), height)
    left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
    return np.diag([crop / box_width, crop / box_height, 1.0]) @ _translation(-left, -top)


def _warp(frame: np.ndarray, mask: np.ndarray, move: np.ndarray, crop: int) -> tuple[np.ndarray, np.ndarray]:
    size = (crop, crop)
    image = cv2.warpAffine(frame, move[:2], size, flags=cv2.INTER_LINEAR, borderValue=FILL)
    return image, _warp_mask(mask, move, crop)


def _warp_mask(mask: np.ndarray, move: np.ndarray, crop: int) -> np.ndarray:
    return cv2.warpAffine(mask, move[:2], (crop, crop), flags=cv2.INTER_NEAREST, borderValue=0)
