"""Tracked frames, and the base of the outputs that they are written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from aotlab.media.video import FrameSource


@dataclass(frozen=True)
class TrackedFrame:
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
    """One kind of output, written frame by frame to the file or folder ``path``.

    A plug-in of ``aotlab.outputs`` is a class derived from this one with `file_name` and `description`.
    """

    file_name = ""
    """name of the file or folder in the output folder"""
    description = ""
    """content in a few words"""

    def __init__(self, path: Path, source: FrameSource) -> None:
        """Prepare the output of a source; nothing need be written yet."""
        self.path, self.source = path, source
        self.class_names: dict[int, str] = {}
        """class name by object id, if known"""
        self.frame_number: Callable[[int], int] = int
        """number by which the user calls a frame, by its index"""

    def write(self, name: str, tracked: TrackedFrame) -> None:
        """Write the next frame, whose files are called ``name``; raise `InputError` on failure."""
        raise NotImplementedError

    def finish(self) -> None:
        """Complete the file, if it is not complete after each frame; raise `InputError` on failure."""

    def drop(self) -> None:
        """Remove an incomplete file, if there is one; complete files are kept."""

    def summary(self) -> str | None:
        """Return what is printed after the run, once `finish` has returned; None for nothing."""
        return None

    @classmethod
    def finish_batch(cls, folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
        """Write files of a list of videos, into the folder of its results.

        Args:
            records: for each video ``name`` (that of its folder) and ``status`` (done, failed or waiting); unless it is
                waiting also ``video`` (its path), ``frames``, ``rate`` and ``error`` (None on success).
        """
