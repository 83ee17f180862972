"""Annotation session: one video, its masks, one tracking job at a time; independent of the web."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from aotlab import InputError, Prompt
from aotlab_studio.project import editing
from aotlab_studio.project.editing import Box, Clicks, Points
from aotlab_studio.project.history import Step
from aotlab_studio.project.job_results import find_results
from aotlab_studio.project.painting import find_outlines
from aotlab_studio.project.state import State
from aotlab_studio.project.versions import keep_version
from aotlab_studio.protocol import (
    ClipStatus,
    CountEvent,
    ExportedClips,
    ExportEvent,
    ExportResult,
    HistoryEvent,
    ReviewEntry,
    Suggestion,
    TrackerEvent,
    UndoneStep,
)
from aotlab_studio.review.batch import update_report
from aotlab_studio.review.checks import find_checks
from aotlab_studio.tracking.jobs import JobRunner, MakeTracker, TrackingJob
from aotlab_studio.tracking.models import TrackerChoice, import_tracker
from aotlab_studio.tracking.planning import TrackRequest
from aotlab_studio.video import LiveFrames

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""from a frame H×W×3 uint8 and prompts by object id to H×W ids"""
Note = Annotated[str, Meta(max_length=100)]
MAX_REVIEW_ENTRIES = 500
"""maximum number of frames to check"""


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
        self.runner = JobRunner(state, lambda: self.make_tracker())
        self.video_id = secrets.token_hex(8)
        self._closed = threading.Event()
        self._export = threading.Lock()
        self._export_cancelled = threading.Event()
        if self.live is not None:
            self.live.grown = lambda count: state.emit(CountEvent(count))

    @property
    def job(self) -> TrackingJob | None:
        """Last tracking job."""
        return self.runner.job

    def set_status(self, status: ClipStatus, note: Note = "") -> None:
        """Store the status of the video; one that ends the work on it also keeps a version of the masks."""
        self.state.set_status(status, note)
        if status in ("corrected", "accepted", "rejected") and self.state.objects.ids:
            keep_version(self.state, f"{status}: {note}" if note else status)
        if self.results is not None:
            update_report(self.results.parent)

    def pause(self) -> None:
        """Pause the running job; `pause`, `resume` and `stop` raise `InputError` if none is running."""
        self._require_job("pause").pause()

    def resume(self) -> None:
        """Continue the paused job."""
        self._require_job("resume").resume()

    def stop(self) -> None:
        """Stop the running job; its results are kept."""
        self._require_job("stop")
        self.runner.stop()

    def close(self) -> None:
        """Stop jobs and release the project."""
        self._closed.set()
        self.runner.close()
        if self.live is not None:
            # a project states its number of frames, which is final only now
            self.state.project.save_objects(self.state.objects.snapshot())
        self.state.close()
        if self.results is not None:
            with suppress(InputError):  # a report that cannot be written changes no masks
                update_report(self.results.parent)

    def prefetch(self) -> threading.Thread:
        """Decode frames for viewing in a thread, which waits while a job runs."""
        arguments = (self._closed, lambda: self.runner.busy)
        thread = threading.Thread(target=self.state.frames.prefetch, args=arguments, name="warm", daemon=True)
        thread.start()
        return thread

    def suggest(
        self,
        frame: int,
        object_id: int | None,
        box: Box | None = None,
        positive: Clicks | None = None,
        negative: Clicks | None = None,
        scribble: Clicks | None = None,
        refine: bool = False,
        extend: bool = False,
        overwrite: bool = False,
    ) -> Suggestion:
        """Store the mask of the object that a box, clicks and a scribble mean.

        Args:
            object_id: the object; None: a new one.
            positive: clicks on the object.
            negative: clicks beside it.
            scribble: points of a stroke on the object.
            refine: change the object's mask, only near the clicks or the scribble; all are of one kind.
            extend: add to the object's mask instead of replacing it.
            overwrite: take pixels of other objects' given masks too.

        Raises:
            InputError: as `editing.apply_suggestion`, or prompts outside the image.
        """
        if object_id is not None:
            editing.require_editable(self.state, object_id)
        on, beside, stroke = positive or [], negative or [], scribble or []
        known = correction = None
        if refine and box is None:
            if object_id is None or bool(on or stroke) == bool(beside):
                raise InputError("refine: give an object, and either positive or negative points")
            known, correction = self.state.labels(frame) == object_id, ([*on, *stroke] or beside, not beside)
        protected = editing.find_protected_pixels(self.state, frame, object_id, overwrite=overwrite)
        prompt = Prompt(
            [*on, *beside], [1] * len(on) + [0] * len(beside), box, stroke, mask=known, exclude=protected
        )
        found = self._segment(frame, prompt)
        return editing.apply_suggestion(
            self.state, frame, object_id, found, extend=extend, correction=correction, overwrite=overwrite
        )

    def preview(self, frame: int, positive: Points, overwrite: bool = False) -> list[list[tuple[int, int]]]:
        """Return outlines of the mask that clicks would make; raises `InputError` for clicks outside the image."""
        protected = editing.find_protected_pixels(self.state, frame, None, overwrite=overwrite)
        return find_outlines(self._segment(frame, Prompt(positive, exclude=protected)))

    def set_tracker(self, changes: dict[str, str]) -> None:
        """Set values of the next job; raise `InputError` as `TrackerChoice.choose`."""
        self.choice.choose(changes)
        self.state.emit(TrackerEvent(self.choice.describe()))

    def track(self, request: TrackRequest) -> TrackingJob:
        """Start a job; raises `InputError` if a job is running, or as `TrackingJob`."""
        return self.runner.start(request)

    @property
    def live(self) -> LiveFrames | None:
        """The stream; None for a file."""
        return self.state.frames if isinstance(self.state.frames, LiveFrames) else None

    def take_frame(self) -> int:
        """Keep the stream's newest image as a frame; return its frame number. Raises `InputError` for a file."""
        return self._require_stream().capture()

    def go_live(self, start: int) -> TrackingJob:
        """Track the stream from now on; the masks of frame ``start`` are the reference.

        Raises:
            InputError: not a stream, a job is running, or no mask on that frame.
        """
        self._require_stream()
        self.runner.require_idle("go live")
        if not self.state.labels(start).any():
            raise InputError(f"frame {start}: no mask to track; paint an object on it first")
        return self.runner.start(TrackRequest(start), live=True)

    def _require_stream(self) -> LiveFrames:
        if self.live is None:
            raise InputError(f"{self.state.frames.name}: not a stream; open a camera or an address")
        return self.live

    def undo(self, step: int | None = None) -> UndoneStep | None:
        """Undo the last step; raises `InputError` unless it is ``step``, or for tracked masks while a job runs."""
        self.runner.stop_background(wait=True)
        last = self.state.history.undo_step
        if step is not None and (last is None or last.serial != step):
            raise InputError("undo: something else was done since; use Ctrl+Z step by step")
        return self._apply_step(last, self.state.history.undo)

    def redo(self) -> UndoneStep | None:
        """Repeat the step undone last; raise `InputError` as `undo`."""
        self.runner.stop_background(wait=True)
        return self._apply_step(self.state.history.redo_step, self.state.history.redo)

    def review(self) -> list[ReviewEntry]:
        """Return the frames to check, worst first, `MAX_REVIEW_ENTRIES` at most."""
        with self.state.lock:
            scores = {index: self.state.scores(index) for index in self.state.tracked_frames}
            given = {index: self.state.list_described(index) for index in self.state.keyframes}
        checks = find_checks(scores, given)[:MAX_REVIEW_ENTRIES]
        return [ReviewEntry(check.frame, check.object_id, check.sentence) for check in checks]

    @property
    def results(self) -> Path | None:
        """Folder of the results of the job that the project corrects; None for any other project."""
        return find_results(self.state.project.folder)

    def export_clips(self, names: list[str]) -> ExportedClips:
        """Write the masks of all corrected or accepted clips of the list into its results.

        Args:
            names: outputs besides those that each clip has, of `list_outputs`.

        Raises:
            InputError: an unknown output, the video is not one of a list, or an export is running.
        """
        from aotlab_studio.server.batch_export import export_clips

        if self.results is None:
            raise InputError("export: this video is not part of a batch; use Export")
        if not self._export.acquire(blocking=False):
            raise InputError("export: another one is running; wait for its end")
        self._export_cancelled.clear()
        try:
            return export_clips(
                self.results.parent, names, {self.results.name: self.state}, on_frame=self._report_export
            )
        finally:
            self._export.release()

    @property
    def archive(self) -> Path:
        """Archive of the last export."""
        return self.state.project.folder / "export" / f"{self.state.frames.name}.zip"

    def export(self, names: list[str], first: int = 0, last: int | None = None) -> ExportResult:
        """Write the masks into the project's folder ``export``, replacing its contents, and into its `archive`.

        Args:
            names: outputs, of `list_outputs`.
            first: first frame.
            last: last frame, included; None: the video's.

        Raises:
            InputError: as `export_masks`, no such frame, another export is running, or it was cancelled.
        """
        from aotlab_studio.server.export import export_masks, find_annotated, write_archive

        end = self.state.frames.count - 1 if last is None else last
        for index in (first, end):
            self.state.frames.require_frame(index)
        if first > end:
            raise InputError(f"export: first frame {first} is after the last frame {end}; exchange them")

        if not self._export.acquire(blocking=False):
            raise InputError("export: another one is running; wait for its end")
        self._export_cancelled.clear()
        try:
            folder = self.archive.parent
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export.") as made:
                written = Path(made) / folder.name
                export_masks(self.state, written, names, first=first, last=end, on_frame=self._report_export)
                write_archive(
                    sorted(written.iterdir()), written / self.archive.name
                )  # some formats write two files
                shutil.rmtree(folder, ignore_errors=True)
                written.rename(folder)
            missing = end + 1 - first - len(find_annotated(self.state, first, end))
            return ExportResult(self.archive.name, missing)
        finally:
            self._export.release()

    def cancel_export(self) -> None:
        """Stop a running export; it leaves no file."""
        self._export_cancelled.set()

    def _require_job(self, action: str) -> TrackingJob:
        if self.job is None or not self.job.alive:
            raise InputError(f"{action}: nothing is being tracked")
        return self.job

    def _segment(self, frame: int, prompt: Prompt) -> np.ndarray:
        """Return the mask H×W bool that a prompt means."""
        if self.segmenter is None:
            raise InputError("box and clicks: this session has no segmenter; draw the mask")
        import_tracker()
        return self.segmenter(self.state.frames.read(frame), {1: prompt}) == 1

    def _apply_step(self, step: Step | None, move: Callable[[], Step | None]) -> UndoneStep | None:
        """Undo or repeat a step."""
        if step is None:
            return None
        if "tracked" in step.stores:
            self.runner.require_idle(step.title)
        with self.state.lock:
            move()
            self.state.set_status("in work", self.state.project.note)
            self.state.emit(HistoryEvent(self.state.history.titles))
        self.runner.refresh_queue()
        return UndoneStep(step.title, step.frame)

    def _report_export(self, done: int, total: int) -> None:
        self.state.emit(ExportEvent(done, total))
        if self._closed.is_set() or self._export_cancelled.is_set():
            raise InputError("export: cancelled; nothing was written")
