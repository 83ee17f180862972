"""Checkpoints of a tracked video, from which an interrupted run resumes."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aotlab.media.masks import read_mask
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import reading, remove, write_bytes
from aotlab.utils.versioned_files import FileKind, unwrap, wrap
from aotlab.video.outputs import StoredPrediction, TrackedFrame

log = logging.getLogger(__name__)

STATE_FILE = ".track.state"
"""name of the file in the output folder"""
CHECKPOINT = FileKind("progress of a tracked video", 4, "tracking starts from the first frame")
SAVE_SECONDS = 60.0
"""seconds between two saves"""
RESUME_OUTPUT = "masks"
"""output that predictions are restored from"""


class Checkpoint:
    """State of the tracker and confidences of all frames so far, saved once a minute and when a run is stopped.

    Only written frames count: a state is saved after the outputs of its frame.

    Args:
        folder: output folder with the masks.
        stem: returns the name of a frame's files.
        confidence: whether an output needs confidences, which take time to compute.
    """

    def __init__(self, folder: Path, stem: Callable[[int], str], *, confidence: bool = True) -> None:
        self.last = -1
        """index of the last frame that need not be tracked again"""
        self._last_step, self._has_confidence = -1, confidence
        self._path, self._masks, self._stem = folder / STATE_FILE, folder / RESUME_OUTPUT, stem
        self._confidence: dict[int, Mapping[int, float]] = {}
        self._cuts: list[int] = []
        self._state: tuple[int, dict[str, Any]] | None = None
        self._save_time = time.monotonic()

    def load(self, tracker: Any) -> bool:
        """Restore a `Tracker` and all frames up to the saved one; return False if files are damaged or missing."""
        import torch

        try:
            with reading(self._path, CHECKPOINT.remedy):
                content = unwrap(CHECKPOINT, torch.load(self._path, map_location="cpu", weights_only=True))
                last, confidence, cuts = int(content["last"]), content["confidence"], list(content["cuts"])
                for index in confidence:
                    path = self._mask_path(index)
                    require(path.is_file(), f"{path}: no such file; {CHECKPOINT.remedy}")
                tracker.load_state_dict(content["state"])
        except InputError as error:
            log.warning("%s", error)
            return False
        self.last, self._confidence, self._cuts = last, confidence, cuts
        return True

    def restore(self, index: int) -> StoredPrediction:
        """Return the prediction of a frame; raise `InputError` and end resuming if its mask cannot be read."""
        try:
            labels = read_mask(self._mask_path(index))
        except InputError as error:
            remove(self._path)
            raise InputError(f"{error}; the next run starts from the first frame") from error
        return StoredPrediction(labels, self._confidence[index], cut=index in self._cuts)

    def _mask_path(self, index: int) -> Path:
        return self._masks / f"{self._stem(index)}.png"

    def keep_state(self, index: int, tracker: Any) -> None:
        """Keep the tracker's state after a frame if it is time to save one."""
        self._last_step = index
        if time.monotonic() - self._save_time >= SAVE_SECONDS:
            self._state, self._save_time = (index, tracker.state_dict()), time.monotonic()

    def add_frame(self, tracked: TrackedFrame) -> None:
        """Add a frame whose outputs are written; save its state if it was kept."""
        if isinstance(tracked.prediction, StoredPrediction):
            return
        prediction = tracked.prediction
        if prediction.cut:
            self._cuts.append(tracked.index)
        self._confidence[tracked.index] = (
            dict(prediction.confidence) if self._has_confidence else dict.fromkeys(prediction.ids, 1.0)
        )
        if self._state is not None and self._state[0] == tracked.index:
            self._save(*self._state)

    def save_stopped(self, last: int, tracker: Any) -> None:
        """Save the state of a run that stopped after frame ``last``; a state that cannot be saved is left out."""
        if 0 <= last == self._last_step:
            with suppress(InputError):
                self._save(last, tracker.state_dict())

    def _save(self, last: int, state: dict[str, Any]) -> None:
        import torch

        content = {"last": last, "confidence": self._confidence, "cuts": self._cuts, "state": state}
        buffer = io.BytesIO()  # writing to a file, PyTorch hides why it failed
        torch.save(wrap(CHECKPOINT, content), buffer)
        write_bytes(self._path, buffer.getbuffer())
