"""Jobs of a session, one at a time: those a person starts, and corrections that propagate in the background."""

from __future__ import annotations

import threading
from contextlib import suppress

from aotlab import InputError
from aotlab_studio.jobs import MakeTracker, TrackingJob
from aotlab_studio.planning import Request, propagation
from aotlab_studio.state import State

PAUSE = 0.6
"""seconds without a stroke before a correction propagates"""
TIMEOUT = 20.0
"""seconds to wait for a background job to end, which it does after the frame in hand"""


class Runner:
    """Starts jobs. A background job yields to everything else.

    Args:
        make_tracker: makes the tracker of a job; called in the job's thread.
    """

    def __init__(self, state: State, make_tracker: MakeTracker) -> None:
        self._state, self._make_tracker = state, make_tracker
        self.job: TrackingJob | None = None
        """last job"""
        self._timer = threading.Timer(PAUSE, self._propagate)  # never started; its successors are
        self._lock = threading.RLock()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self.job is not None and self.job.alive

    def start(self, request: Request, live: bool = False) -> TrackingJob:
        """Start a job; raises `InputError` if one is running, or as `TrackingJob`."""
        with self._lock:
            self.require_idle("tracking", "is running already")
            self.job = TrackingJob(self._state, self._make_tracker, request, live=live)
            return self.job

    def require_idle(self, action: str, problem: str = "not while tracking runs") -> None:
        """End a background job; raise `InputError` while any other job runs."""
        self.yield_background(wait=True)
        if self.busy:
            raise InputError(f"{action}: {problem}; stop it first")

    def yield_background(self, *, wait: bool = False) -> None:
        """Stop the propagation of corrections; with ``wait``, until its last result is stored."""
        with self._lock:
            self._timer.cancel()
            job = self.job
        if job is not None and job.extends is not None and job.alive:
            job.stop()
            if wait:
                job.wait(TIMEOUT)

    def propagate(self, index: int) -> None:
        """Track from a corrected frame to its given neighbours, after `PAUSE` seconds without a stroke.

        Does nothing before the first job has ended, as loading a model takes long, or if no results follow.
        """
        with self._lock:
            self._timer.cancel()
            if self.job is None or (self.job.alive and self.job.extends is None):
                return
            self._timer = threading.Timer(PAUSE, self._propagate, (index,))
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Stop all jobs."""
        self._closed = True
        self.yield_background(wait=True)
        if self.job is not None:
            self.job.stop()
            self.job.wait(10)

    def _propagate(self, index: int) -> None:
        with self._lock, suppress(InputError):  # nothing to track there
            if self._closed:
                return
            if self.busy:
                self.propagate(index)
                return
            request, step = propagation(self._state, index), self._state.history.last
            if request is not None and step is not None:
                self.job = TrackingJob(self._state, self._make_tracker, request, extends=step.serial)
