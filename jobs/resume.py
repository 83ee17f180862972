"""Checkpoints of a tracked video, from which an interrupted run resumes."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aotlab.engine.tracking.directions import TimedTracker
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.jobs.outputs import StoredPrediction
from aotlab.jobs.results import STATE_FILE
from aotlab.media.job_record import MASKS_FOLDER
from aotlab.media.masks import read_mask
from aotlab.networks.weights.checkpoints import load_pickle
from aotlab.utils.errors import InputError
from aotlab.utils.files import MALFORMED, prefix_errors, reading, remove, require_file, write_bytes
from aotlab.utils.versioned_files import FileKind, unwrap, wrap

log = logging.getLogger(__name__)

CHECKPOINT = FileKind("progress of a tracked video", 4, "tracking starts from the first frame")
SAVE_SECONDS = 60.0
"""Seconds between two saves."""


class ResumingTracker(TimedTracker):
    """A tracker that saves its state once a minute, and returns the stored masks of frames that an earlier run tracked.

    Frames come in order. A state is saved once the next frame is written, so that all files up to its frame exist.

    Args:
        stem: returns the name of a frame's files without suffix, given the index of the frame.
        first: index of the first frame to track.
        confidence: whether an output needs confidences, which take time to compute.
    """

    def __init__(
        self, tracker: Tracker, folder: Path, stem: Callable[[int], str], first: int = 0, *, confidence: bool = True
    ) -> None:
        super().__init__(tracker)
        self._has_confidence, self._stem = confidence, stem
        self._path, self._masks = folder / STATE_FILE, folder / MASKS_FOLDER
        self._first, self._index, self._last = first, first - 1, first - 1
        self._confidence: dict[int, Mapping[int, float]] = {}
        self._cuts: list[int] = []
        self._previous: Prediction | None = None
        self._unsaved: dict[str, Any] | None = None  # checkpoint, saved once the next frame is written
        self._save_time = time.monotonic()

    def load(self) -> bool:
        """Restore the tracker; return false if a file is damaged or missing."""
        try:
            with reading(self._path, CHECKPOINT.remedy, RuntimeError, *MALFORMED):
                content = unwrap(CHECKPOINT, load_pickle(self._path))
            for index in content["confidence"]:
                require_file(self._mask_path(index), CHECKPOINT.remedy)
            with prefix_errors(self._path):
                self.tracker.load_state_dict(content["state"])
        except InputError as error:
            log.warning("%s", error)
            return False
        self._last, self._confidence, self._cuts = content["last"], content["confidence"], content["cuts"]
        return True

    @property
    def num_restored(self) -> int:
        """Number of frames so far that an earlier run tracked."""
        return min(self._index, self._last) + 1 - self._first

    def step(  # type: ignore[override]
        self, frame: np.ndarray, mask: np.ndarray | None = None, removed: Iterable[int] = ()
    ) -> Prediction | StoredPrediction:
        """Return the next frame's prediction, see `TimedTracker.step`.

        Raises:
            InputError: a stored mask cannot be read, which ends resuming, or the state cannot be saved.
        """
        self._add_previous()
        self._index += 1
        if self._index <= self._last:
            return self._restore(self._index)
        if self._unsaved is not None and self._mask_path(self._unsaved["last"] + 1).is_file():
            self._save(self._unsaved)
            self._unsaved = None
        prediction = self._previous = super().step(frame, mask, removed)
        if self._unsaved is None and time.monotonic() - self._save_time >= SAVE_SECONDS:
            self._unsaved, self._save_time = self._make_checkpoint(), time.monotonic()
        return prediction

    def save_stopped(self, num_frames: int) -> None:
        """Save the state of a run that stopped after writing its frames, if it can be saved."""
        self._add_previous()
        if self._last < self._index == self._first + num_frames - 1:
            with suppress(InputError):
                self._save(self._make_checkpoint())

    def _add_previous(self) -> None:
        """Keep the confidences and the cut of the last prediction. Its labels have been computed by now."""
        if (prediction := self._previous) is not None:
            if prediction.cut:
                self._cuts.append(self._index)
            confidence = prediction.confidence if self._has_confidence else dict.fromkeys(prediction.ids, 1.0)
            self._confidence[self._index], self._previous = dict(confidence), None

    def _restore(self, index: int) -> StoredPrediction:
        """Return the stored prediction of a frame."""
        try:
            labels = read_mask(self._mask_path(index))
        except InputError as error:
            remove(self._path)
            raise InputError(f"{error}; the next run starts from the first frame") from error
        return StoredPrediction(labels, self._confidence[index], cut=index in self._cuts)

    def _mask_path(self, index: int) -> Path:
        return self._masks / f"{self._stem(index)}.png"

    def _make_checkpoint(self) -> dict[str, Any]:
        """Return the checkpoint after the last frame."""
        self._add_previous()
        return {
            "last": self._index, "confidence": {**self._confidence}, "cuts": [*self._cuts],
            "state": self.tracker.state_dict(),
        }  # fmt: skip

    def _save(self, checkpoint: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()  # writing to a file, PyTorch hides why it failed
        torch.save(wrap(CHECKPOINT, checkpoint), buffer)
        write_bytes(self._path, buffer.getbuffer())
