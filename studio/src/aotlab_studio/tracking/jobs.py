"""Tracking jobs, one at a time: those a person starts, and corrections that propagate in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from aotlab import InputError
from aotlab_studio.project.state import State
from aotlab_studio.protocol import JobEvent, JobProgress, JobStatus, StaleEvent
from aotlab_studio.review.scores import ReviewSignals, measure_scores
from aotlab_studio.tracking.planning import (
    Span,
    TrackRequest,
    find_stale_ranges,
    plan_propagation,
    plan_spans,
    restart_after_correction,
)

if TYPE_CHECKING:
    from aotlab import Tracker
    from aotlab_studio.tracking.spans import TrackedFrame

MakeTracker = Callable[[], "Tracker"]
SPEED_FRAMES = 20
"""number of frames over which the speed is measured"""
PROPAGATION_DELAY = 0.6
"""seconds without a stroke before a correction propagates"""
STOP_TIMEOUT = 20.0
"""seconds to wait for a background job to end, which it does after the current frame"""


class TrackingJob:
    """One run of the tracker, in a thread that starts at once.

    Args:
        state: masks to read and write.
        make_tracker: called in the job's thread.
        request: what to track.
        live: track a stream from now on, which cannot be undone, instead of the frames of ``request``.
        extends: step of the history to extend, for a background job; None: add a step.
        on_end: called with the job in its thread when it has ended.

    Raises:
        InputError: as `plan_spans`, or an unknown object.
    """

    def __init__(
        self,
        state: State,
        make_tracker: MakeTracker,
        request: TrackRequest,
        *,
        live: bool = False,
        extends: int | None = None,
        on_end: Callable[[TrackingJob], None] = lambda job: None,
    ) -> None:
        self._state, self._make_tracker, self.request = state, make_tracker, request
        self._live, self.extends, self._on_end = live, extends, on_end
        spans = [] if live else plan_spans(state, request)
        self._object_ids = None if request.object_ids is None else frozenset(request.object_ids)
        for object_id in self._object_ids or ():
            state.objects.get(object_id)
        self.total = sum(span.num_frames for span in spans)
        self.current_pass, self.passes = 1, max(1, sum(span.passes for span in spans))
        self._pending_spans, self._finished_spans = deque(spans), list[Span]()
        self._span: Span | None = None
        self._position: int | None = None
        self._frames_left = 0  # frames left in the current span
        self._known_revision = 0  # revision of the last correction known to the tracker
        self.done = 0
        self.status: JobStatus = "starting"
        self.problem: str | None = None
        """error message, if it failed"""
        self.frame = request.start
        self.started = self.ended = 0.0
        """clock (`time.perf_counter`) in seconds"""
        self._times: deque[float] = deque(maxlen=SPEED_FRAMES + 1)
        self._signals = ReviewSignals()
        self._stop, self._unpaused = threading.Event(), threading.Event()
        self._unpaused.set()
        self._changes = state.new_changes()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in ("starting", "running", "paused")

    def pause(self) -> None:
        """Pause after the current frame."""
        self._unpaused.clear()

    def resume(self) -> None:
        """Continue."""
        self._times.clear()
        self._unpaused.set()

    def stop(self) -> None:
        """Stop after the current frame; results are kept."""
        self._stop.set()
        self._unpaused.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end."""
        self._thread.join(seconds)

    def report(self) -> JobProgress:
        """Return the progress."""
        speed = 0.0
        if len(self._times) > 1 and self._times[-1] > self._times[0]:
            speed = (len(self._times) - 1) / (self._times[-1] - self._times[0])
        remaining = round((self.total - self.done) / speed, 1) if speed and self.total else None
        return JobProgress(
            self.extends is not None, self.status, self.request.direction, self.frame, self.done, self.total,
            round(speed, 2), remaining, self.current_pass, self.passes, self.problem,
        )  # fmt: skip

    def _run(self) -> None:
        status: JobStatus = "failed"
        try:
            self._set_status("starting")
            tracker = self._make_tracker()
            self._set_status("running")
            self.started = time.perf_counter()
            self._times.append(self.started)
            self._track(tracker)
            status = "stopped" if self._stop.is_set() else "done"
        except InputError as error:
            self.problem = str(error)
        except Exception as error:  # any error must reach the page
            logging.getLogger(__name__).exception("tracking failed")
            self.problem = f"tracking failed: {error}"
        self.ended = time.perf_counter()
        with self._state.lock:
            try:
                for index in self._list_propagated() if status == "done" else ():
                    self._changes.append(self._state.change("corrections", index, None))
                if self.extends is None or not self._state.history.extend(self.extends, self._changes):
                    self._state.add_step("tracking", self._changes, self.request.start)
            except InputError as error:  # the masks are stored; the step may not be known after a restart
                status, self.problem = "failed", str(error)
        self._set_status(status)
        with suppress(InputError):  # a queue that cannot be stored is propagated again after a restart
            self._on_end(self)

    def _list_propagated(self) -> list[int]:
        """Return the queued corrections that this job has propagated."""
        request = self.request
        if self._live or request.object_ids is not None:
            return []
        first = last = request.start
        if self.extends is None and request.direction != "forward":
            first = request.first
        if self.extends is None and request.direction != "backward":
            last = self._state.frames.count - 1 if request.last is None else request.last
        return [index for index in self._state.corrections if first <= index <= last]

    def _track(self, tracker: Tracker) -> None:
        """Track the stream, or all spans, and again from every correction of a frame already tracked."""
        from aotlab_studio.tracking.spans import track_span, track_stream

        if self._live:
            self._store_results(track_stream(tracker, self._state, self.request.start))
        with self._state.lock:
            self._known_revision = self._state.revision
        while self._pending_spans and not self._stop.is_set():
            self._span = span = self._pending_spans.popleft()
            self._position = span.backward_from if span.forward_from is None else span.forward_from
            self._frames_left = span.num_frames
            if self._store_results(track_span(tracker, self._state, span)):
                self._finished_spans.append(span)
                self._span = None
                self._take_corrections()

    def _take_corrections(self) -> bool:
        """Queue spans that corrections make outdated; return whether to leave the current span for them."""
        state, request = self._state, self.request
        with state.lock:
            seen, self._known_revision = self._known_revision, state.revision
            corrected = {index for index, revision in state.keyframe_revisions.items() if revision > seen}
            if not corrected:
                return False
            if request.direction == "both":
                # each direction must know what the other one passed
                last = state.frames.count - 1 if request.last is None else request.last
                leave = any(request.first <= index <= last for index in corrected)
                if leave:
                    self._pending_spans, self._finished_spans = deque(plan_spans(state, request)), []
            else:
                outdated = [
                    restart_after_correction(state, span, None, corrected) for span in self._finished_spans
                ]
                self._pending_spans.extend(span for span in outdated if span is not None and span.num_frames)
                rest = self._span and restart_after_correction(state, self._span, self._position, corrected)
                leave = rest is not None
                self._pending_spans.extendleft([rest] if rest is not None else [])
        self._frames_left = 0 if leave else self._frames_left
        self.total = self.done + self._frames_left + sum(span.num_frames for span in self._pending_spans)
        return leave

    def _store_results(self, results: Iterator[TrackedFrame]) -> bool:
        """Store results; return True at their end, False if stopped or if a tracked frame was corrected."""
        while not self._stop.is_set():
            if not self._unpaused.is_set():
                self._set_status("paused")
                self._unpaused.wait()
                self._set_status("stopped" if self._stop.is_set() else "running")
                continue
            if not self._live and self._take_corrections():
                return False
            item = next(results, None)
            if item is None:
                return True
            self._store_frame(item)
            self.done += 1
            self._frames_left -= 1
            self.frame = item.index
            self._position = item.index if item.reached_frame is None else item.reached_frame
            self._times.append(time.perf_counter())
            self._count_passes()
            self._set_status("running")
        return False

    def _count_passes(self) -> None:
        """Update the current pass over the frames; with two references, backward comes before forward."""
        if self._span is None:
            return
        before = sum(span.passes for span in self._finished_spans)
        second = (
            self._span.forward_from is not None
            and self._frames_left < self._span.last - self._span.forward_from
        )
        self.current_pass = before + (2 if self._span.passes == 2 and second else 1)
        self.passes = before + self._span.passes + sum(span.passes for span in self._pending_spans)

    def _store_frame(self, result: TrackedFrame) -> None:
        """Store the chosen objects of a result; all others keep their pixels."""
        state = self._state
        image = state.frames.read(result.index, "track")
        with state.lock:
            free = set(state.objects.ids).difference(state.objects.locked)
            wanted = free if self._object_ids is None else free & self._object_ids
            chosen, absent_ids = wanted & set(result.confidence), wanted & result.absent_ids
            old = state.tracked_mask(result.index)
            old = np.where(np.isin(old, list(absent_ids)), 0, old)
            new = np.where(np.isin(result.labels, list(chosen)), result.labels, 0)
            new = np.where((old > 0) & ~np.isin(old, list(chosen)), old, new).astype(np.uint16)
            kept = {
                n: score for n, score in state.scores(result.index).items() if n not in chosen | absent_ids
            }
            confidence = {n: score.confidence for n, score in kept.items()}
            disagreement = {
                n: score.disagreement for n, score in kept.items() if score.disagreement is not None
            }
            confidence |= {n: result.confidence[n] for n in chosen}
            disagreement |= {n: value for n, value in result.disagreement.items() if n in chosen}
            signals = self._signals.update(result.index, new, image, confidence)
            scores = measure_scores(new, sorted(confidence), confidence, disagreement, signals)
            change = state.set_tracked(result.index, new, scores)
            if self._live:
                return
            self._changes.append(change)

    def _set_status(self, status: JobStatus) -> None:
        self.status = status
        self._state.emit(JobEvent(self.report()))


