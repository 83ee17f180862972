"""Tracked objects as a file of another tool, written when the video ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aotlab.engine.prediction import LostFlags, Prediction
from aotlab.masks.exchange.regions import Annotations, Region, runs_of
from aotlab.masks.exchange.writing import Written, write_annotations
from aotlab.media.video import FrameSource


class AnnotationFile:
    """All frames' objects in a format of `FORMATS`; until the end they are held as run lengths."""

    def __init__(self, name: str, path: Path, source: FrameSource) -> None:
        self.path = path
        self.labels: dict[int, str] = {}
        """class of an object by its id, where it is known"""
        self._format, self._source = name, source
        self._annotations = Annotations(source.size)
        self._flags = LostFlags()

    def write(self, name: str, tracked: Any) -> None:
        """Take in one frame, called ``name``, of `Tracked`."""
        self._annotations.frames[tracked.index] = regions_of(tracked.prediction, self._flags)
        self._annotations.stems[tracked.index] = name

    def finish(self) -> None:
        """Write the file; none without a frame."""
        frames = self._annotations.frames
        if frames:
            self._annotations.labels = self.labels
            video = Written(self._source.name, str(self._source.rate), max(frames) + 1)
            write_annotations(self._format, self.path, self._annotations, video)

    def drop(self) -> None:
        """Nothing was written."""


def regions_of(prediction: Prediction, flags: LostFlags) -> list[Region]:
    """The objects of a prediction; those without pixels are empty regions."""
    labels, confidence = prediction.labels, prediction.confidence
    lost = flags.update(confidence)
    return [
        Region(number, runs_of(labels == number), confidence[number], lost[number])
        for number in prediction.ids
    ]
