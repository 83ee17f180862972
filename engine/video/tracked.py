"""Tracked frames, and the base of the outputs that they are written to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
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

    @property
    def labels(self) -> np.ndarray:
        """H×W object ids."""
        return np.asarray(self.prediction.labels)


class Output:
    """One kind of output, written frame by frame to the file or folder ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.class_names: dict[int, str] = {}
        """class name by object id, if known"""

    def write(self, name: str, tracked: Tracked) -> None:
        """Write the next frame, whose files are called ``name``; raise `InputError` on failure."""
        raise NotImplementedError

    def finish(self) -> None:
        """Complete the file, if it is not complete after each frame; raise `InputError` on failure."""

    def drop(self) -> None:
        """Remove an incomplete file, if there is one; complete files are kept."""
