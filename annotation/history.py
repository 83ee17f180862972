"""Undo and redo of file contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from aotlab.utils.errors import InputError

LIMIT_BYTES = 256 * 2**20
"""maximum size of all steps; beyond it the oldest are dropped"""


@dataclass(frozen=True)
class Change:
    """One replaced content; None: no file."""

    where: str
    """``given``, ``tracked`` or ``objects``"""
    index: int
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Step:
    """Changes that are undone together."""

    title: str
    changes: tuple[Change, ...]
    frame: int | None = None
    """frame to show; None: several"""
    serial: int = 0
    """number of the step, from 1"""

    @property
    def nbytes(self) -> int:
        """Size of its contents in bytes."""
        return sum(len(change.before or b"") + len(change.after or b"") for change in self.changes)


class History:
    """Done and undone steps."""

    def __init__(self, put: Callable[[str, int, bytes | None], None], limit: int = LIMIT_BYTES) -> None:
        self._put = put
        self._limit = limit
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._nbytes = 0
        self._serial = 0

    @property
    def last(self) -> Step | None:
        """Next step to undo."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Step | None:
        """Next step to redo."""
        return self._undone[-1] if self._undone else None

    @property
    def titles(self) -> tuple[str | None, str | None]:
        """Titles of the next steps to undo and to redo."""
        return self.last.title if self.last else None, self.next.title if self.next else None

    def add(self, title: str, changes: Sequence[Change], frame: int | None = None) -> None:
        """Add a step; undone steps are dropped."""
        if not changes:
            return
        self._serial += 1
        step = Step(title, tuple(changes), frame, self._serial)
        self._done.append(step)
        self._undone.clear()
        self._nbytes += step.nbytes
        while self._nbytes > self._limit and len(self._done) > 1:
            self._nbytes -= self._done.pop(0).nbytes

    def extend(self, serial: int, changes: Sequence[Change]) -> bool:
        """Add changes to an earlier step; return False if it was undone or dropped."""
        for place, step in enumerate(self._done):
            if step.serial == serial:
                self._done[place] = longer = replace(step, changes=(*step.changes, *changes))
                self._nbytes += longer.nbytes - step.nbytes
                return True
        return False

    def undo(self) -> Step | None:
        """Undo the last step and return it; None without one. If it fails, the step can still be undone."""
        if not self._done:
            return None
        step = self._done[-1]
        self._apply(
            [(change.where, change.index, change.before, change.after) for change in reversed(step.changes)]
        )
        self._undone.append(self._done.pop())
        self._nbytes -= step.nbytes
        return step

    def redo(self) -> Step | None:
        """Repeat the last undone step and return it; None without one. If it fails, it can still be redone."""
        if not self._undone:
            return None
        step = self._undone[-1]
        self._apply([(change.where, change.index, change.after, change.before) for change in step.changes])
        self._done.append(self._undone.pop())
        self._nbytes += step.nbytes
        return step

    def _apply(self, contents: Sequence[tuple[str, int, bytes | None, bytes | None]]) -> None:
        """Store contents (where, index, new, old); if one fails, revert those before it."""
        for count, (where, index, new, _) in enumerate(contents):
            try:
                self._put(where, index, new)
            except InputError:
                for place, other, _, old in reversed(contents[:count]):
                    with suppress(InputError):  # the first error says more
                        self._put(place, other, old)
                raise
