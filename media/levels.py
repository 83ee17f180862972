"""Levels that convert images with more than 8 bits a channel to 8 bits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from aotlab.utils.errors import require
from aotlab.utils.text import shorten

MAX_LEVEL_FRAMES, MAX_LEVEL_VALUES = 16, 2**16
"""Number of frames, and of values per frame, from which levels are estimated."""
LEVEL_PERCENTILES = (0.1, 99.9)
"""Percentiles shown as black and white, robust to hot pixels."""

LevelsOption = str | tuple[float, float] | None
"""``auto``, ``LOW,HIGH`` or a pair of numbers; None: 8-bit images unchanged, ``auto`` for others."""


@dataclass(frozen=True)
class Levels:
    """Values shown as black and white, for all channels and frames of a video."""

    low: float
    high: float
    linear: bool = False
    """Values are linear light, as in EXR, and are encoded with the sRGB curve."""
    estimated: bool = False
    """Estimated from the video rather than given."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert H×W×C values to uint8; NaN becomes black."""
        if values.dtype in (np.uint8, np.uint16):
            return self._table[values]
        return self._convert(values)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"low": self.low, "high": self.high, "auto": self.estimated}

    def __str__(self) -> str:
        return f"{self.low:g},{self.high:g}"

    @cached_property
    def _table(self) -> np.ndarray:
        return self._convert(np.arange(2**16))

    def _convert(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):
            part = (values.astype(np.float64) - self.low) / (self.high - self.low)
        part = np.nan_to_num(part, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
        if self.linear:
            part = np.where(part <= 0.0031308, 12.92 * part, 1.055 * part ** (1 / 2.4) - 0.055)
        return (part * 255).round().astype(np.uint8)


def parse_levels(levels: LevelsOption) -> tuple[float, float] | None:
    """Return levels as numbers; None if they are to be estimated. Raises `InputError` for invalid ones."""
    if levels is None or str(levels) == "auto":
        return None
    try:
        low, high = map(float, levels.split(",") if isinstance(levels, str) else levels)
    except (ValueError, TypeError):
        low = high = math.nan
    valid = math.isfinite(low) and math.isfinite(high) and low < high
    require(
        valid, "expected auto, or LOW,HIGH with LOW below HIGH, for example 0,4095", subject=f"levels {shorten(levels)}"
    )
    return low, high


def estimate_levels(read: Callable[[int], np.ndarray], count: int) -> tuple[float, float]:
    """Estimate levels from percentiles of evenly spaced frames of ``count``; ``read`` returns one, H×W×C."""
    indices = sorted({round(index) for index in np.linspace(0, count - 1, min(count, MAX_LEVEL_FRAMES))})
    parts = []
    for index in indices:
        values = read(index).reshape(-1)
        values = values[:: 1 + len(values) // MAX_LEVEL_VALUES].astype(np.float64)
        parts.append(values[np.isfinite(values)])
    values = np.concatenate(parts)
    if not len(values):
        return 0.0, 1.0
    low, high = (float(level) for level in np.percentile(values, LEVEL_PERCENTILES))
    if low == high:  # nearly all pixels have one value; use the others
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low, low + 1)
