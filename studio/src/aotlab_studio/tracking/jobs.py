"""Tracking jobs, one at a time: requests of a person, and corrections in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import numpy as np

from aotlab import InputError
from aotlab_studio.document.document import Document, StoredMasks
from aotlab_studio.document.events import ResultsEvent
from aotlab_studio.document.log import Changes, Direction
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.planning import plan_request
from aotlab_studio.document.scores import measure_scores
from aotlab_studio.document.states import can_track, list_corrections
from aotlab_studio.protocol import JobEvent, JobProgress, JobStatus, PixelCount
from aotlab_studio.review.signals import ReviewSignals
from aotlab_studio.tracking.models import LoadedTracker
from aotlab_studio.tracking.spans import SpanFrame, plan_spans, track_span

if TYPE_CHECKING:
    from aotlab import VideoTracker

logger = logging.getLogger(__name__)
MakeTracker = Callable[[], LoadedTracker]
Command = Literal["run", "pause", "finish", "interrupt"]
"""What to do once the current frame is computed. The last two discard it; after ``interrupt``, the layer is pending."""
CORRECTION_DELAY = 0.6
"""Seconds without an edit before corrections are tracked."""


class TrackingJob:
    """Tracks the frames of a layer, from the drawn masks at its step and the tracked masks when the job starts."""

    def __init__(self, document: Document, layer_id: int) -> None:
        self.layer_id, self.layer = layer_id, document.snapshot.state.layers[layer_id]
        self.is_correction = self.layer.kind == "correction"
        self._document = document
        self._step = document.log.layer_steps[layer_id]
        self._start_snapshot = document.take_snapshot(self._step)
        self._spans = plan_spans(self.layer)
        self.total = sum(len(span.forward) + len(span.backward) for span in self._spans)
        self.done = 0
        self.lost_pixels, self.kept_pixels = list[PixelCount](), list[PixelCount]()  # set at the end
        self._stored: dict[int, StoredMasks] = {}  # by frame, if others are affected
        self.status: JobStatus = "starting"
        self.problem: str | None = None
        self.frame = self.layer.reference_frame
        self._times: deque[float] = deque(maxlen=21)  # speed of 20 frames
        self._signals = ReviewSignals()
        self.resume_time = 0.0  # earliest time of the next frame, from `time.monotonic`
        self.command: Command = "run"
        self._changed = threading.Condition()
        self.ended = threading.Event()

    @property
    def paused(self) -> bool:
        """Whether it is paused, or will pause once the current frame is computed."""
        return self.command == "pause"

    @property
    def stopped(self) -> bool:
        """Whether it has stopped, or will stop once the current frame is computed."""
        return self.command in ("finish", "interrupt")

    def pause(self) -> None:
        """Pause once the current frame is computed; `resume` stores it."""
        self._set_command("pause")
        self._document.emit(JobEvent(self.report()))

    def resume(self) -> None:
        self._times.clear()
        self._set_command("run")
        self._document.emit(JobEvent(self.report()))

    def stop(self, *, interrupt: bool = False) -> None:
        """Stop and discard the current frame. With ``interrupt``, the layer stays pending; else, it is finished."""
        self._set_command("interrupt" if interrupt else "finish")

    def _set_command(self, command: Command) -> None:
        with self._changed:
            if command == "interrupt" or not self.stopped:  # a stop is final
                self.command = command
            self._changed.notify_all()

    def report(self) -> JobProgress:
        times = list(self._times)
        speed = (len(times) - 1) / (times[-1] - times[0]) if times and times[-1] > times[0] else 0.0
        remaining = round((self.total - self.done) / speed, 1) if speed else None
        status: JobStatus = "pausing" if self.paused and self.status == "running" else self.status
        return JobProgress(
            self.is_correction, status, self.frame, self.done, self.total, round(speed, 2), remaining,
            self._step, self.layer_id, self.layer.objects, self.lost_pixels, self.kept_pixels, self.problem,
        )  # fmt: skip

    def run(self, make_tracker: MakeTracker) -> None:
        """Track all frames, or until `stop`. An error is stored as the `problem`, and the layer stays pending."""
        status: JobStatus = "failed"
        try:
            self._set_status("starting")
            try:
                if not self.stopped:
                    self._track(*make_tracker())
                if self.done == self.total or self.command != "interrupt":
                    self._document.finish_layer(self.layer_id)
            finally:
                self._cancel_if_empty()
            status = "done" if self.done == self.total else "stopped"
        except InputError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"tracking: {error}; free space, or check the disk"
        except Exception as error:  # any error must reach the page
            logger.exception("tracking failed")
            self.problem = f"tracking failed: {error}"
        try:
            self._report_end(status)
        finally:
            self.ended.set()

    def _cancel_if_empty(self) -> None:
        """Cancel a request that has tracked no frame, also after an error."""
        is_empty = not self._document.tracked_masks.layer(self.layer_id).frames
        if is_empty and not self.is_correction and self.command != "interrupt":
            self._document.cancel(self._step)
            self._document.finish_layer(self.layer_id)  # not canceled if edits followed the request

    def _report_end(self, status: JobStatus) -> None:
        """Tell the page what has changed."""
        document, stored = self._document, dict(sorted(self._stored.items()))
        self.lost_pixels = _sum_pixels({index: masks.lost_pixels for index, masks in stored.items()})
        self.kept_pixels = _sum_pixels({index: masks.kept_pixels for index, masks in stored.items()})
        self._set_status(status)
        with suppress(InputError):  # a project that cannot be read
            document.emit_page_state()
            # the marks of earlier frames may have changed: an object is lost after several frames
            document.emit(ResultsEvent(document.revision))
            document.report_ended_checks([index for index in stored if stored[index].ended_check], self._step)

    def _track(self, tracker: VideoTracker, model: str) -> None:
        """Track the spans of the layer and store their masks; ``model``: see `LoadedTracker`."""
        document = self._document
        self._set_status("running")
        self._times.append(time.perf_counter())
        for span in self._spans:
            if self.stopped:
                return
            for tracked in track_span(tracker, document.frames, self._start_snapshot, span, document.folder):
                self._wait_while_paused()
                if self.stopped:
                    return
                if not (tracked.partial or self._store(tracked, model)):
                    self.stop(interrupt=True)  # pending again after redo or an unlock
                    return
                self.done += 1
                self.frame = tracked.index
                self._times.append(time.perf_counter())
                self._set_status("running")

    def _wait_while_paused(self) -> None:
        """Wait until the job is resumed and `resume_time` has come, or until it is stopped."""
        if self.paused:
            self._set_status("paused")
        with self._changed:
            self._changed.wait_for(lambda: not self.paused)
            while (delay := self.resume_time - time.monotonic()) > 0 and not self.stopped:
                self._changed.wait(delay)

    def _store(self, tracked: SpanFrame, model: str) -> bool:
        """Store the masks of the layer's objects on a frame; return whether the layer could still be tracked."""
        document, index, prediction = self._document, tracked.index, tracked.prediction
        object_ids = {*self.layer.objects}
        tracked_ids = sorted(object_ids.intersection(prediction.ids))
        ids = np.where(np.isin(prediction.labels, list(object_ids)), prediction.labels, 0).astype(np.uint16)
        signals = self._signals.update(index, ids, document.frames.read(index, "track"), tracked_ids)
        scores = measure_scores(ids, tracked_ids, prediction.confidence, tracked.disagreement, signals)
        known_ids = self._start_snapshot.expand_merged_ids({*scores, *(object_ids & tracked.absent_ids)})
        description = LayerFrame(index, scores, [key for key in known_ids if key not in scores], model=model)
        stored = document.add_tracked_masks(self.layer_id, description, ids)
        if stored is not None and any(stored):
            self._stored[index] = stored
        return stored is not None

    def _set_status(self, status: JobStatus) -> None:
        self.status = status
        self._document.emit(JobEvent(self.report()))


