"""Open clips of a batch: each is opened for the requests that need it, and closed when nothing uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from aotlab import InputError
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document.lock import FolderLock, find_owner
from aotlab_studio.document.log import Actor, is_same_person
from aotlab_studio.document.rules import RulesFile
from aotlab_studio.session.session import Session

CLOSE_DELAY = 10.0
"""Seconds for which a clip stays open after its page has left, as the page may be reloaded."""


@dataclass
class OpenClip:
    session: Session
    people: list[str] = field(default_factory=list)
    """Person of each request in progress; empty for another program, or without a name."""
    cancel_timer: Callable[[], None] = lambda: None
    """Cancels the timer that closes the clip."""

    @property
    def folder_lock(self) -> FolderLock | None:
        """Lock of the project; None if it can only be viewed."""
        return self.session.document.database.folder_lock

    def find_other(self, person: str) -> str:
        """Return another person whose page uses the clip; empty without one, or if ``person`` is unknown."""
        return next((other for other in self.people if person and other and not is_same_person(other, person)), "")


class OpenClips:
    """Sessions of the clips of a batch that are in use. Thread-safe.

    Args:
        find_clip: returns the clip of a name.
        open_session: opens the session of a folder of results or of a video, with ``project``.
    """

    def __init__(
        self, find_clip: Callable[[str], BatchClip], open_session: Callable[..., Session], rules: RulesFile
    ) -> None:
        self._find_clip = find_clip
        self._open_session = open_session
        self._rules = rules
        self._clips: dict[str, OpenClip] = {}
        self._locks = WeakValueDictionary[str, threading.RLock]()
        """Lock of each clip, held while it is opened or closed; it exists while a call uses it."""
        self._locks_lock = threading.Lock()

    def get_session(self, name: str) -> Session | None:
        """Return the session of a clip; None if it is not open here."""
        clip = self._clips.get(name)
        return clip.session if clip else None

    def find_holder(self, clip: BatchClip, person: str) -> str:
        """Return who has a clip open; empty if nobody has, or only ``person`` in this program."""
        opened = self._clips.get(clip.name)
        if opened is None:
            return str(find_owner(clip.project) or "")
        if opened.folder_lock is None:
            return ""
        owner = opened.folder_lock.owner
        if not owner.person:
            return "this program"
        return "" if is_same_person(owner.person, person) else str(owner)

    @contextmanager
    def use(self, name: str, person: str, *, is_page: bool = False) -> Iterator[Session]:
        """Yield the session of a clip for a request of a person. The clip is closed after its last request.

        If the request is from a page, raises `InputError` while another person's page uses the clip.
        """
        page_person = person if is_page else ""
        with self._lock(name):
            clip = self._clips.get(name) or self._open(name)
            if is_page:
                self.require_free(name, person)
            clip.people.append(page_person)
        try:
            if clip.folder_lock is not None and not clip.find_other(person):
                clip.folder_lock.name_person(person)
            yield clip.session.with_actor(Actor(author=person))
        finally:
            with self._lock(name):
                clip.people.remove(page_person)
                self.close_if_unused(name, CLOSE_DELAY if is_page else 0.0)

    def require_free(self, name: str, person: str) -> None:
        """Raise `InputError` while another person's page uses an open clip."""
        if other := self._clips[name].find_other(person):
            raise InputError(f"{name}: {other} has it open; choose another clip, or wait")

    def close_if_unused(self, name: str, delay: float = 0.0) -> None:
        """Close a clip that no request uses, after ``delay`` seconds. While it is tracked, it stays open."""
        with self._lock(name):
            clip = self._clips.get(name)
            if clip is None or clip.people:
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
        session = self._open_session(path, project=clip.project)
        session.document.shared = True
        session.document.follow_rules(self._rules)
        return self._clips.setdefault(name, OpenClip(session))

    def _close(self, name: str) -> None:
        with self._lock(name):
            if (clip := self._clips.pop(name, None)) is not None:
                clip.cancel_timer()
                clip.session.close()

    def _lock(self, name: str) -> threading.RLock:
        with self._locks_lock:
            return self._locks.setdefault(name, threading.RLock())
