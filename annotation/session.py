"""Annotation session: one video, its masks, one tracking job at a time; independent of the web."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.annotation import editing, regrouping
from aotlab.annotation.history import Step
from aotlab.annotation.jobs import MakeTracker, TrackingJob
from aotlab.annotation.live import LiveFrames, live_results
from aotlab.annotation.planning import Request
from aotlab.annotation.protocol import CountEvent, ExportEvent, TrackerEvent
from aotlab.annotation.runner import Runner
from aotlab.annotation.state import State
from aotlab.annotation.trackers import TrackerChoice
from aotlab.engine.video.review import Check, frames_to_check
from aotlab.masks.prompt import Prompt
from aotlab.prompts.segmenter import Segmenter
from aotlab.utils.errors import InputError


class Session:
    """Everything a person can do with a video.

    Args:
        make_tracker: makes the tracker of a job; called in the job's thread.
        segmenter: turns prompts into a mask; None: prompts are refused.
        choice: settings of ``make_tracker``; None: it has no settings.
    """

    def __init__(
        self,
        state: State,
        make_tracker: MakeTracker,
        segmenter: Segmenter | None = None,
        choice: TrackerChoice | None = None,
    ) -> None:
        self.state = state
        self.make_tracker, self.segmenter = make_tracker, segmenter
        self.choice = choice or TrackerChoice({}, {})
        self.runner = Runner(state, lambda: self.make_tracker())
        self._closed = threading.Event()
        self._export = threading.Lock()
        self._export_cancelled = threading.Event()
        if self.live is not None:
            self.live.grown = lambda count: state.emit(CountEvent(count))

    @property
    def job(self) -> TrackingJob | None:
        """Last tracking job."""
        return self.runner.job

    def running_job(self, action: str) -> TrackingJob:
        """Return the running job; raise `InputError` if none is running."""
        if self.job is None or not self.job.alive:
            raise InputError(f"{action}: nothing is being tracked")
        return self.job

    def close(self) -> None:
        """Stop jobs and release the project."""
        self._closed.set()
        self.runner.close()
        if self.live is not None:
            # a project states its number of frames, which is final only now
            self.state.project.save_objects(self.state.objects.snapshot())
        self.state.close()

    def warm(self) -> threading.Thread:
        """Decode frames for viewing in a thread, which waits while a job runs."""
        arguments = (self._closed, lambda: self.runner.busy)
        thread = threading.Thread(target=self.state.frames.warm, args=arguments, name="warm", daemon=True)
        thread.start()
        return thread

    def suggest(
        self,
        index: int,
        object_id: int | None,
        prompt: Prompt,
        *,
        extend: bool = False,
        at: editing.Click | None = None,
    ) -> int:
        """Store the mask of the object that prompts mean; return its object id.

        Args:
            object_id: the object; None: a new one.
            prompt: box and clicks; its mask is refined.
            extend: add to the object's mask instead of replacing it.
            at: newest click, near which a known mask changes.

        Raises:
            InputError: as `editing.suggested`, or prompts outside the image.
        """
        if object_id is not None:
            editing.require_editable(self.state, object_id)
        mask = self.preview(index, prompt)
        return editing.suggested(self.state, index, object_id, mask, extend=extend, at=at)

    def preview(self, index: int, prompt: Prompt) -> np.ndarray:
        """Return the mask H×W bool that a prompt means on a frame, without storing it.

        Raises:
            InputError: a prompt outside the image, or this session has no segmenter.
        """
        if self.segmenter is None:
            raise InputError("box and clicks: this session has no segmenter; draw the mask")
        return self.segmenter(self.state.frames.read(index), {1: prompt}) == 1

    def set_tracker(self, changes: dict[str, str]) -> None:
        """Set model, policy or precision of the next job; raise `InputError` as `TrackerChoice.choose`."""
        self.choice.choose(changes)
        self.state.emit(TrackerEvent(self.choice.describe()))

    def track(self, request: Request) -> TrackingJob:
        """Start a job; raises `InputError` if a job is running, or as `TrackingJob`."""
        return self.runner.start(request)

    @property
    def live(self) -> LiveFrames | None:
        """The stream; None for a file."""
        return self.state.frames if isinstance(self.state.frames, LiveFrames) else None

    def take_frame(self) -> int:
        """Keep the stream's newest image as a frame; return its frame number. Raises `InputError` for a file."""
        return self._stream().take()

    def go_live(self, start: int) -> TrackingJob:
        """Track the stream from now on; the masks of frame ``start`` are the reference.

        Raises:
            InputError: not a stream, a job is running, or no mask on that frame.
        """
        self._stream()
        self.runner.require_idle("go live")
        if not self.state.labels(start).any():
            raise InputError(f"frame {start}: no mask to track; paint an object on it first")
        return self.runner.start(Request(start), live_results)

    def _stream(self) -> LiveFrames:
        if self.live is None:
            raise InputError(f"{self.state.frames.name}: not a stream; open a camera or an address")
        return self.live

    def undo(self, serial: int | None = None) -> Step | None:
        """Undo the last step; raises `InputError` unless it is ``serial``, or for tracked masks while a job runs."""
        self.runner.yield_background(wait=True)
        last = self.state.history.last
        if serial is not None and (last is None or last.serial != serial):
            raise InputError("undo: something else was done since; use Ctrl+Z step by step")
        self._require_free(last)
        return self.state.undo()

    def redo(self) -> Step | None:
        """Repeat the step undone last; raise `InputError` as `undo`."""
        self.runner.yield_background(wait=True)
        self._require_free(self.state.history.next)
        return self.state.redo()

    def delete_object(self, object_id: int) -> None:
        """Remove an object from all frames; raise `InputError` while a job runs."""
        self.runner.require_idle("delete")
        regrouping.delete_object(self.state, object_id)

    def merge_objects(self, object_id: int, into: int) -> None:
        """Give all pixels of an object to another; raise `InputError` while a job runs."""
        self.runner.require_idle("merge")
        regrouping.merge_objects(self.state, object_id, into)

    def drop_results(self, first: int, last: int, object_ids: Sequence[int] | None = None) -> int:
        """Remove tracked masks on a range of frames; return the number of frames changed.

        Raises:
            InputError: a job is running, or an unknown object.
        """
        self.runner.require_idle("drop results")
        return regrouping.drop_results(self.state, first, last, object_ids)

    def review(self) -> list[Check]:
        """Return the frames to check, worst first."""
        with self.state.lock:
            scores = {index: self.state.scores(index) for index in self.state.tracked_frames}
            given = {index: self.state.described(index) for index in self.state.given_frames}
        return frames_to_check(scores, given)

    @property
    def archive(self) -> Path:
        """Archive of the last export."""
        return self.state.project.folder / "export" / f"{self.state.frames.name}.zip"

    def export(self, names: Sequence[str], *, archive: bool = False) -> Path:
        """Write the masks into the project's folder ``export``, replacing its contents.

        Args:
            names: outputs, of `OUTPUTS`.
            archive: also pack them into a ZIP file.

        Returns:
            the folder, or the archive.

        Raises:
            InputError: as `export`, another export is running, or it was cancelled.
        """
        from aotlab.annotation.export import export, write_archive

        if not self._export.acquire(blocking=False):
            raise InputError("export: another one is running; wait for its end")
        self._export_cancelled.clear()
        try:
            folder = self.archive.parent
            shutil.rmtree(folder, ignore_errors=True)
            files = export(self.state, folder, names, on_frame=self._exported)
            if not files:
                raise InputError("export: cancelled; nothing was written")
            return write_archive(list(files.values()), self.archive) if archive else folder
        finally:
            self._export.release()

    def cancel_export(self) -> None:
        """Stop a running export; it leaves no file."""
        self._export_cancelled.set()

    def _require_free(self, step: Step | None) -> None:
        if step is not None and any(change.where == "tracked" for change in step.changes):
            self.runner.require_idle(step.title)

    def _exported(self, done: int, total: int) -> bool:
        self.state.emit(ExportEvent(done, total))
        return not (self._closed.is_set() or self._export_cancelled.is_set())