class JobRunner:
    """Starts jobs. Corrections wait in a queue, which the project stores; each is a background job.

    A background job yields to everything else and starts over later.

    Args:
        make_tracker: makes the tracker of a job; called in the job's thread.
    """

    def __init__(self, state: State, make_tracker: MakeTracker) -> None:
        self._state, self._make_tracker = state, make_tracker
        self.job: TrackingJob | None = None
        """last job"""
        self._timer = threading.Timer(
            PROPAGATION_DELAY, self._start_next
        )  # never started; its successors are
        self._held = False
        self._lock = threading.RLock()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self.job is not None and self.job.alive

    def start(self, request: TrackRequest, live: bool = False) -> TrackingJob:
        """Start a job; raises `InputError` if one is running, or as `TrackingJob`."""
        self.require_idle("tracking", "is running already")  # waits for a job, which needs the lock to end
        with self._lock:
            if self.busy:
                raise InputError("tracking: is running already; stop it first")
            self.job = TrackingJob(
                self._state, self._make_tracker, request, live=live, on_end=self._finish_job
            )
            return self.job

    def require_idle(self, action: str, problem: str = "not while tracking runs") -> None:
        """End a background job; raise `InputError` while any other job runs."""
        self.stop_background(wait=True)
        if self.busy:
            raise InputError(f"{action}: {problem}; stop it first")

    def stop_background(self, *, wait: bool = False) -> None:
        """Stop the propagation of corrections; with ``wait``, until its last result is stored.

        The queue continues after `PROPAGATION_DELAY` seconds without another call.
        """
        with self._lock:
            job = self.job
            self.resume_queue()
        if job is not None and job.extends is not None and job.alive:
            job.stop()
            if wait:
                job.wait(STOP_TIMEOUT)
                self.resume_queue()  # later than the end of the job does

    def schedule_propagation(self, index: int) -> None:
        """Queue a corrected frame: track from it to its given neighbours, if results outdated by it are there."""
        with self._lock:
            self._held = False
            if plan_propagation(self._state, index) is not None:
                self._state.queue_correction(index)
                self.refresh_queue()

    def stop(self) -> None:
        """Stop the running job. If it is a correction, the queue waits for the next one."""
        with self._lock:
            if self.job is not None:
                self._held = self.job.extends is not None
                self.job.stop()

    def refresh_queue(self) -> None:
        """Notify the listeners of the queue, which has changed, and propagate it as `resume_queue`."""
        with self._lock:
            self._state.emit(StaleEvent(find_stale_ranges(self._state)))
            self.resume_queue()

    def resume_queue(self) -> None:
        """Propagate the queued corrections after `PROPAGATION_DELAY` seconds without a stroke."""
        with self._lock:
            self._timer.cancel()
            if self._closed or self._held or not self._state.corrections:
                return
            self._timer = threading.Timer(PROPAGATION_DELAY, self._start_next)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Stop all jobs; the queue stays in the project."""
        with self._lock:
            self._closed = True
            self._timer.cancel()
        if self.job is not None:
            self.job.stop()
            self.job.wait(10)

    def _start_next(self) -> None:
        """Start the oldest correction that has something to track, unless a job runs, whose end resumes the queue."""
        with self._lock:
            if self._closed or self.busy:
                return
            for index in self._state.corrections:
                request = plan_propagation(self._state, index)
                step = self._state.history.find_step("given", index)
                with suppress(InputError):  # nothing to track there
                    if request is not None:
                        self.job = TrackingJob(
                            self._state, self._make_tracker, request,
                            extends=0 if step is None else step.serial, on_end=self._finish_job,
                        )  # fmt: skip
                        return
                self._state.set_corrections([each for each in self._state.corrections if each != index])
            self.refresh_queue()

    def _finish_job(self, job: TrackingJob) -> None:
        """Continue with the queue, unless the job failed; then its correction comes last next time."""
        start, queue = job.request.start, self._state.corrections
        if job.status != "failed":
            self.refresh_queue()
        elif start in queue:
            self._state.set_corrections([*(index for index in queue if index != start), start])
