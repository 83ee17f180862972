"""Session of a video: its document, jobs, prompts and exports. Knows nothing of the web."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from aotlab import InputError
from aotlab.utils.text import format_count
from aotlab_studio import protocol
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import EXPORT
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import can_track, list_outdated
from aotlab_studio.session.prompting import Prompter
from aotlab_studio.tracking.jobs import JobRunner, MakeTracker, TrackingJob
from aotlab_studio.tracking.models import TrackerLoader

MAX_CANCELED = 16


@dataclass(frozen=True)
class Session:
    """A document with its jobs, prompts and exports; `session/actions.py` has what a page can do with it."""

    document: Document
    runner: JobRunner
    prompter: Prompter
    loader: TrackerLoader | None = None
    """Loads the models of the trackers; None: the page offers no choice."""
    video_id: str = field(default_factory=partial(secrets.token_hex, 8))
    _export_lock: threading.Lock = field(default_factory=threading.Lock)
    _canceled_exports: deque[int | None] = field(default_factory=partial(deque, maxlen=MAX_CANCELED))
    """Keys of the last canceled exports; None: all. The message of an export may come after its cancellation."""

    @classmethod
    def create(
        cls,
        document: Document,
        make_tracker: MakeTracker,
        prompter: Prompter | None = None,
        loader: TrackerLoader | None = None,
    ) -> Session:
        """Return a new session; without a prompter, it refuses prompts."""
        prompter = prompter or Prompter()
        prompter.listeners.add(document.emit)
        if loader is not None:
            loader.listeners.add(document.emit)
        return cls(document, JobRunner(document, make_tracker), prompter, loader)

    def require_finished(self, first: int, last: int) -> None:
        """Raise `UnfinishedError` if frames of a range are outdated."""
        if not (ranges := list_outdated(self.document.snapshot, first, last)):
            return
        count = sum(last - first + 1 for first, last in ranges)
        texts = [f"{first} to {last}" if first < last else str(first) for first, last in ranges]
        frames = f"{format_count(count, 'frame')} ({', '.join([*texts[:5], *('…' for _ in texts[5:6])])})"
        cause = "a drawn mask has changed since, or tracking was cut off; unlock locked objects, and track again"
        is_tracking = self.runner.running_job is not None
        text = f"Tracking has not finished: {frames}" if is_tracking else f"Outdated: {frames}; {cause}"
        raise UnfinishedError(f"{text}. Export the frames as they are?")

    def close(self) -> None:
        """Stop jobs and exports; release the project."""
        self._canceled_exports.append(None)
        self.runner.close()
        self.prompter.listeners.discard(self.document.emit)
        if self.loader is not None:
            self.loader.listeners.discard(self.document.emit)
        self.document.close()

    @property
    def archive(self) -> Path:
        """Archive of the last export, in a temporary folder if that of the project cannot be written."""
        folder = self.document.folder
        folder = folder if os.access(folder, os.W_OK) else Path(self._temporary_folder.name)
        return folder / EXPORT / f"{self.document.frames.name}.zip"

    @cached_property
    def _temporary_folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="aotlab-")

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Hold back other exports; raise `InputError` if one is running."""
        if not self._export_lock.acquire(blocking=False):
            raise InputError("export: another export is running; wait until it ends")
        try:
            yield
        finally:
            self._export_lock.release()

    def require_not_canceled(self, key: int | None) -> None:
        """Raise `InputError` if the export with this key was canceled."""
        if {None, key} & {*self._canceled_exports}:
            raise InputError("export: canceled; nothing was written")

    def cancel_export(self, key: int) -> None:
        """Stop the export with this key, even if it has not begun."""
        self._canceled_exports.append(key)

    def require_job(self, action: str) -> TrackingJob:
        """Return the running job; raise `InputError` if no job runs."""
        job = self.runner.running_job
        if job is None:
            raise InputError(f"{action}: nothing is being tracked")
        return job


def find_cut_off(snapshot: Snapshot) -> protocol.CutOff | None:
    """Return the newest request that still has frames to track; None without one."""
    for layer_id, layer in reversed(snapshot.state.layers.items()):
        if layer.kind in ("forward", "backward", "both") and can_track(snapshot, layer_id):
            pending = np.flatnonzero(np.any([*snapshot.waiting[layer_id].values()], axis=0)).tolist()
            start, first, last = layer.reference_frame, layer.first, layer.last
            if layer.kind == "forward":
                start, first = pending[0] - 1, 0
            elif layer.kind == "backward":
                start, last = pending[-1] + 1, snapshot.count - 1
            ids = {*map(snapshot.state.resolve, layer.objects)} - {0}
            only = ids.pop() if len(ids) == 1 else None
            return protocol.CutOff(len(pending), start, layer.kind, min(first, start), max(last, start), only)
    return None


class UnfinishedError(InputError):
    """A video is not finished. A person may repeat the action with ``force``."""
