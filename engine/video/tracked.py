"""What outputs are given: a frame and its prediction."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tracked:
    """One frame and what was found on it."""

    index: int
    """the frame's number in its source"""
    frame: np.ndarray
    """H×W×3 uint8 RGB"""
    prediction: Any
    """has ``labels``; all but masks and overlay ask for more of `Prediction`"""
    time: Fraction
    """seconds from the first frame"""
