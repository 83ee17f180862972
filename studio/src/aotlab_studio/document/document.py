"""The document of a video: what is given, what was tracked, what shows, what is outdated, and its status."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from aotlab import InputError
from aotlab.sdk import AttributeTable, VideoInfo
from aotlab_studio.document.folder import (
    LOG_FILE,
    PROJECT_FILE,
    Header,
    StoredVideo,
    locate_project,
    open_folder,
    read_header,
    read_levels,
)
from aotlab_studio.document.log import (
    Entry,
    Kept,
    Log,
    Mark,
    Move,
    Record,
    Span,
    State,
    format_time,
    read_clock,
)
from aotlab_studio.document.masks import LayerStore, MaskStore, Result
from aotlab_studio.document.objects import ObjectList
from aotlab_studio.files import FolderLock
from aotlab_studio.protocol import (
    ClipStatus,
    Event,
    FrameEvent,
    HistoryEvent,
    NotesEvent,
    ObjectsEvent,
    RangeEvent,
    ResultsEvent,
    StaleEvent,
    StatusEvent,
    Version,
)
from aotlab_studio.review.scores import Score, merge_scores
from aotlab_studio.video import CACHE_BYTES, FrameStore, Levels

LAYER_BYTES = 1024 * 2**20
"""size of all layers beyond which those that were undone are removed when the project is opened"""
Title = Annotated[str, Meta(max_length=120)]
Listener = Callable[[Event], None]
"""called on every change, from any thread; must not block"""


class Document:
    """Masks and objects of a video, and everything that was ever done to them. Thread-safe.

    A given mask states which pixels of a frame are an object's; an empty one that the object is absent. For all other
    objects, the newest layer of the history shows that has a result for the frame and the object.

    Args:
        header: of the project.
        folder: of the project.
        frames: the video, or its stored size and number of frames for a document that is only read.
        lock: held by who changes the document.

    Raises:
        InputError: the log is damaged.
    """

    def __init__(
        self,
        header: Header,
        folder: Path,
        frames: FrameStore | StoredVideo,
        lock: FolderLock | None = None,
    ) -> None:
        self.header, self.folder, self.folder_lock = header, folder, lock
        self._frames = frames
        self.log = Log(folder / LOG_FILE)
        self.masks = MaskStore(folder / "masks", frames.size)
        self.layers = LayerStore(folder / "layers", frames.size)
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.author = ""
        """who signs the entries of this view"""
        self.propagates = self.shared = False
        """as in `by`"""
        self._entry: int | None = None
        for entry in self.log.entries.values():
            layers = [layer for layer in entry.values.layers.values() if layer is not None]
            last = max([*entry.values.given, *(layer.last for layer in layers)], default=0)
            if last >= frames.count:
                raise InputError(
                    f"{self.log.path}: names frame {last} of {frames.count}; restore the project from a copy"
                )
        if lock is not None:
            versions = [layer for kept in self.log.kept for layer in self.log.state(kept.entry).layers]
            self.layers.drop_oldest({*versions, *self.state.layers}, LAYER_BYTES)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        project: Path | None = None,
        cache_bytes: int = CACHE_BYTES,
        levels: Levels = None,
        same_video: bool = False,
    ) -> Document:
        """Open the project of a video; it is created on first use.

        Args:
            path: a video file, a folder of frames, or a project.
            project: project folder; None: beside the video.
            cache_bytes: memory for decoded frames.
            levels: as of `open_frames`; None: the project's.
            same_video: open the project although the video's content has changed.

        Raises:
            InputError: as `open_frames` and `open_folder`, or the log is damaged.
        """
        video, folder = locate_project(path, project)
        frames = FrameStore(video, cache_bytes=cache_bytes, levels=levels or read_levels(folder))
        header, lock = open_folder(folder, frames, same_video=same_video)
        try:
            return cls(header, folder, frames, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, folder: Path) -> Document:
        """Read a project without its video and without a lock; raise `InputError` if it is damaged."""
        header = read_header(folder / PROJECT_FILE)
        return cls(header, folder, header.video)

    def by(self, author: str, *, propagates: bool = False, shared: bool = False) -> Document:
        """Return a view of this document whose edits have an author.

        Args:
            propagates: edits are tracked to the given masks beside them.
            shared: refuse edits without an author.
        """
        view = copy.copy(self)
        view.author, view.propagates, view.shared = author, propagates, shared
        return view

    def at(self, entry: int) -> Document:
        """Return a view of this document as it was after an entry."""
        view = copy.copy(self)
        view._entry = entry
        return view

    def name_holder(self, person: str) -> None:
        """Write into the lock of the project who works on it."""
        assert self.folder_lock is not None
        self.folder_lock.name_person(person)

    def close(self) -> None:
        """Release the project."""
        if self.folder_lock is not None:
            self.folder_lock.release()

    @property
    def frames(self) -> FrameStore:
        """The video."""
        assert isinstance(self._frames, FrameStore)
        return self._frames

    @property
    def count(self) -> int:
        """Number of frames."""
        return self._frames.count

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self._frames.size

    @property
    def state(self) -> State:
        """Values at the head of the log, or at the entry of this view."""
        with self.lock:
            return self.log.state(self.log.head if self._entry is None else self._entry)

    @property
    def objects(self) -> ObjectList:
        """Objects."""
        return ObjectList(item for item in self.state.objects.values() if item is not None)

    @property
    def revision(self) -> int:
        """Number of changes of what shows in this session."""
        return self.log.revision

    @property
    def video_info(self) -> VideoInfo:
        """The video, as readers of annotations take it."""
        frames = self.frames
        stem = frames.stem if frames.named else None
        return VideoInfo(frames.name, frames.size, frames.count, str(frames.rate), stem)

    @property
    def classes(self) -> dict[str, int]:
        """Class ids by class name, as in loaded masks."""
        return {name: value for name, value in self.state.classes.items() if value is not None}

    @property
    def attributes(self) -> AttributeTable:
        """Attributes of the objects by frame, as in loaded masks."""
        return {each: dict(value) for each, value in self.state.attributes.items() if value is not None}

    # What shows

    def resolve(self, object_id: int) -> int:
        """Return the object that an id in a layer means: the one that it was merged into, or 0 if it is deleted."""
        state = self.state
        while object_id in state.merged:
            object_id = state.merged[object_id] or 0
        return object_id if object_id in state.objects else 0

    def given(self, index: int) -> dict[int, str]:
        """Return the digests of the given masks of a frame by object; an empty text: the object is absent."""
        state = self.state
        return {key: value for key, value in (state.given.get(index) or {}).items() if key in state.objects}

    def list_described(self, index: int) -> frozenset[int]:
        """Return the objects that have a given mask on a frame, or are stated to be absent."""
        return frozenset(self.given(index))

    @property
    def keyframes(self) -> list[int]:
        """Frames with a given mask."""
        return [index for index in sorted(self.state.given) if self.given(index)]

    def find_results(self, index: int) -> dict[int, tuple[int, Result]]:
        """Return the newest layer and its result of a frame by id in layers, with those of deleted objects."""
        found: dict[int, tuple[int, Result]] = {}
        for layer_id, layer in sorted(self.state.layers.items()):
            if layer is None or index not in layer.frames:
                continue
            result = self.layers[layer_id].results.get(index)
            if layer.kind == "empty":
                result = Result(index, absent=layer.objects)
            if result is None:
                continue
            for object_id in result.objects:
                found.pop(object_id, None)
                if object_id in result.scores:
                    found[object_id] = layer_id, result
        return found

    def labels(self, index: int) -> np.ndarray:
        """Return the mask shown on a frame, H×W uint16 ids: given, and tracked for all other objects."""
        self.require_frame(index)
        with self.lock:
            given = self.given(index)
            shown = np.zeros(self.size, np.uint16)
            by_layer: dict[int, list[tuple[int, int]]] = {}
            for object_id, (layer_id, _) in self.find_results(index).items():
                target = self.resolve(object_id)
                if target and target not in given:
                    by_layer.setdefault(layer_id, []).append((object_id, target))
            for layer_id, objects in sorted(by_layer.items()):
                ids = self.layers.read(layer_id, index)
                table = np.zeros(max(int(ids.max()), *(each for each, _ in objects)) + 1, np.uint16)
                for object_id, target in objects:
                    table[object_id] = target
                drawn = table[ids]
                shown = np.where(drawn > 0, drawn, shown)
            drawn = self.given_labels(index)
            return np.where(drawn > 0, drawn, shown)

    def given_labels(self, index: int) -> np.ndarray:
        """Return the given masks of a frame, H×W uint16 ids."""
        shown = np.zeros(self.size, np.uint16)
        for object_id, digest in self.given(index).items():
            shown[self.masks.read(digest)] = object_id
        return shown

    def scores(self, index: int) -> dict[int, Score]:
        """Return the tracking scores of the objects of a frame."""
        found = {
            object_id: result.scores[object_id]
            for object_id, (_, result) in self.find_results(index).items()
            if object_id in result.scores
        }
        return merge_scores(found, self.resolve)

    def confidence(self, index: int) -> dict[int, float]:
        """Return the confidence of all objects on a frame: 1 or 0 by a given mask, 0 for an object without any."""
        found = {object_id: score.confidence for object_id, score in self.scores(index).items()}
        found |= {object_id: float(bool(digest)) for object_id, digest in self.given(index).items()}
        return {object_id: found.get(object_id, 0.0) for object_id in self.objects.ids}

    @property
    def tracked_frames(self) -> list[int]:
        """Frames with a result of tracking."""
        owners = self.find_owners().values()
        return np.flatnonzero(np.any(list(owners), axis=0)).tolist() if owners else []

    def find_owners(self) -> dict[int, np.ndarray]:
        """Return the layer that shows on each frame by id in layers, N int64; 0: none."""
        owners: dict[int, np.ndarray] = {}
        for layer_id, layer in sorted(self.state.layers.items()):
            if layer is None:
                continue
            if layer.kind == "empty":
                for object_id in layer.objects:
                    owners.setdefault(object_id, np.zeros(self.count, np.int64))[layer.frames] = 0
                continue
            for index, result in list(self.layers[layer_id].results.items()):
                if layer.first <= index <= layer.last:
                    for object_id in result.objects:
                        shown = layer_id if object_id in result.scores else 0
                        owners.setdefault(object_id, np.zeros(self.count, np.int64))[index] = shown
        return {object_id: owner for object_id, owner in owners.items() if self.resolve(object_id)}

    def digest(self) -> str:
        """Return a digest of what shows: equal digests mean equal masks."""
        with self.lock:
            owners, found = self.find_owners(), hashlib.sha256()
            for index in sorted({*self.keyframes, *self.tracked_frames}):
                shown = {each: int(owner[index]) for each, owner in owners.items() if owner[index]}
                found.update(self._digest_sources(index, shown).encode())
            return found.hexdigest()[:32]

    def digest_frame(self, index: int) -> str:
        """Return a digest of what shows on a frame."""
        shown = {
            each: layer_id for each, (layer_id, _) in self.find_results(index).items() if self.resolve(each)
        }
        return hashlib.sha256(self._digest_sources(index, shown).encode()).hexdigest()[:32]

    def _digest_sources(self, index: int, shown: Mapping[int, int]) -> str:
        """Return what a frame shows as text: its given masks, and the content of the layers by id."""
        given = self.given(index)
        tracked: dict[int, list[tuple[int, int]]] = {}
        for each, layer_id in sorted(shown.items()):
            if self.resolve(each) not in given:
                tracked.setdefault(layer_id, []).append((each, self.resolve(each)))
        layers = [(self.layers[key].results[index].digest, ids) for key, ids in sorted(tracked.items())]
        return repr((index, sorted(given.items()), layers))

    # What is outdated

    def list_pending(self) -> list[int]:
        """Return the layers that are not complete and not replaced by a newer one, oldest first."""
        layers = {key: layer for key, layer in sorted(self.state.layers.items()) if layer is not None}
        return [
            key
            for key, layer in layers.items()
            if layer.kind != "empty"
            and not self.layers[key].complete
            and not any(
                other > key
                and newer.first <= layer.first
                and newer.last >= layer.last
                and {*newer.objects} >= {each for each in layer.objects if self.resolve(each)}
                for other, newer in layers.items()
            )
        ]

    def find_stale(self) -> dict[int, np.ndarray]:
        """Return the frames of each object, N bool, that are outdated.

        They are not given, and either a mask that they were tracked from is another one by now, or a layer that is to
        cover them waits, runs or was cut off.
        """
        with self.lock:
            state = self.state
            stale = {object_id: np.zeros(self.count, bool) for object_id in self.objects.ids}
            for object_id, owner in self.find_owners().items():
                target = self.resolve(object_id)
                for layer_id in np.unique(owner[owner > 0]).tolist():
                    shown = owner == layer_id
                    stale[target] |= shown & self._find_changed(layer_id, object_id, target)
            for layer_id in self.list_pending():
                layer, file = state.layers[layer_id], self.layers[layer_id]
                assert layer is not None
                wanted = np.zeros(self.count, bool)
                wanted[layer.first : layer.last + 1] = True
                wanted[[index for index, each in file.results.items() if not each.provisional]] = False
                for target in {self.resolve(object_id) for object_id in layer.objects} - {0}:
                    stale[target] |= wanted
            for index in state.given:
                for object_id in self.given(index):
                    stale[object_id][index] = False
            return stale

    def list_stale(self, first: int = 0, last: int | None = None) -> list[Span]:
        """Return the first and last frames of what is outdated in a range, ``last`` included."""
        stale = np.zeros(self.count, bool)
        for frames in self.find_stale().values():
            stale |= frames
        stale[:first] = False
        stale[self.count if last is None else last + 1 :] = False
        edges = np.flatnonzero(np.diff(stale, prepend=False, append=False))
        return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2)]

    def _find_changed(self, layer_id: int, object_id: int, target: int) -> np.ndarray:
        """Return the frames, N bool, whose nearest given masks are others than when the layer was made."""
        layer = self.state.layers[layer_id]
        assert layer is not None
        then = self.at(self.log.layer_entries[layer_id])
        before, after = self._find_neighbours(target)
        old_before, old_after = then._find_neighbours(then.resolve(object_id))
        index = np.arange(self.count)
        late = index > layer.start
        uses_before = {"backward": False, "both": True, "correction": late | (layer.before is not None)}
        uses_after = {"backward": True, "both": True, "correction": ~late}
        changed = (before != old_before) & uses_before.get(layer.kind, True)
        return np.asarray(changed | ((after != old_after) & uses_after.get(layer.kind, False)))

    def _find_neighbours(self, object_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the nearest given mask of an object before or on, and after or on each frame, as texts."""
        shown = sorted(
            (index, masks.get(object_id, "")) for index, masks in self.state.given.items() if masks
        )
        frames = np.array([index for index, digest in shown if digest], np.int64)
        names = np.array(["", *(f"{index} {digest}" for index, digest in shown if digest), ""])
        index = np.arange(self.count)
        return names[np.searchsorted(frames, index, "right")], names[np.searchsorted(frames, index) + 1]

    # Edits

    def edit(self, title: str, values: State, frame: int | None = None) -> int:
        """Append an edit and return its number; an edit that changes nothing is not stored.

        Raises:
            InputError: the project cannot be written, or another program holds it.
        """
        with self.lock:
            before = self.state
            values = before.difference(before.replace(values))
            if values != State():
                entry = Entry(
                    len(self.log.entries) + 1, self.log.head, title, values, frame, self.author, read_clock()
                )
                self._append(entry)
                self._notify(before)
            return self.log.head

    def undo(self) -> Entry | None:
        """Undo the last entry and return it; None without one."""
        with self.lock:
            entry = self._undo_entry
            return None if entry is None else self._move(entry.parent, entry)

    def redo(self) -> Entry | None:
        """Repeat the entry undone last and return it; None without one."""
        with self.lock:
            entry = self.log.entries[self.log.undone[-1]] if self.log.undone else None
            return None if entry is None else self._move(entry.number, entry)

    def new_object_id(self) -> int:
        """Return an id that no object ever had."""
        return max(self.log.used_objects, default=0) + 1

    def new_layer_id(self) -> int:
        """Return an id that no layer ever had."""
        return max(self.log.layer_entries, default=0) + 1

    @property
    def titles(self) -> tuple[str | None, str | None]:
        """Titles of the entries to undo and to redo, with person and time."""
        last, log = self._undo_entry, self.log
        undone = log.entries[log.undone[-1]] if log.undone else None
        return (last.describe() if last else None, undone.describe() if undone else None)

    @property
    def _undo_entry(self) -> Entry | None:
        """Entry to undo; opening results of a job is none."""
        entry = self.log.entries.get(self.log.head)
        return None if entry is None or entry.title == IMPORT_TITLE else entry

    def set_status(self, status: ClipStatus, note: str, outdated: Iterable[Span] = ()) -> None:
        """Store a status for the masks that show; raise `InputError` as `edit`.

        Args:
            outdated: frames that are known to be outdated.
        """
        with self.lock:
            self._append(Mark(status, note, self.digest(), list(outdated), self.author, read_clock()))
            self.emit(StatusEvent(*self.status))

    @property
    def status(self) -> tuple[ClipStatus, str]:
        """Status and its note. It holds as long as the same masks show, and nothing else is outdated."""
        with self.lock:
            mark = self.log.mark
            if mark is None:
                return ("in work" if self._is_edited() else "open"), ""
            known = {index for first, last in mark.outdated for index in range(first, last + 1)}
            stale = {index for first, last in self.list_stale() for index in range(first, last + 1)}
            holds = mark.digest == self.digest() and (
                stale <= known or mark.status not in ("accepted", "corrected")
            )
            return (mark.status, mark.note) if holds else ("in work", mark.note)

    @property
    def person(self) -> str:
        """Who changed something last; empty: unknown."""
        return self.log.author

    def keep_version(self, title: Title = "") -> None:
        """Name what shows, so that it can be restored; raise `InputError` without an object."""
        with self.lock:
            if not self.objects.ids:
                raise InputError("version: there is no object to keep yet; draw one first")
            self._append(Kept(self.log.head, title, self.author, read_clock()))

    def list_versions(self) -> list[Version]:
        """Return the versions, the newest first."""
        return [
            Version(number, kept.title, kept.author, format_time(kept.time))
            for number, kept in reversed(list(enumerate(self.log.kept, start=1)))
        ]

    def restore_version(self, number: int) -> int:
        """Make everything as it was in a version, in one edit; return the number of values that changed.

        Raises:
            InputError: no such version.
        """
        with self.lock:
            if not 1 <= number <= len(self.log.kept):
                raise InputError(f"version {number}: no such version; choose one of the list")
            values = self.state.difference(self.log.state(self.log.kept[number - 1].entry))
            self.edit(f"restore version {number}", values)
            return sum(len(getattr(values, name)) for name in values.__struct_fields__)

    def add_result(self, layer_id: int, result: Result, ids: np.ndarray) -> int | None:
        """Store a frame, H×W ids, of a layer. Objects that it is not for keep all but the pixels that it takes.

        Returns:
            pixels that other objects lose; None if the layer is not in the history any more, so that nothing is stored.
        """
        with self.lock:
            layer = self.state.layers.get(layer_id)
            if layer is None:
                return None
            self._require_held()
            before = self.labels(result.frame)
            ids = np.where(np.isin(before, self.objects.locked), 0, ids)
            self.layers[layer_id].put(result, ids)
            self.log.revision += 1
            self.emit(FrameEvent(result.frame, self.revision))
            others = (before > 0) & ~np.isin(before, [self.resolve(each) for each in layer.objects])
            return int((others & (self.labels(result.frame) != before)).sum()) if others.any() else 0

    def finish_layer(self, layer_id: int) -> None:
        """Mark a layer as complete; one that a person stopped covers what it has."""
        with self.lock:
            if layer_id in self.state.layers:
                self._require_held()
                self.layers[layer_id].finish()

    def emit(self, event: Event) -> None:
        """Notify all listeners."""
        for listener in list(self.listeners):
            listener(event)

    def require_frame(self, index: int) -> None:
        """Raise `InputError` for a frame that does not exist."""
        if not 0 <= index < self.count:
            raise InputError(
                f"frame {index}: the video has no frame {index}; give one of 0 to {self.count - 1}"
            )

    def _move(self, head: int, entry: Entry) -> Entry:
        before = self.state
        self._append(Move(head, self.author, read_clock()))
        self._notify(before)
        return entry

    def _append(self, record: Record) -> None:
        if self.shared and not self.author:
            raise InputError("name: type your name first; it is stored with each change")
        self._require_held()
        self.log.append(record)

    def _require_held(self) -> None:
        assert self.folder_lock is not None
        self.folder_lock.require_held()

    def _is_edited(self) -> bool:
        """Whether somebody did more than to open results of a job."""
        return any(entry.title != IMPORT_TITLE for entry in self.log.entries.values())

    def _notify(self, before: State) -> None:
        """Send the events of a change from ``before``."""
        after, self.log.revision = self.state, self.log.revision + 1
        if before.objects != after.objects or before.merged != after.merged:
            self.emit(ObjectsEvent(self.revision, list(self.objects)))
        for index in sorted({*before.given, *after.given}):
            if before.given.get(index) != after.given.get(index):
                self.emit(FrameEvent(index, self.revision))
        if before.layers != after.layers or before.fine != after.fine:
            self.emit(ResultsEvent(self.revision))
        if before.notes != after.notes:
            self.emit(NotesEvent(after.notes))
        if before.ranges != after.ranges:
            self.emit(RangeEvent(after.ranges.get("track")))
        self.emit(HistoryEvent(self.titles))
        self.emit(StaleEvent(self.list_stale()))
        self.emit(StatusEvent(*self.status))


IMPORT_TITLE = "results of a job"
"""title of the entry that opens results for corrections"""
