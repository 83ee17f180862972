"""Undo and redo of file contents, kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import msgspec

from aotlab import InputError

LIMIT_BYTES = 512 * 2**20
"""maximum size of all steps; beyond it the oldest are dropped"""
LENGTH_BYTES = 8
"""size of the last field in the file of a step: the size of the index before it"""


@dataclass(frozen=True)
class Change:
    """One replaced content; None: no file."""

    store: str
    """``given``, ``tracked``, ``objects`` or ``corrections``"""
    index: int
    before: bytes | None
    after: bytes | None

    @property
    def inverse(self) -> Change:
        """The change back."""
        return replace(self, before=self.after, after=self.before)


Place = tuple[int, int]
"""offset and size of a content in a file"""


class StoredChange(msgspec.Struct, array_like=True, frozen=True):
    """A change whose contents are in a file."""

    store: str
    index: int
    before: Place | None
    after: Place | None


class StepIndex(msgspec.Struct, frozen=True):
    """End of the file of a step."""

    title: str
    frame: int | None
    serial: int
    changes: list[StoredChange]


class ChangeList:
    """Changes in order, without those that change nothing; their contents are in a file, not in memory.

    Args:
        path: the file; created by the first change.
    """

    def __init__(self, path: Path, stored: Iterable[StoredChange] = ()) -> None:
        self.path = path
        self.stored = list(stored)
        self.nbytes = sum(place[1] for each in self.stored for place in (each.before, each.after) if place)
        """size of all contents"""

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[Change]:
        return map(self._read, list(self.stored))

    def __reversed__(self) -> Iterator[Change]:
        return map(self._read, reversed(list(self.stored)))

    @property
    def stores(self) -> set[str]:
        """Stores of the changes, as in `Change`."""
        return {each.store for each in self.stored}

    def append(self, change: Change) -> None:
        """Add a change, unless it changes nothing; raise `InputError` if it cannot be written."""
        if change.before == change.after:
            return
        places: list[Place | None] = []
        end = self.nbytes
        for content in (change.before, change.after):
            places.append(None if content is None else (end, len(content)))
            end += len(content or b"")
        self._write((change.before or b"") + (change.after or b""))
        self.nbytes = end
        self.stored.append(StoredChange(change.store, change.index, *places))

    def save_index(self, title: str, frame: int | None, serial: int) -> None:
        """End the file with the index of a step; raise `InputError` if it cannot be written."""
        index = msgspec.msgpack.encode(StepIndex(title, frame, serial, self.stored))
        self._write(index + len(index).to_bytes(LENGTH_BYTES, "big"))

    def rename(self, path: Path) -> None:
        """Rename the file."""
        os.replace(self.path, path)
        self.path = path

    def discard(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self, content: bytes) -> None:
        """Write behind the contents, over what an error or an index left there."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("r+b" if self.stored else "wb") as file:
                file.seek(self.nbytes)
                file.write(content)
                file.truncate()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); free space") from error

    def _read(self, stored: StoredChange) -> Change:
        before, after = (self.read_content(place) for place in (stored.before, stored.after))
        return Change(stored.store, stored.index, before, after)

    def read_content(self, place: Place | None) -> bytes | None:
        """Return the content at a place; raise `InputError` if it cannot be read."""
        if place is None:
            return None
        offset, size = place
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                content = file.read(size)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}); restore it") from error
        if len(content) != size:
            raise InputError(f"{self.path}: is too short; restore it")
        return content


@dataclass(frozen=True)
class Step:
    """Changes that are undone together."""

    title: str
    changes: ChangeList
    frame: int | None = None
    """frame to show; None: several"""
    serial: int = 0
    """number of the step, from 1"""

    @property
    def stores(self) -> set[str]:
        """Stores of the changes, see `ChangeList.stores`."""
        return self.changes.stores


