"""What a session knows: objects, given and tracked masks. Every change is stored at once and can be undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.annotation.frames import CACHE_BYTES, FrameAccess, FrameStore
from aotlab.annotation.history import Change, History, Step
from aotlab.annotation.objects import ObjectList
from aotlab.annotation.project import Project, levels_of, locate
from aotlab.annotation.store import Labels, encode
from aotlab.engine.video.scores import Score, joined, measured, read_scores
from aotlab.media.image_frames import LevelsOption
from aotlab.utils.errors import InputError

Listener = Callable[[dict[str, Any]], None]
"""Is told what changed, as messages that JSON can hold; called from any thread, and must not wait."""


class State:
    """The masks of one video. Thread-safe: whoever reads and then writes holds ``lock``.

    A given mask says something of some objects (`described`), perhaps that one of them is not there; where it says
    nothing of an object, what was tracked shows.

    Args:
        path: a video file, a folder of frames, or a project.
        project: folder of the project; next to the video when not given.
        cache_bytes: what frames in memory may take.
        frames: the frames themselves, where they do not come from ``path``.
        levels: as of `open_frames`; a project's own when not given.
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
        """grows with every change"""
        self.history = History(self._put)
        self.given_revisions: dict[int, int] = {}
        """revision of the last change of a frame's given mask, in this session"""
        self._described: dict[int, frozenset[int]] = {}
        self._given_scores: dict[int, dict[int, Score]] = {}
        self._scores: dict[int, dict[int, Score]] = {}
        if self.project.objects is not None:
            self.objects.restore(self.project.objects)
        for where, store in (("given", self.project.given), ("tracked", self.project.tracked)):
            for index in store:
                if index < self.frames.count:
                    self._note(where, index)

    def close(self) -> None:
        """Let others open the project."""
        self.project.close()

    def described(self, index: int) -> frozenset[int]:
        """The objects that the given mask of a frame says something of."""
        object_ids = (self.objects.resolve(object_id) for object_id in self._described.get(index, ()))
        return frozenset(object_id for object_id in object_ids if object_id)

    def is_given_present(self, index: int, object_id: int) -> bool:
        """Whether the given mask of a frame shows this object, rather than saying that it is not there."""
        score = joined(self._given_scores.get(index, {}), self.objects.resolve).get(object_id)
        return score is not None and score.area > 0

    @property
    def given_frames(self) -> list[int]:
        """Frames whose given mask says something of an object that there is."""
        return [index for index in sorted(self._described) if self.described(index)]

    def scores(self, index: int) -> dict[int, Score]:
        """What tracking said of the objects of a frame."""
        return joined(self._scores.get(index, {}), self.objects.resolve)

    @property
    def tracked_frames(self) -> list[int]:
        """Frames that were tracked."""
        return sorted(self._scores)

    def given(self, index: int) -> np.ndarray:
        """What was given on a frame: H×W ids of the objects that it describes."""
        labels = self.project.given.read(index)
        return self._empty() if labels is None else self.objects.resolve_ids(labels.ids)

    def tracked(self, index: int) -> np.ndarray:
        """What was tracked on a frame: H×W ids."""
        labels = self.project.tracked.read(index)
        return self._empty() if labels is None else self.objects.resolve_ids(labels.ids)

    def labels(self, index: int) -> np.ndarray:
        """What is shown on a frame: what was given, and what was tracked of all other objects. H×W uint16 ids."""
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
        """Store what is given on a frame: of ``labels`` (H×W ids) those of the described objects."""
        object_ids = sorted(described)
        content = None
        if object_ids:
            ids = np.where(np.isin(labels, object_ids), labels, 0).astype(np.uint16)
            content = encode(
                Labels(ids, {"described": object_ids, "scores": measured(ids, object_ids, {}, {})})
            )
        return self.change("given", index, content)

    def change(self, where: str, index: int, after: bytes | None) -> Change:
        """Replace one content and return what that was, for the history."""
        change = Change(where, index, self._content(where, index), after)
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
        """Add an object, the last of the table; raises `InputError` as `ObjectList.add`."""
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
        """Add a step to the history and tell the listeners."""
        self.history.add(title, [change for change in changes if change.before != change.after], frame)
        self.emit("history", titles=self.history.titles)

    def undo(self) -> Step | None:
        """Take back the last step."""
        with self.lock:
            return self._moved(self.history.undo())

    def redo(self) -> Step | None:
        """Do again what was taken back last."""
        with self.lock:
            return self._moved(self.history.redo())

    def emit(self, event: str, **values: Any) -> None:
        """Tell all listeners."""
        for listener in list(self.listeners):
            listener({"event": event, **values})

    def frame_event(self, index: int) -> None:
        """Tell that the masks of a frame are others now."""
        self.revision += 1
        self.emit("frame", frame=index, revision=self.revision)

    def _moved(self, step: Step | None) -> Step | None:
        if step is not None:
            self.emit("history", titles=self.history.titles)
        return step

    def _content(self, where: str, index: int) -> bytes | None:
        store = self.project.given if where == "given" else self.project.tracked
        return store.content(index)

    def _put(self, where: str, index: int, content: bytes | None) -> None:
        """Make a content the current one, on disk and in memory."""
        if where == "objects":
            assert content is not None
            self.objects.restore(content)
            self.project.save_objects(content)
            self.revision += 1
            self.emit("objects", revision=self.revision)
            return
        (self.project.given if where == "given" else self.project.tracked).put(index, content)
        self._note(where, index)
        self.frame_event(index)
        if where == "given":
            self.given_revisions[index] = self.revision

    def _note(self, where: str, index: int) -> None:
        """Read again what is known of a frame beside its labels."""
        store = self.project.given if where == "given" else self.project.tracked
        note = store.note(index) if index in store else None
        if where == "given":
            self._described.pop(index, None)
            self._given_scores.pop(index, None)
            if note is not None:
                self._given_scores[index] = read_scores(note.get("scores", {}))
                described = note.get("described")
                self._described[index] = frozenset(
                    object_id
                    for object_id in (described if isinstance(described, list) else [])
                    if isinstance(object_id, int)
                )
        else:
            self._scores.pop(index, None)
            if note is not None:
                self._scores[index] = read_scores(note.get("scores", {}))

    def _empty(self) -> np.ndarray:
        return np.zeros(self.frames.size, np.uint16)


def require_frame(value: Any, frames: FrameAccess) -> int:
    """A frame number from a message; raises `InputError` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"frame {value!r}: expected a number from 0 to {frames.count - 1}")
    frames.check(value)
    return value
