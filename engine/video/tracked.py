"""Tracked frames, the input of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tracked:
    """A frame with its prediction."""

    index: int
    """index of the frame in its source"""
    frame: np.ndarray
    """H×W×3 uint8 RGB"""
    prediction: Any
    """prediction with ``labels``; outputs other than masks and overlay need a full `Prediction`"""
    time: Fraction
    """time since the first frame in seconds"""
