"""Undo and redo of file contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from aotlab import InputError

LIMIT_BYTES = 256 * 2**20
"""maximum size of all steps; beyond it the oldest are dropped"""


@dataclass(frozen=True)
class Change:
    """One replaced content; None: no file."""

    store: str
    """``given``, ``tracked`` or ``objects``"""
    index: int
    before: bytes | None
    after: bytes | None

    @property
    def inverse(self) -> Change:
        """The change back."""
        return replace(self, before=self.after, after=self.before)


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
    """Done and undone steps.

    Args:
        put: stores the content after a change.
        limit: maximum size of all steps in bytes.
    """

    def __init__(self, put: Callable[[Change], None], limit: int = LIMIT_BYTES) -> None:
        self._put, self._limit = put, limit
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._serial = 0

    @property
    def undo_step(self) -> Step | None:
        """Next step to undo."""
        return self._done[-1] if self._done else None

    @property
    def redo_step(self) -> Step | None:
        """Next step to redo."""
        return self._undone[-1] if self._undone else None

    @property
    def titles(self) -> tuple[str | None, str | None]:
        """Titles of the next steps to undo and to redo."""
        return (
            self.undo_step.title if self.undo_step else None,
            self.redo_step.title if self.redo_step else None,
        )

    def add(self, title: str, changes: Sequence[Change], frame: int | None = None) -> None:
        """Add a step; undone steps are dropped."""
        if not changes:
            return
        self._serial += 1
        self._done.append(Step(title, tuple(changes), frame, self._serial))
        self._undone.clear()
        while len(self._done) > 1 and sum(step.nbytes for step in self._done) > self._limit:
            self._done.pop(0)

    def extend(self, serial: int, changes: Sequence[Change]) -> bool:
        """Add changes to an earlier step; return False if it was undone or dropped."""
        for place, step in enumerate(self._done):
            if step.serial == serial:
                self._done[place] = replace(step, changes=(*step.changes, *changes))
                return True
        return False

    def undo(self) -> Step | None:
        """Undo the last step and return it; None without one. If it fails, the step can still be undone."""
        step = self.undo_step
        if step is not None:
            self._apply([change.inverse for change in reversed(step.changes)])
            self._undone.append(self._done.pop())
        return step

    def redo(self) -> Step | None:
        """Repeat the last undone step and return it; None without one. If it fails, it can still be redone."""
        step = self.redo_step
        if step is not None:
            self._apply(step.changes)
            self._done.append(self._undone.pop())
        return step

    def revert(self, changes: Sequence[Change]) -> None:
        """Undo changes that are no step yet, after an error, which says more than any error here."""
        for change in reversed(changes):
            with suppress(InputError):
                self._put(change.inverse)

    def _apply(self, changes: Sequence[Change]) -> None:
        """Store the contents after changes; if one fails, revert those before it."""
        for count, change in enumerate(changes):
            try:
                self._put(change)
            except InputError:
                self.revert(changes[:count])
                raise
