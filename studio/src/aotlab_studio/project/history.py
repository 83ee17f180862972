"""Undo and redo of file contents, kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from aotlab import InputError
from aotlab_studio.files import write_bytes

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
        folder: holds a file per step, ``SERIAL.done`` or ``SERIAL.inverse``.
        limit: maximum size of all steps in bytes.
    """

    def __init__(self, put: Callable[[Change], None], folder: Path, limit: int = LIMIT_BYTES) -> None:
        self._put, self._folder, self._limit = put, folder, limit
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._serial = 0

    def load(self, read: Callable[[str, int], bytes | None]) -> None:
        """Load the steps of earlier runs; drop them if they do not lead to the contents that ``read`` returns."""
        current: dict[tuple[str, int], bytes | None] = {}
        try:
            for path in sorted(self._folder.glob("*.done")) + sorted(
                self._folder.glob("*.undone"), reverse=True
            ):
                step = msgspec.msgpack.decode(path.read_bytes(), type=Step)
                done = path.suffix == ".done"
                (self._done if done else self._undone).append(step)
                for change in step.changes if done else ():
                    current[change.store, change.index] = change.after
            usable = all(read(*key) == content for key, content in current.items())
        except (OSError, ValueError):
            usable = False
        if not usable:
            for step in (*self._done, *self._undone):
                self._remove(step)
            self._done, self._undone = [], []
        self._serial = max((step.serial for step in (*self._done, *self._undone)), default=0)

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
        while self._undone:
            self._remove(self._undone.pop())
        while len(self._done) > 1 and sum(step.nbytes for step in self._done) > self._limit:
            self._remove(self._done.pop(0))
        self._write(self._done[-1])

    def extend(self, serial: int, changes: Sequence[Change]) -> bool:
        """Add changes to an earlier step; return False if it was undone or dropped."""
        for place, step in enumerate(self._done):
            if step.serial == serial:
                self._done[place] = replace(step, changes=(*step.changes, *changes))
                self._write(self._done[place])
                return True
        return False

    def undo(self) -> Step | None:
        """Undo the last step and return it; None without one. If it fails, the step can still be undone."""
        step = self.undo_step
        if step is not None:
            self._apply([change.inverse for change in reversed(step.changes)])
            self._undone.append(self._done.pop())
            self._rename(step, ".done", ".undone")
        return step

    def redo(self) -> Step | None:
        """Repeat the last undone step and return it; None without one. If it fails, it can still be redone."""
        step = self.redo_step
        if step is not None:
            self._apply(step.changes)
            self._done.append(self._undone.pop())
            self._rename(step, ".undone", ".done")
        return step

    def revert(self, changes: Sequence[Change]) -> None:
        """Undo changes that are no step yet, after an error, which says more than any error here."""
        for change in reversed(changes):
            with suppress(InputError):
                self._put(change.inverse)

    def _path(self, step: Step, suffix: str = ".done") -> Path:
        return self._folder / f"{step.serial:08d}{suffix}"

    def _write(self, step: Step) -> None:
        write_bytes(self._path(step), msgspec.msgpack.encode(step))

    def _rename(self, step: Step, before: str, after: str) -> None:
        with suppress(OSError):  # the contents are stored; only this step is not known after a restart
            os.replace(self._path(step, before), self._path(step, after))

    def _remove(self, step: Step) -> None:
        for suffix in (".done", ".undone"):
            with suppress(OSError):
                self._path(step, suffix).unlink(missing_ok=True)

    def _apply(self, changes: Sequence[Change]) -> None:
        """Store the contents after changes; if one fails, revert those before it."""
        for count, change in enumerate(changes):
            try:
                self._put(change)
            except InputError:
                self.revert(changes[:count])
                raise
