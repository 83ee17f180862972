"""Undo and redo of file contents."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from aotlab import InputError

MEMORY_BYTES = 2**23
"""size of the changes of a step beyond which they are on disk, as those of all frames of a video"""
LIMIT_BYTES = 256 * 2**20
"""maximum size of all steps in memory; beyond it the oldest are dropped"""
DISK_BYTES = 4 * 2**30
"""maximum size of all steps on disk"""


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


Place = tuple[int, int]
"""offset and size of a content in a file"""


class ChangeList:
    """Changes in order, without those that change nothing; large ones are in a temporary file.

    Args:
        folder: folder of the temporary file.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(folder))  # noqa: SIM115
        self._places: list[tuple[str, int, Place | None, Place | None]] = []
        self._lock = threading.Lock()
        self.nbytes = 0
        """size of all contents"""

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Change]:
        return map(self._read, list(self._places))

    def __reversed__(self) -> Iterator[Change]:
        return map(self._read, reversed(list(self._places)))

    @property
    def on_disk(self) -> bool:
        """Whether the contents are in a file."""
        return self.nbytes > MEMORY_BYTES

    @property
    def stores(self) -> set[str]:
        """Stores of the changes: ``given``, ``tracked``, ``objects``."""
        return {store for store, *_ in self._places}

    def append(self, change: Change) -> None:
        """Add a change, unless it changes nothing."""
        if change.before != change.after:
            before, after = self._write(change.before), self._write(change.after)
            self._places.append((change.store, change.index, before, after))

    def _write(self, content: bytes | None) -> Place | None:
        if content is None:
            return None
        with self._lock:
            self._file.seek(self.nbytes)
            self._file.write(content)
            self.nbytes += len(content)
            return self.nbytes - len(content), len(content)

    def _read(self, entry: tuple[str, int, Place | None, Place | None]) -> Change:
        store, index, *places = entry
        before, after = (None if place is None else self._read_content(place) for place in places)
        return Change(store, index, before, after)

    def _read_content(self, place: Place) -> bytes:
        with self._lock:
            self._file.seek(place[0])
            return self._file.read(place[1])


@dataclass(frozen=True)
class Step:
    """Changes that are undone together."""

    title: str
    lists: tuple[ChangeList, ...]
    frame: int | None = None
    """frame to show; None: several"""
    serial: int = 0
    """number of the step, from 1"""

    @property
    def stores(self) -> set[str]:
        """Stores of the changes, see `ChangeList.stores`."""
        return set().union(*(each.stores for each in self.lists))

    def changes(self) -> Iterator[Change]:
        """Yield the changes in order."""
        return chain.from_iterable(self.lists)

    def undone_changes(self) -> Iterator[Change]:
        """Yield the changes back, the last one first."""
        return (change.inverse for each in reversed(self.lists) for change in reversed(each))

    def size(self, *, on_disk: bool) -> int:
        """Return the size of its contents in memory or on disk in bytes."""
        return sum(each.nbytes for each in self.lists if each.on_disk == on_disk)


class History:
    """Done and undone steps.

    Args:
        put: stores the content after a change.
        limit: maximum size of all steps in memory in bytes.
    """

    def __init__(self, put: Callable[[Change], None], limit: int = LIMIT_BYTES) -> None:
        self._put, self._limit, self._disk_limit = put, limit, DISK_BYTES
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

    def add(self, title: str, changes: ChangeList, frame: int | None = None) -> None:
        """Add a step; undone steps are dropped."""
        if not changes:
            return
        self._serial += 1
        self._done.append(Step(title, (changes,), frame, self._serial))
        self._undone.clear()
        self._drop_oldest()

    def extend(self, serial: int, changes: ChangeList) -> bool:
        """Add changes to an earlier step; return False if it was undone or dropped."""
        for place, step in enumerate(self._done):
            if step.serial == serial:
                self._done[place] = replace(step, lists=(*step.lists, changes))
                self._drop_oldest()
                return True
        return False

    def _drop_oldest(self) -> None:
        for on_disk, limit in ((False, self._limit), (True, self._disk_limit)):
            while len(self._done) > 1 and sum(step.size(on_disk=on_disk) for step in self._done) > limit:
                self._done.pop(0)

    def undo(self) -> Step | None:
        """Undo the last step and return it; None without one. If it fails, the step can still be undone."""
        step = self.undo_step
        if step is not None:
            self._apply(step.undone_changes)
            self._undone.append(self._done.pop())
        return step

    def redo(self) -> Step | None:
        """Repeat the last undone step and return it; None without one. If it fails, it can still be redone."""
        step = self.redo_step
        if step is not None:
            self._apply(step.changes)
            self._done.append(self._undone.pop())
        return step

    def revert(self, changes: Iterable[Change]) -> None:
        """Undo changes that are no step yet, the last one first, after an error, which says more than any here.

        Args:
            changes: the changes, the last one first.
        """
        for change in changes:
            with suppress(InputError):
                self._put(change.inverse)

    def _apply(self, changes: Callable[[], Iterator[Change]]) -> None:
        """Store the contents after changes; if one fails, revert those before it."""
        for count, change in enumerate(changes()):
            try:
                self._put(change)
            except InputError:
                self.revert(reversed(list(islice(changes(), count))))
                raise