class History:
    """Done and undone steps.

    Args:
        put: stores the content after a change.
        folder: holds a file per step, ``SERIAL.done`` or ``SERIAL.undone``.
        limit: maximum size of all steps in bytes.
    """

    def __init__(self, put: Callable[[Change], None], folder: Path, limit: int = LIMIT_BYTES) -> None:
        self._put, self._folder, self._limit = put, folder, limit
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._serial = 0
        self._parts = count()

    def load(self, read: Callable[[str, int], bytes | None]) -> None:
        """Load the steps of earlier runs; drop them if they do not lead to the contents that ``read`` returns."""
        for path in self._folder.glob("*.part"):  # of a step that a killed program did not end
            with suppress(OSError):
                path.unlink()
        done = sorted(self._folder.glob("*.done"))
        undone = sorted(self._folder.glob("*.undone"), reverse=True)
        try:
            self._done = [_load_step(path) for path in done]
            self._undone = [_load_step(path) for path in undone]
            last = {
                (each.store, each.index): (step.changes, each.after)
                for step in self._done
                for each in step.changes.stored
                if each.store != "corrections"  # a correction may leave the queue without a step
            }
            usable = all(read(*key) == changes.read_content(place) for key, (changes, place) in last.items())
        except (OSError, ValueError, InputError):
            usable = False
        if not usable:
            for path in (*done, *undone):
                with suppress(OSError):
                    path.unlink()
            self._done, self._undone = [], []
        self._serial = max((step.serial for step in (*self._done, *self._undone)), default=0)

    def new_changes(self) -> ChangeList:
        """Return an empty list for the changes of a step."""
        return ChangeList(self._folder / f"{next(self._parts)}.part")

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

    def find_step(self, store: str, index: int) -> Step | None:
        """Return the newest done step that changed a content; None without one."""
        return next(
            (
                step
                for step in reversed(self._done)
                if any((each.store, each.index) == (store, index) for each in step.changes.stored)
            ),
            None,
        )

    def add(self, title: str, changes: ChangeList, frame: int | None = None) -> None:
        """Add a step; undone steps are dropped."""
        if not changes:
            return
        self._serial += 1
        self._done.append(Step(title, changes, frame, self._serial))
        while self._undone:
            self._undone.pop().changes.discard()
        self._drop_oldest()
        changes.save_index(title, frame, self._serial)
        self._rename(self._done[-1], ".done")

    def extend(self, serial: int, changes: ChangeList) -> bool:
        """Add changes to an earlier step; return False if it was undone or dropped."""
        for step in self._done:
            if step.serial == serial:
                for change in changes:
                    step.changes.append(change)
                step.changes.save_index(step.title, step.frame, serial)
                changes.discard()
                self._drop_oldest()
                return True
        return False

    def undo(self) -> Step | None:
        """Undo the last step and return it; None without one. If it fails, the step can still be undone."""
        step = self.undo_step
        if step is not None:
            self._apply(lambda: (change.inverse for change in reversed(step.changes)))
            self._undone.append(self._done.pop())
            self._rename(step, ".undone")
        return step

    def redo(self) -> Step | None:
        """Repeat the last undone step and return it; None without one. If it fails, it can still be redone."""
        step = self.redo_step
        if step is not None:
            self._apply(lambda: iter(step.changes))
            self._done.append(self._undone.pop())
            self._rename(step, ".done")
        return step

    def revert(self, changes: Iterable[Change]) -> None:
        """Undo changes that are no step yet, the last one first, after an error, which says more than any here.

        Args:
            changes: the changes, the last one first.
        """
        for change in changes:
            with suppress(InputError):
                self._put(change.inverse)

    def _drop_oldest(self) -> None:
        while len(self._done) > 1 and sum(step.changes.nbytes for step in self._done) > self._limit:
            self._done.pop(0).changes.discard()

    def _rename(self, step: Step, suffix: str) -> None:
        with suppress(OSError):  # the contents are stored; only this step is not known after a restart
            step.changes.rename(self._folder / f"{step.serial:08d}{suffix}")

    def _apply(self, changes: Callable[[], Iterator[Change]]) -> None:
        """Store the contents after changes; if one fails, revert those before it."""
        stored = 0
        try:
            for change in changes():
                self._put(change)
                stored += 1
        except InputError:
            self.revert(reversed(list(islice(changes(), stored))))
            raise


def _load_step(path: Path) -> Step:
    """Read the index of a step's file; raise `OSError` or `ValueError` if it is damaged."""
    with path.open("rb") as file:
        end = file.seek(-LENGTH_BYTES, os.SEEK_END)
        size = int.from_bytes(file.read(), "big")
        file.seek(end - size)
        index = msgspec.msgpack.decode(file.read(size), type=StepIndex)
    return Step(index.title, ChangeList(path, index.changes), index.frame, index.serial)
