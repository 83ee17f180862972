"""Undo and redo: every change is a file's content before and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from aotlab.utils.errors import InputError

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
    """the frame to look at; None: no single one"""
    serial: int = 0
    """from 1, in the order in which steps were first done"""

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
        self._serial = 0

    @property
    def last(self) -> Step | None:
        """The step that would be undone next."""
        return self._done[-1] if self._done else None

    @property
    def next(self) -> Step | None:
        """The step that would be redone next."""
        return self._undone[-1] if self._undone else None

    @property
    def titles(self) -> tuple[str | None, str | None]:
        """What would be undone and redone next."""
        return self.last.title if self.last else None, self.next.title if self.next else None

    def add(self, title: str, changes: Sequence[Change], frame: int | None = None) -> None:
        """Take in a step that was done; what was undone before cannot be redone any more."""
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
        """Add changes to a step that was done, so that they are undone with it; returns whether it is still there."""
        for place, step in enumerate(self._done):
            if step.serial == serial:
                self._done[place] = longer = replace(step, changes=(*step.changes, *changes))
                self._nbytes += longer.nbytes - step.nbytes
                return True
        return False

    def undo(self) -> Step | None:
        """Restore what was before the last step; None if there is none. If that fails, the step stays undoable."""
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
        """Do the last undone step again; None if there is none. If that fails, the step stays redoable."""
        if not self._undone:
            return None
        step = self._undone[-1]
        self._apply([(change.where, change.index, change.after, change.before) for change in step.changes])
        self._done.append(self._undone.pop())
        self._nbytes += step.nbytes
        return step

    def _apply(self, contents: Sequence[tuple[str, int, bytes | None, bytes | None]]) -> None:
        """Put contents (where, index, new, old) in place; if one fails, those before it are put back."""
        for count, (where, index, new, _) in enumerate(contents):
            try:
                self._put(where, index, new)
            except InputError:
                for place, number, _, old in reversed(contents[:count]):
                    with suppress(InputError):  # the first error says more
                        self._put(place, number, old)
                raise