def _sum_pixels(by_frame: Mapping[int, Mapping[int, int]]) -> list[PixelCount]:
    """Return the numbers of pixels of each object, given by frame and object."""
    total = sum(map(Counter, by_frame.values()), Counter[int]())
    return [PixelCount(key, total[key], [index for index in by_frame if key in by_frame[index]]) for key in total]


class JobRunner:
    """Thread that runs the jobs of a document, one at a time. A request of a person precedes all corrections."""

    def __init__(self, document: Document, make_tracker: MakeTracker) -> None:
        self._document, self.make_tracker = document, make_tracker
        self.job: TrackingJob | None = None  # the latest one; the thread may not have begun it yet
        self._corrections_enabled = False  # a stop or a failure disables them until the next edit
        self._resume_time = 0.0  # earliest time of the next correction, from `time.monotonic`
        self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="tracking", daemon=True).start()

    @property
    def running_job(self) -> TrackingJob | None:
        """Job that has not ended."""
        return self.job if self.job is not None and self.job.status in ("starting", "running", "paused") else None

    def start(
        self,
        frame: int,
        direction: Direction,
        first: int = 0,
        last: int | None = None,
        object_id: int | None = None,
    ) -> TrackingJob:
        """Start the job of a request; raise `InputError` if another one is running."""
        document = self._document
        with self._changed:
            running_job = self.running_job
            if running_job is not None and not running_job.is_correction:
                raise InputError("tracking: is running already; stop it first")
            with document.lock:
                layer = plan_request(document.snapshot, frame, direction, first, last, object_id)
                layer_id = document.make_layer_id()
                document.edit("tracking", Changes(layers={layer_id: layer}))
                job = TrackingJob(document, layer_id)
            if running_job is not None:
                running_job.stop(interrupt=True)
            self.job, self._corrections_enabled = job, True
            self._changed.notify_all()
            return job

    def delay_corrections(self) -> None:
        """Track no correction for `CORRECTION_DELAY` seconds, so that the page has the whole machine."""
        self._resume_time = time.monotonic() + CORRECTION_DELAY
        if self.job is not None and self.job.is_correction:
            self.job.resume_time = self._resume_time

    def stop(self) -> None:
        """Stop the running job. If it is a correction, all corrections wait for the next edit."""
        with self._changed:
            if (job := self.running_job) is not None:
                self._corrections_enabled &= not job.is_correction
                job.stop(interrupt=job.is_correction)

    def schedule(self) -> None:
        """Enable corrections after an edit. Stop the running job if its layer cannot be tracked any more."""
        with self._changed:
            self._corrections_enabled = True
            self.delay_corrections()
            if (job := self.running_job) is not None and not can_track(self._document.snapshot, job.layer_id):
                job.stop(interrupt=True)
            self._changed.notify_all()

    def close(self) -> None:
        """Interrupt the running job and end the thread."""
        with self._changed:
            self._closed, job = True, self.job  # a request started before is still run by the thread, and ends
            self._changed.notify_all()
        if job is not None:
            job.stop(interrupt=True)
            job.ended.wait(10)

    def _work(self) -> None:
        while (job := self._take_next()) is not None:
            job.run(self.make_tracker)
            with self._changed:
                if job.status == "failed" and job.is_correction and job.command != "interrupt":
                    self._corrections_enabled = False
                self._changed.notify_all()

    def _take_next(self) -> TrackingJob | None:
        """Wait for a request, or for the time of the next correction; return None if the runner is closed."""
        with self._changed:
            while self.running_job is None and not self._closed:
                delay = self._resume_time - time.monotonic()
                if delay > 0 or not self._make_correction_job():
                    self._changed.wait(delay if delay > 0 else None)
            return self.running_job

    def _make_correction_job(self) -> bool:
        """Make the job of the next correction; return whether there is one."""
        try:
            with self._document.lock:  # no undo in between
                if self._corrections_enabled and (layer_ids := list_corrections(self._document.snapshot)):
                    self.job = TrackingJob(self._document, layer_ids[0])
        except (InputError, OSError) as error:  # for example, the project cannot be read
            logger.warning("corrections wait for the next edit: %s", error)
            self._corrections_enabled = False
            self._changed.notify_all()
        return self.running_job is not None
