"""Undo and redo: every change is a file's content before and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LIMIT_BYTES = 256 * 2**20
"""What the contents of all steps may take; beyond it the oldest steps cannot be undone any more."""


@dataclass(frozen=True)
class Change:
    """One content that was replaced; None: there was, or is, none."""

    where: str
    """``given``, ``tracked`` or ``objects``"""
    index: int
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Step:
    """What is undone at once."""

    title: str
    changes: tuple[Change, ...]
    frame: int | None = None
    """the frame to look at, where it is one"""

    @property
    def nbytes(self) -> int:
        """What its contents take."""
        return sum(len(change.before or b"") + len(change.after or b"") for change in self.changes)


class History:
    """Steps that were done, and those that were undone and can be done again."""

    def __init__(self, put: Callable[[str, int, bytes | None], None], limit: int = LIMIT_BYTES) -> None:
        self._put = put
        self._limit = limit
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._nbytes = 0

    @property
    def titles(self) -> tuple[str | None, str | None]:
        """What would be undone and redone next."""
        return (
            self._done[-1].title if self._done else None,
            self._undone[-1].title if self._undone else None,
        )

    def add(self, title: str, changes: Sequence[Change], frame: int | None = None) -> None:
        """Take in a step that was done; what was undone before cannot be redone any more."""
        if not changes:
            return
        step = Step(title, tuple(changes), frame)
        self._done.append(step)
        self._undone.clear()
        self._nbytes += step.nbytes
        while self._nbytes > self._limit and len(self._done) > 1:
            self._nbytes -= self._done.pop(0).nbytes

    def undo(self) -> Step | None:
        """Put back what was before the last step; None where there is none."""
        if not self._done:
            return None
        step = self._done.pop()
        for change in reversed(step.changes):
            self._put(change.where, change.index, change.before)
        self._undone.append(step)
        self._nbytes -= step.nbytes
        return step

    def redo(self) -> Step | None:
        """Do the last undone step again; None where there is none."""
        if not self._undone:
            return None
        step = self._undone.pop()
        for change in step.changes:
            self._put(change.where, change.index, change.after)
        self._done.append(step)
        self._nbytes += step.nbytes
        return step
