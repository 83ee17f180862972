"""State of a session: objects, given and tracked masks. Every change is stored at once and can be undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from aotlab.sdk import VideoInfo
from aotlab_studio.project.folder import Project, locate_project, read_levels
from aotlab_studio.project.history import Change, ChangeList, History
from aotlab_studio.project.label_store import LabelStore, Note, encode_png
from aotlab_studio.project.objects import ObjectList
from aotlab_studio.protocol import ClipStatus, Event, FrameEvent, HistoryEvent, ObjectsEvent, StatusEvent
from aotlab_studio.review.scores import Score, measure_scores, merge_scores
from aotlab_studio.video import CACHE_BYTES, Frames, FrameStore, Levels, LiveFrames

Listener = Callable[[Event], None]
"""called on every change, from any thread; must not block"""


class State:
    """Masks of one video. Thread-safe; hold ``lock`` to read and then write.

    A given mask describes some objects (`list_described`) and may state that one of them is absent. For all other
    objects, the tracked mask is shown.

    Args:
        path: a video file, a folder of frames, or a project.
        project: project folder; None: beside the video.
        cache_bytes: memory for decoded frames.
        frames: frames of a stream, which do not come from ``path``.
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
        frames: LiveFrames | None = None,
        levels: Levels = None,
        same_video: bool = False,
    ) -> None:
        video, folder = locate_project(path, project)
        self.frames: Frames = frames or FrameStore(
            video, cache_bytes=cache_bytes, levels=levels or read_levels(folder)
        )
        self.project = Project(folder, self.frames, same_video=same_video)
        self.objects = ObjectList()
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.revision = 0
        """number of changes so far"""
        self.history = History(self._put, self.project.folder / "history")
        self.keyframe_revisions: dict[int, int] = {}
        """revision of the last change of each frame's given mask in this session"""
        self._described: dict[int, frozenset[int]] = {}
        self._scores: dict[str, dict[int, dict[int, Score]]] = {"given": {}, "tracked": {}}
        if self.project.objects is not None:
            self.objects.restore(self.project.objects)
        for where in self._scores:
            for index in self._find_store(where):
                if index < self.frames.count:
                    self._load_note(where, index)
        self.history.load(self._read_content)

    @property
    def video_info(self) -> VideoInfo:
        """The video, as readers of annotations take it."""
        frames = self.frames
        stem = frames.stem if frames.named else None
        return VideoInfo(frames.name, frames.size, frames.count, str(frames.rate), stem)

    @property
    def corrections(self) -> list[int]:
        """Frames whose given masks still have to propagate, oldest first."""
        return list(self.project.corrections)

    def set_corrections(self, frames: Sequence[int]) -> None:
        """Store the frames whose given masks still have to propagate; raise `InputError` if that fails."""
        with self.lock:
            if list(frames) != self.project.corrections:
                self.project.corrections = list(frames)
                self.project.save_objects(self.objects.snapshot())

    def queue_correction(self, index: int) -> None:
        """Queue a frame whose given mask has to propagate, as a part of the step that changed the mask last."""
        with self.lock:
            changes = self.new_changes()
            changes.append(self.change("corrections", index, b""))
            step = self.history.find_step("given", index)
            if step is None or not self.history.extend(step.serial, changes):
                changes.discard()
            self.set_corrections([*(each for each in self.corrections if each != index), index])

    def set_status(self, status: ClipStatus, note: str = "") -> None:
        """Store the status of the video and a note on it; raise `InputError` if that fails."""
        with self.lock:
            project = self.project
            if (status, note) != (project.status, project.note):
                project.status, project.note, project.person = status, note, project.lock.person
                project.save_objects(self.objects.snapshot())
                self.emit(StatusEvent(status, note))

    def close(self) -> None:
        """Release the project."""
        self.project.close()

    def list_described(self, index: int) -> frozenset[int]:
        """Return the objects that the given mask of a frame describes."""
        return frozenset(map(self.objects.resolve, self._described.get(index, ()))) - {0}

    @property
    def keyframes(self) -> list[int]:
        """Frames whose given mask describes an object."""
        return [index for index in sorted(self._described) if self.list_described(index)]

    def scores(self, index: int) -> dict[int, Score]:
        """Return the tracking scores of the objects of a frame."""
        return self._merge_scores("tracked", index)

    def confidence(self, index: int) -> dict[int, float]:
        """Return the confidence of all objects on a frame: 1 or 0 by a given mask, 0 for an object without any."""
        found = {object_id: score.confidence for object_id, score in self.scores(index).items()}
        present = {
            object_id for object_id, score in self._merge_scores("given", index).items() if score.area > 0
        }
        found |= {object_id: float(object_id in present) for object_id in self.list_described(index)}
        return {object_id: found.get(object_id, 0.0) for object_id in self.objects.ids}

    @property
    def tracked_frames(self) -> list[int]:
        """Frames with tracked masks."""
        return sorted(self._scores["tracked"])

    def keyframe_mask(self, index: int) -> np.ndarray:
        """Return the given mask of a frame: H×W ids of the objects it describes."""
        return self._read_ids("given", index)

    def tracked_mask(self, index: int) -> np.ndarray:
        """Return the tracked mask of a frame: H×W ids."""
        return self._read_ids("tracked", index)

    def labels(self, index: int) -> np.ndarray:
        """Return the mask shown on a frame, H×W uint16 ids: given, and tracked for all other objects."""
        self.frames.require_frame(index)
        with self.lock:
            described, tracked = self.list_described(index), self.tracked_mask(index)
            if not described:
                return tracked
            given = self.keyframe_mask(index)
            shown = np.where(np.isin(tracked, list(described)), 0, tracked)
            return np.where(given > 0, given, shown).astype(np.uint16)

    def set_keyframe(self, index: int, labels: np.ndarray, described: Iterable[int]) -> Change:
        """Store the given mask of a frame: the pixels of the described objects in ``labels``, H×W ids."""
        object_ids = sorted(described)
        content = None
        if object_ids:
            ids = np.where(np.isin(labels, object_ids), labels, 0).astype(np.uint16)
            content = encode_png(ids, Note(object_ids, measure_scores(ids, object_ids, {}, {})))
        return self.change("given", index, content)

    def set_tracked(self, index: int, labels: np.ndarray, scores: dict[int, Score]) -> Change:
        """Store the tracked mask of a frame, H×W ids, with the scores of its objects."""
        return self.change("tracked", index, encode_png(labels, Note(scores=scores)))

    def change(self, where: str, index: int, after: bytes | None) -> Change:
        """Replace one content and return the change for the history."""
        change = Change(where, index, self._read_content(where, index), after)
        if change.before != after:
            self._put(change)
        return change

    @contextmanager
    def edit_objects(self, changes: ChangeList) -> Iterator[ObjectList]:
        """Yield the objects; store what the block changes of them and append the change. Errors restore them."""
        before = self.objects.snapshot()
        try:
            yield self.objects
            change = Change("objects", 0, before, self.objects.snapshot())
            if change.after != before:
                self._put(change)
                changes.append(change)
        except BaseException:
            self.objects.restore(before)
            raise

    @contextmanager
    def step(self, title: str, frame: int | None = None) -> Iterator[ChangeList]:
        """Yield a list for changes, which become one step of the history; if the block fails, they are reverted."""
        changes = self.new_changes()
        with self.lock:
            try:
                yield changes
            except BaseException:
                self.history.revert(reversed(changes))
                changes.discard()
                raise
            self.add_step(title, changes, frame)

    def new_changes(self) -> ChangeList:
        """Return an empty list for the changes of a step."""
        return self.history.new_changes()

    def add_step(self, title: str, changes: ChangeList, frame: int | None = None) -> None:
        """Add a step to the history and notify the listeners."""
        self.history.add(title, changes, frame)
        if changes:
            self.set_status("in work", self.project.note)
        self.emit(HistoryEvent(self.history.titles))

    def emit(self, event: Event) -> None:
        """Notify all listeners."""
        for listener in list(self.listeners):
            listener(event)

    def _read_content(self, where: str, index: int) -> bytes | None:
        if where == "corrections":
            return b"" if index in self.corrections else None
        return self.project.objects if where == "objects" else self._find_store(where).read_content(index)

    def _find_store(self, where: str) -> LabelStore:
        return self.project.given if where == "given" else self.project.tracked

    def _read_ids(self, where: str, index: int) -> np.ndarray:
        ids = self._find_store(where).read(index)
        return np.zeros(self.frames.size, np.uint16) if ids is None else self.objects.resolve_ids(ids)

    def _merge_scores(self, where: str, index: int) -> dict[int, Score]:
        return merge_scores(self._scores[where].get(index, {}), self.objects.resolve)

    def _put(self, change: Change) -> None:
        """Store the content after a change on disk and in memory."""
        where, index, content = change.store, change.index, change.after
        self.project.lock.require_held()
        self.revision += 1
        if where == "objects":
            assert content is not None
            self.objects.restore(content)
            self.project.save_objects(content)
            self.emit(ObjectsEvent(self.revision, list(self.objects)))
            return
        if where == "corrections":
            others = [each for each in self.corrections if each != index]
            self.set_corrections(others if content is None else [*others, index])
            return
        self._find_store(where).put(index, content)
        self._load_note(where, index)
        if where == "given":
            self.keyframe_revisions[index] = self.revision
        self.emit(FrameEvent(index, self.revision))

    def _load_note(self, where: str, index: int) -> None:
        """Load the scores of a frame and the objects it describes."""
        store, scores = self._find_store(where), self._scores[where]
        note = store.read_note(index) if index in store else Note()
        scores.pop(index, None)
        if index in store:
            scores[index] = note.scores
        if where == "given":
            self._described[index] = frozenset(note.described)
