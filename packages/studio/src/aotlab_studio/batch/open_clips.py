"""Open clips of a batch: each is opened for the requests that need it, and closed when nothing uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.session.session import Session

CLOSE_DELAY = 10.0
"""Seconds for which a clip stays open after its page has left, as the page may be reloaded."""


@dataclass
class OpenClip:
    session: Session
    requests: int = 0
    """Number of requests in progress."""
    cancel_timer: Callable[[], None] = lambda: None
    """Cancels the timer that closes the clip."""


class OpenClips:
    """Sessions of the clips of a batch that are in use. Thread-safe.

    Args:
        find_clip: returns the clip of a name.
        open_session: opens the session of a folder of results or of a video, with ``project``.
    """

    def __init__(self, find_clip: Callable[[str], BatchClip], open_session: Callable[..., Session]) -> None:
        self._find_clip = find_clip
        self._open_session = open_session
        self._clips: dict[str, OpenClip] = {}
        self._locks = WeakValueDictionary[str, threading.RLock]()
        """Lock of each clip, held while it is opened or closed; it exists while a call uses it."""
        self._locks_lock = threading.Lock()

    def get_session(self, name: str) -> Session | None:
        """Return the session of a clip; None if it is not open here."""
        clip = self._clips.get(name)
        return clip.session if clip else None

    @contextmanager
    def use(self, name: str, *, is_page: bool = False) -> Iterator[Session]:
        """Yield the session of a clip for a request, of a page that shows it or of others.

        The clip is closed after its last request.
        """
        with self._lock(name):
            clip = self._clips.get(name) or self._open(name)
            clip.requests += 1
        try:
            yield clip.session
        finally:
            with self._lock(name):
                clip.requests -= 1
                self.close_if_unused(name, CLOSE_DELAY if is_page else 0.0)

    def close_if_unused(self, name: str, delay: float = 0.0) -> None:
        """Close a clip that no request uses, after ``delay`` seconds. While it is tracked, it stays open."""
        with self._lock(name):
            clip = self._clips.get(name)
            if clip is None or clip.requests:
                return
            clip.cancel_timer()
            if clip.session.runner.running_job:
                delay = CLOSE_DELAY
            if delay:
                timer = threading.Timer(delay, self.close_if_unused, [name])
                timer.daemon = True
                timer.start()
                clip.cancel_timer = timer.cancel
            else:
                self._close(name)

    def close(self) -> None:
        with self._locks_lock:
            names = {*self._locks, *self._clips}
        for name in names:
            self._close(name)

    def _open(self, name: str) -> OpenClip:
        clip = self._find_clip(name)
        path = clip.path if clip.results.entries else Path(clip.results.video)
        return self._clips.setdefault(name, OpenClip(self._open_session(path, project=clip.project)))

    def _close(self, name: str) -> None:
        with self._lock(name):
            if (clip := self._clips.pop(name, None)) is not None:
                clip.cancel_timer()
                clip.session.close()

    def _lock(self, name: str) -> threading.RLock:
        with self._locks_lock:
            return self._locks.setdefault(name, threading.RLock())
