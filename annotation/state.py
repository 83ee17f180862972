"""State of a session: objects, given and tracked masks. Every change is stored at once and can be undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from aotlab.annotation.frames import CACHE_BYTES, FrameAccess, FrameStore
from aotlab.annotation.history import Change, History, Step
from aotlab.annotation.objects import ObjectList
from aotlab.annotation.project import Project, levels_of, locate
from aotlab.annotation.protocol import Event, FrameEvent, HistoryEvent, ObjectsEvent
from aotlab.annotation.store import Labels, LabelStore, encode
from aotlab.engine.video.scores import Score, joined, measured, read_scores
from aotlab.media.image_frames import LevelsOption
from aotlab.utils.errors import InputError

Listener = Callable[[Event], None]
"""called on every change, from any thread; must not block"""


class State:
    """Masks of one video. Thread-safe; hold ``lock`` to read and then write.

    A given mask describes some objects (`described`) and may state that one of them is absent. For all other objects,
    the tracked mask is shown.

    Args:
        path: a video file, a folder of frames, or a project.
        project: project folder; None: beside the video.
        cache_bytes: memory for decoded frames.
        frames: frames that do not come from ``path``.
        levels: as of `open_frames`; None: the project's.
        same_video: as of `Project`.

    Raises:
        InputError: as `open_frames` and `Project`.
    """

    def __init__(
        self,
        path: Path,
        *,
        project: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
        frames: FrameAccess | None = None,
        levels: LevelsOption = None,
        same_video: bool = False,
    ) -> None:
        video, folder = locate(path, project)
        if frames is None:
            frames = FrameStore(video, cache_bytes=cache_bytes, levels=levels or levels_of(folder))
        self.frames: FrameAccess = frames
        self.project = Project(folder, self.frames, same_video=same_video)
        self.objects = ObjectList()
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.revision = 0
        """number of changes so far"""
        self.history = History(self._put)
        self.given_revisions: dict[int, int] = {}
        """revision of the last change of each frame's given mask in this session"""
        self._described: dict[int, frozenset[int]] = {}
        self._given_scores: dict[int, dict[int, Score]] = {}
        self._scores: dict[int, dict[int, Score]] = {}
        if self.project.objects is not None:
            self.objects.restore(self.project.objects)
        for where in ("given", "tracked"):
            for index in self._store(where):
                if index < self.frames.count:
                    self._load_note(where, index)

    def close(self) -> None:
        """Release the project."""
        self.project.close()

    def described(self, index: int) -> frozenset[int]:
        """Return the objects that the given mask of a frame describes."""
        return frozenset(map(self.objects.resolve, self._described.get(index, ()))) - {0}

    def is_given_present(self, index: int, object_id: int) -> bool:
        """Whether the given mask of a frame has pixels of this object."""
        score = joined(self._given_scores.get(index, {}), self.objects.resolve).get(object_id)
        return score is not None and score.area > 0

    @property
    def given_frames(self) -> list[int]:
        """Frames whose given mask describes an object."""
        return [index for index in sorted(self._described) if self.described(index)]

    def scores(self, index: int) -> dict[int, Score]:
        """Return the tracking scores of the objects of a frame."""
        return joined(self._scores.get(index, {}), self.objects.resolve)

    @property
    def tracked_frames(self) -> list[int]:
        """Frames with tracked masks."""
        return sorted(self._scores)

    def given(self, index: int) -> np.ndarray:
        """Return the given mask of a frame: H×W ids of the objects it describes."""
        return self._ids("given", index)

    def tracked(self, index: int) -> np.ndarray:
        """Return the tracked mask of a frame: H×W ids."""
        return self._ids("tracked", index)

    def labels(self, index: int) -> np.ndarray:
        """Return the mask shown on a frame, H×W uint16 ids: given, and tracked for all other objects."""
        self.frames.check(index)
        with self.lock:
            described = self.described(index)
            if not described:
                return self.tracked(index)
            given = self.given(index)
            tracked = self.tracked(index)
            shown = np.where(np.isin(tracked, list(described)), 0, tracked)
            return np.where(given > 0, given, shown).astype(np.uint16)

    def give(self, index: int, labels: np.ndarray, described: Iterable[int]) -> Change:
        """Store the given mask of a frame: the pixels of the described objects in ``labels``, H×W ids."""
        object_ids = sorted(described)
        content = None
        if object_ids:
            ids = np.where(np.isin(labels, object_ids), labels, 0).astype(np.uint16)
            note = {"described": object_ids, "scores": measured(ids, object_ids, {}, {})}
            content = encode(Labels(ids, note))
        return self.change("given", index, content)

    def change(self, where: str, index: int, after: bytes | None) -> Change:
        """Replace one content and return the change for the history."""
        change = Change(where, index, self._store(where).content(index), after)
        if change.before != after:
            self._put(where, index, after)
        return change

    def save_objects(self, before: bytes) -> Change:
        """Store the changed objects; ``before`` is their earlier snapshot, restored if they cannot be written."""
        after = self.objects.snapshot()
        try:
            self._put("objects", 0, after)
        except InputError:
            self.objects.restore(before)
            raise
        return Change("objects", 0, before, after)

    def add_object(self, name: str | None) -> Change:
        """Add an object to the end of the list; raise `InputError` as `ObjectList.add`."""
        before = self.objects.snapshot()
        self.objects.add(name)
        return self.save_objects(before)

    @contextmanager
    def step(self, title: str, frame: int | None = None) -> Iterator[list[Change]]:
        """Yield a list for changes, which become one step of the history; if the block fails, they are reverted."""
        changes: list[Change] = []
        with self.lock:
            try:
                yield changes
            except BaseException:
                for change in reversed(changes):
                    with suppress(InputError):  # the first error says more
                        self._put(change.where, change.index, change.before)
                raise
            self.finish(title, changes, frame)

    def finish(self, title: str, changes: Iterable[Change], frame: int | None = None) -> None:
        """Add a step to the history and notify the listeners."""
        self.history.add(title, [change for change in changes if change.before != change.after], frame)
        self.emit(HistoryEvent(self.history.titles))

    def undo(self) -> Step | None:
        """Undo the last step."""
        return self._move(self.history.undo)

    def redo(self) -> Step | None:
        """Repeat the step undone last."""
        return self._move(self.history.redo)

    def emit(self, event: Event) -> None:
        """Notify all listeners."""
        for listener in list(self.listeners):
            listener(event)

    def _move(self, move: Callable[[], Step | None]) -> Step | None:
        with self.lock:
            step = move()
            if step is not None:
                self.emit(HistoryEvent(self.history.titles))
            return step

    def _store(self, where: str) -> LabelStore:
        return self.project.given if where == "given" else self.project.tracked

    def _ids(self, where: str, index: int) -> np.ndarray:
        labels = self._store(where).read(index)
        return (
            np.zeros(self.frames.size, np.uint16) if labels is None else self.objects.resolve_ids(labels.ids)
        )

    def _put(self, where: str, index: int, content: bytes | None) -> None:
        """Replace a content on disk and in memory."""
        if where == "objects":
            assert content is not None
            self.objects.restore(content)
            self.project.save_objects(content)
            self.revision += 1
            self.emit(ObjectsEvent(self.revision, list(self.objects)))
            return
        self._store(where).put(index, content)
        self._load_note(where, index)
        self.revision += 1
        if where == "given":
            self.given_revisions[index] = self.revision
        self.emit(FrameEvent(index, self.revision))

    def _load_note(self, where: str, index: int) -> None:
        """Load the scores of a frame and the objects it describes."""
        store = self._store(where)
        scores = self._given_scores if where == "given" else self._scores
        scores.pop(index, None)
        if where == "given":
            self._described.pop(index, None)
        if index not in store:
            return
        note = store.note(index)
        scores[index] = read_scores(note.get("scores", {}))
        if where == "given":
            listed = note.get("described")
            listed = listed if isinstance(listed, list) else []
            self._described[index] = frozenset(each for each in listed if isinstance(each, int))
