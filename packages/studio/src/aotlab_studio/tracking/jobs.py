"""Tracking jobs, one at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import numpy as np

from aotlab import InputError
from aotlab_studio.document.document import Document
from aotlab_studio.document.events import ResultsEvent
from aotlab_studio.document.log import Changes, Direction
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.planning import plan_request
from aotlab_studio.document.scores import measure_scores
from aotlab_studio.document.states import can_track
from aotlab_studio.protocol import JobEvent, JobProgress, JobStatus
from aotlab_studio.review.signals import ReviewSignals
from aotlab_studio.tracking.models import LoadedTracker
from aotlab_studio.tracking.spans import SpanFrame, plan_spans, track_span

if TYPE_CHECKING:
    from aotlab import VideoTracker

logger = logging.getLogger(__name__)
MakeTracker = Callable[[], LoadedTracker]
Command = Literal["run", "pause", "finish", "interrupt"]
"""What to do once the current frame is computed. The last two discard it; after ``interrupt``, the layer is pending."""


class TrackingJob:
    """Tracks the frames of a layer that was just added, from the masks that show when the job is made."""

    def __init__(self, document: Document, layer_id: int) -> None:
        self.layer_id, self.layer = layer_id, document.snapshot.state.layers[layer_id]
        self._document = document
        self._step = document.log.layer_steps[layer_id]
        self._start_snapshot = document.snapshot
        self._spans = plan_spans(self.layer)
        self.total = sum(len(span.forward) + len(span.backward) for span in self._spans)
        self.done = 0
        self.status: JobStatus = "starting"
        self.problem: str | None = None
        self.frame = self.layer.reference_frame
        self._times: deque[float] = deque(maxlen=21)  # speed of 20 frames
        self._signals = ReviewSignals()
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
            status, self.frame, self.done, self.total, round(speed, 2), remaining, self._step, self.problem
        )

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
        if is_empty and self.command != "interrupt":
            self._document.cancel(self._step)
            self._document.finish_layer(self.layer_id)  # not canceled if edits followed the request

    def _report_end(self, status: JobStatus) -> None:
        """Tell the page what has changed."""
        self._set_status(status)
        with suppress(InputError):  # a project that cannot be read
            self._document.emit_page_state()
            # the marks of earlier frames may have changed: an object is lost after several frames
            self._document.emit(ResultsEvent(self._document.revision))

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
        """Wait until the job is resumed or stopped."""
        if self.paused:
            self._set_status("paused")
        with self._changed:
            self._changed.wait_for(lambda: not self.paused)

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
        return document.add_tracked_masks(self.layer_id, description, ids)

    def _set_status(self, status: JobStatus) -> None:
        self.status = status
        self._document.emit(JobEvent(self.report()))


class JobRunner:
    """Runs the jobs of a document, one at a time, each in a thread."""

    def __init__(self, document: Document, make_tracker: MakeTracker) -> None:
        self._document, self.make_tracker = document, make_tracker
        self.job: TrackingJob | None = None  # the latest one
        self._lock = threading.Lock()

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
        with self._lock, document.lock:
            if self.running_job is not None:
                raise InputError("tracking: is running already; stop it first")
            layer = plan_request(document.snapshot, frame, direction, first, last, object_id)
            layer_id = document.make_layer_id()
            title = "tracking" if object_id is None else f"track {document.snapshot.objects[object_id].name}"
            document.edit(title, Changes(layers={layer_id: layer}))
            self.job = job = TrackingJob(document, layer_id)
        threading.Thread(target=job.run, args=(self.make_tracker,), name="tracking", daemon=True).start()
        return job

    def stop_if_invalid(self) -> None:
        """Stop the running job if its layer cannot be tracked any more, for example after an undo."""
        if (job := self.running_job) is not None and not can_track(self._document.snapshot, job.layer_id):
            job.stop(interrupt=True)

    def close(self) -> None:
        """Interrupt the running job and wait for its end."""
        if self.job is not None:
            self.job.stop(interrupt=True)
            self.job.ended.wait(10)
