"""Random changes of colour and sharpness; results are clipped to 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

LUMA = (0.299, 0.587, 0.114)
"""weights of red, green and blue in grey"""
GREY_PROBABILITY = 0.2
BLUR_PROBABILITY = 0.3
BLUR_SIGMA = (0.1, 2.0)
"""standard deviations of the blur in pixels"""


@dataclass(frozen=True)
class Jitter:
    """Strength of colour changes: factors from 1 - value to 1 + value; hue as a fraction of the colour circle."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float = 1.0


MILD = Jitter(0.1, 0.1, 0.1, 0.03)
STRONG = Jitter(0.4, 0.4, 0.2, 0.1, probability=0.8)


def jitter(image: np.ndarray, limits: Jitter, rng: Generator) -> np.ndarray:
    """Change brightness, contrast, saturation and hue of H×W×3 uint8 in random order."""
    if rng.random() >= limits.probability:
        return image
    changes = (
        (scale_brightness, rng.uniform(1 - limits.brightness, 1 + limits.brightness)),
        (scale_contrast, rng.uniform(1 - limits.contrast, 1 + limits.contrast)),
        (scale_saturation, rng.uniform(1 - limits.saturation, 1 + limits.saturation)),
        (shift_hue, rng.uniform(-limits.hue, limits.hue)),
    )
    for number in rng.permutation(len(changes)):
        change, amount = changes[number]
        image = change(image, amount)
    return image


def fade_and_blur(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Turn H×W×3 uint8 grey, and blur it, each with some probability."""
    if rng.random() < GREY_PROBABILITY:
        image = scale_saturation(image, 0.0)
    if rng.random() < BLUR_PROBABILITY:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*BLUR_SIGMA))
    return image


def scale_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all colours; 0 gives black."""
    return _mapped(image, np.arange(256) * factor)


def scale_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Scale differences to the image's mean grey; 0 gives a uniform grey."""
    mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
    return _mapped(image, mean + (np.arange(256) - mean) * factor)


def scale_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Scale differences to each pixel's grey value; 0 gives a grey image."""
    mixing = factor * np.eye(3) + (1 - factor) * np.array([LUMA] * 3)
    return np.asarray(cv2.transform(image, mixing))


def shift_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Rotate all hues by this fraction of the colour circle (0 to 1, either sign)."""
    steps = round(turn * 256) % 256
    if steps == 0:  # a round trip through HSV would lose precision
        return image
    hue = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hue[..., 0] += np.uint8(steps)  # hue wraps around
    return np.asarray(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB_FULL))


def _mapped(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Apply a lookup table of 256 levels of any range."""
    return np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)))
