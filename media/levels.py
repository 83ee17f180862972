"""Levels of images with more than 8 bits: the values shown as black and white in all frames of a video."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from aotlab.utils.errors import InputError

AUTO = "auto"
SAMPLED = 16
"""number of frames used to find levels"""
VALUES = 2**16
"""number of values sampled per frame"""
TAILS = (0.1, 99.9)
"""percentiles shown as black and white, robust to hot pixels"""


@dataclass(frozen=True)
class Levels:
    """Values shown as black and white, for all channels and frames."""

    low: float
    high: float
    linear: bool = False
    """values are linear light, as in EXR, and are encoded with the sRGB curve"""
    found: bool = False
    """estimated from the video rather than given"""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert H×W×C values to uint8; NaN becomes black."""
        if values.dtype in (np.uint8, np.uint16):
            return self._table[values]
        return self._shown(values)

    def report(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"low": self.low, "high": self.high, "auto": self.found}

    def __str__(self) -> str:
        return f"{self.low:g},{self.high:g}"

    @cached_property
    def _table(self) -> np.ndarray:
        return self._shown(np.arange(2**16))

    def _shown(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            part = (values.astype(np.float64) - self.low) / (self.high - self.low)
        part = np.nan_to_num(part, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
        if self.linear:
            part = np.where(part <= 0.0031308, 12.92 * part, 1.055 * part ** (1 / 2.4) - 0.055)
        return (part * 255).round().astype(np.uint8)


def read_levels(text: str | tuple[float, float] | None) -> tuple[float, float] | None:
    """Parse levels; None if they are to be estimated.

    Args:
        text: ``auto`` or None, ``LOW,HIGH``, or a pair of numbers.

    Raises:
        InputError: anything else.
    """
    if text is None or text == AUTO:
        return None
    try:
        low, high = map(float, text.split(",") if isinstance(text, str) else text)
    except (ValueError, TypeError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"levels {text}: expected auto, or LOW,HIGH with LOW below HIGH, for example 0,4095")
    return low, high


def find_levels(read: Callable[[int], np.ndarray], count: int) -> tuple[float, float]:
    """Estimate the levels of a video from percentiles of evenly spaced frames.

    Args:
        read: returns the values of a frame, H×W×C.
        count: number of frames.
    """
    numbers = sorted({round(position) for position in np.linspace(0, count - 1, min(count, SAMPLED))})
    parts = []
    for number in numbers:
        values = read(number).reshape(-1)
        values = values[:: 1 + len(values) // VALUES].astype(np.float64)
        parts.append(values[np.isfinite(values)])
    values = np.concatenate(parts)
    if not len(values):
        return 0.0, 1.0
    low, high = (float(level) for level in np.percentile(values, TAILS))
    # nearly all pixels have one value; use the others
    low, high = (low, high) if low < high else (float(values.min()), float(values.max()))
    return (low, high) if low < high else (low, low + 1)
