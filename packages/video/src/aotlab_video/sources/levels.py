"""Levels that convert images with more than 8 bits a channel to 8 bits."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from aotlab.utils.errors import require_modules
from aotlab.utils.files import reading

MAX_LEVEL_FRAMES, MAX_LEVEL_VALUES = 16, 2**16
"""Number of frames, and of values per frame, from which levels are estimated."""
LEVEL_PERCENTILES = (0.1, 99.9)
"""Percentiles shown as black and white, robust to hot pixels."""
INPUT_TRANSFORMS = ("linear", "srgb")
"""Curves of images; ``srgb`` is shown as it is."""
OCIO_PREFIX = "ocio:"
"""Prefix of an input transform that is a color space of OpenColorIO."""
OCIO_CONFIG = "ocio://studio-config-latest"
"""Configuration that ships with OpenColorIO."""


@dataclass(frozen=True)
class Levels:
    """Values shown as black and white, for all channels and frames of a video."""

    low: float
    high: float
    curve: str = "srgb"
    """Curve or color space of the values; they are shown with the sRGB curve."""
    white: float = 1.0
    """Stored value that a color space takes as 1: the largest of integers."""
    estimated: bool = False
    """Estimated from the video rather than given."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Convert H×W×C values to uint8; NaN becomes black."""
        if values.dtype in (np.uint8, np.uint16) and self.curve in INPUT_TRANSFORMS:
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
        decode = find_decoder(self.curve)
        with np.errstate(invalid="ignore", over="ignore"):
            low, high = (decode(np.array(level / self.white)) for level in (self.low, self.high))
            part = (decode(values.astype(np.float64) / self.white) - low) / (high - low)
        part = np.nan_to_num(part, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
        if self.curve != "srgb":
            part = encode_srgb(part)
        return (part * 255).round().astype(np.uint8)


def encode_srgb(light: np.ndarray) -> np.ndarray:
    """Return linear light from 0 to 1 encoded with the sRGB curve (IEC 61966-2-1)."""
    return np.asarray(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


@cache
def find_decoder(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of an input transform from stored values to linear light.

    That of ``ocio:SPACE`` takes H×W×C and returns H×W×3 with the primaries of BT.709; others return their values. The
    configuration is that of the environment variable OCIO, or else OpenColorIO's own for studios. Raises `InputError`
    if it lacks the color space.
    """
    if name in INPUT_TRANSFORMS:
        return np.asarray
    require_modules("PyOpenColorIO")
    from PyOpenColorIO import Config
    from PyOpenColorIO import Exception as OcioError

    space, path = name.removeprefix(OCIO_PREFIX), os.environ.get("OCIO")
    with reading(path or OCIO_CONFIG, "check the variable OCIO and the color space", OcioError):
        config = Config.CreateFromFile(path or OCIO_CONFIG)
        processor = Config.GetProcessorToBuiltinColorSpace(config, space, "Linear Rec.709 (sRGB)")
        cpu = processor.getDefaultCPUProcessor()

    def decode(values: np.ndarray) -> np.ndarray:
        rgb = np.array(np.broadcast_to(np.atleast_1d(values), (*values.shape[:-1], 3)), np.float32, order="C")
        cpu.applyRGB(rgb)
        return rgb

    return decode


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
