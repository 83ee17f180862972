"""Tracker of several jobs, loaded on demand."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aotlab import TrackerOptions
from aotlab.sdk import describe_tracker
from aotlab.utils.digests import InputDigests

if TYPE_CHECKING:
    from aotlab import VideoTracker


class LazyTracker:
    """Tracker of one or several jobs, loaded on demand and reloaded if the overrides change."""

    def __init__(self, tracker: TrackerOptions | VideoTracker) -> None:
        self._tracker = tracker
        self.load: Callable[[tuple[str, ...]], VideoTracker] = lru_cache(1)(self._load)
        """Return the tracker, with the overrides of a job if it is loaded from options."""

    @property
    def has_files(self) -> bool:
        """Whether the tracker is made of files and settings alone, which can be compared with those of another run."""
        return isinstance(self._tracker, TrackerOptions)

    def _load(self, overrides: tuple[str, ...]) -> VideoTracker:
        tracker = self._tracker
        return tracker.add_overrides(overrides).load() if isinstance(tracker, TrackerOptions) else tracker

    def fingerprint(self, overrides: tuple[str, ...] = (), digests: InputDigests | None = None) -> dict[str, Any]:
        """Return what masks depend on; ``digests``: those of the other inputs of the run."""
        tracker = self._tracker
        if isinstance(tracker, TrackerOptions):
            return tracker.add_overrides(overrides).fingerprint(digests)
        return describe_tracker(tracker)
