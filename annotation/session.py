"""A session of annotation: one video, its masks, one tracking job at a time. It knows no web."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.annotation import editing
from aotlab.annotation.history import Step
from aotlab.annotation.jobs import MakeTracker, TrackingJob
from aotlab.annotation.live import LiveFrames, live_results
from aotlab.annotation.planning import Request
from aotlab.annotation.regrouping import delete_object, drop_results, merge_objects
from aotlab.annotation.runner import Runner
from aotlab.annotation.state import State
from aotlab.annotation.trackers import TrackerChoice
from aotlab.engine.video.review import Check, frames_to_check
from aotlab.masks.prompt import Prompt
from aotlab.prompts.segmenter import Segmenter
from aotlab.utils.errors import InputError


class Session:
    """What a person does with a video.

    Args:
        state: the video and its masks.
        make_tracker: makes the tracker of a job; called in the job's thread.
        segmenter: turns a box and clicks into a mask; None: they are refused.
        choice: of what ``make_tracker`` makes; None: there is none.
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
            self.live.grown = lambda count: state.emit("frames", count=count)

    @property
    def job(self) -> TrackingJob | None:
        """The last tracking job."""
        return self.runner.job

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self.runner.busy

    def close(self) -> None:
        """Stop what runs and let others open the project."""
        self._closed.set()
        self.runner.close()
        if self.live is not None:
            # a project says how many frames it has, and that is known only now
            self.state.project.save_objects(self.state.objects.snapshot())
        self.state.close()

    def warm(self) -> threading.Thread:
        """Start to prepare frames for viewing, in a thread that waits while a job runs."""
        arguments = (self._closed, lambda: self.busy)
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
        """Segment the object that prompts mean and store its mask; returns the object id.

        Args:
            index: frame.
            object_id: the object; None: a new one.
            prompt: box and clicks; its mask is refined.
            extend: add what is found to the object's mask.
            at: the newest click, near which a known mask changes.

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

    def choose(self, changes: dict[str, Any]) -> None:
        """Set model, policy or precision for the next job; raises `InputError` as `TrackerChoice.choose`."""
        self.choice.choose(changes)
        self.state.emit("tracker", settings=self.choice.describe())

    def track(self, request: Request) -> TrackingJob:
        """Start a job.

        Raises:
            InputError: one is running, or as `TrackingJob`.
        """
        return self.runner.start(request)

    @property
    def live(self) -> LiveFrames | None:
        """The stream, where the video is one."""
        return self.state.frames if isinstance(self.state.frames, LiveFrames) else None

    def take_frame(self) -> int:
        """Keep the stream's newest image as a frame; returns its frame number. Raises `InputError` for other videos."""
        return self._stream().take()

    def go_live(self, start: int) -> TrackingJob:
        """Track the stream's images from now on; the masks of frame ``start`` are the reference.

        Raises:
            InputError: no stream, a job is running, or no mask on that frame.
        """
        self._stream()
        self.runner.require_idle("go live")
        if not self.state.labels(start).any():
            raise InputError(f"frame {start}: no mask to track; paint an object on it first")
        return self.runner.start(Request(start), live_results)

    def _stream(self) -> LiveFrames:
        if self.live is None:
            raise InputError(f"{self.state.frames.name}: is no stream; open a camera or an address")
        return self.live

    def undo(self, serial: int | None = None) -> Step | None:
        """Revert the last step.

        Raises:
            InputError: it changes tracked masks while a job runs, or it is not the step ``serial``.
        """
        self.runner.yield_background(wait=True)
        last = self.state.history.last
        if serial is not None and (last is None or last.serial != serial):
            raise InputError("undo: something else was done since; use Ctrl+Z step by step")
        self._require_free(last)
        return self.state.undo()

    def redo(self) -> Step | None:
        """Repeat the step undone last; raises `InputError` as `undo`."""
        self.runner.yield_background(wait=True)
        self._require_free(self.state.history.next)
        return self.state.redo()

    def delete_object(self, object_id: int) -> None:
        """Remove an object from all frames; raises `InputError` while a job runs."""
        self.require_idle("delete")
        delete_object(self.state, object_id)

    def merge_objects(self, object_id: int, into: int) -> None:
        """Make one object's pixels another's; raises `InputError` while a job runs."""
        self.require_idle("merge")
        merge_objects(self.state, object_id, into)

    def drop_results(self, first: int, last: int, object_ids: Sequence[int] | None = None) -> int:
        """Remove what was tracked on a range of frames; returns on how many.

        Raises:
            InputError: a job runs, or there is no such object.
        """
        self.require_idle("drop results")
        return drop_results(self.state, first, last, object_ids)

    def review(self) -> list[Check]:
        """The frames most worth a correction, the worst first."""
        with self.state.lock:
            scores = {index: self.state.scores(index) for index in self.state.tracked_frames}
            given = {index: self.state.described(index) for index in self.state.given_frames}
        return frames_to_check(scores, given)

    def export(self, names: Sequence[str], *, archive: bool = False) -> Path:
        """Write the masks into the project's folder ``export``, replacing what was there.

        Args:
            names: what to write, of `OUTPUTS`.
            archive: also pack it into a ZIP file.

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
            folder = self.state.project.folder / "export"
            shutil.rmtree(folder, ignore_errors=True)
            files = export(self.state, folder, names, tell=self._tell_export)
            if not files:
                raise InputError("export: cancelled; nothing was written")
            result = (
                write_archive(list(files.values()), folder / f"{self.state.frames.name}.zip")
                if archive
                else folder
            )
        finally:
            self._export.release()
        self.state.emit("export", done=1, total=1, ready=True)
        return result

    def cancel_export(self) -> None:
        """Stop the running export, if there is one; it writes nothing."""
        self._export_cancelled.set()

    def require_idle(self, action: str) -> None:
        """Raise `InputError` while a job runs."""
        self.runner.require_idle(action)

    def _require_free(self, step: Step | None) -> None:
        if step is not None and any(change.where == "tracked" for change in step.changes):
            self.require_idle(step.title)

    def _tell_export(self, done: int, total: int) -> bool:
        self.state.emit("export", done=done, total=total, ready=False)
        return not (self._closed.is_set() or self._export_cancelled.is_set())
