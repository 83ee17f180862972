"""The document of a video: edits, undo and tracked masks."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count, groupby
from pathlib import Path

import msgspec
import numpy as np

from aotlab import InputError
from aotlab_studio.document import events, log
from aotlab_studio.document.database import DAMAGED_REMEDY, Database
from aotlab_studio.document.folder import PROJECT_SUFFIX, digest_output, mark_results_edited, read_header
from aotlab_studio.document.masks import LayerFrame, MaskStore, TrackedMaskStore
from aotlab_studio.document.objects import MAX_OBJECTS
from aotlab_studio.document.schema import Schema
from aotlab_studio.document.scores import clip_scores
from aotlab_studio.document.snapshot import Snapshot, find_runs
from aotlab_studio.document.states import can_track, find_outdated
from aotlab_studio.document.timeline import mark_frame, mark_frames
from aotlab_studio.utils.cache import LRUCache
from aotlab_studio.utils.video import FrameStore

logger = logging.getLogger(__name__)
MAX_HISTORY = 500
MAX_SNAPSHOTS = 4
"""Number of snapshots in memory, such as those before and after an edit."""


class Document:
    """Masks and objects of a video, with their history. Thread-safe.

    Methods that change the document add records to the log, or masks to layers. `snapshot` is what it shows now. A
    damaged project raises `InputError`. Without ``frames``, the document can only be read; see `read`. ``schema``:
    classes of objects; None: any.
    """

    def __init__(self, database: Database, frames: FrameStore | None = None, schema: Schema | None = None) -> None:
        self.header, self.database = read_header(database), database
        self.folder = folder = database.folder
        self.output_folder = folder.with_name(folder.name.removesuffix(PROJECT_SUFFIX))
        """Folder with the output of `aotlab track` that the project corrects; it may be missing."""
        self.schema = schema or Schema()
        self._frames, video = frames, frames or self.header.video
        self.log = log.Log(database)
        self.masks = MaskStore(database, video.size)
        self.tracked_masks = TrackedMaskStore(database, video.size, video.count)
        self.lock = threading.RLock()
        self._message_locks = weakref.WeakValueDictionary[int, threading.Lock]()
        self.listeners: dict[Callable[[events.Event], None], str | None] = {}
        """Functions that are called on every change, in any thread, each with the id of the page that it notifies."""
        self._thread = threading.local()  # `origin`: of the message that this thread carries out
        self._snapshots: LRUCache[Snapshot] = LRUCache(MAX_SNAPSHOTS, lambda _: 1)
        last = max((index for step in self.log.steps.values() for index in step.changes.frames), default=0)
        if last >= video.count:
            problem = f"refers to frame {last}, but the video has {video.count} frames"
            raise InputError(f"{database.path}: {problem}; {DAMAGED_REMEDY}")

    @classmethod
    def read(cls, folder: Path) -> Document:
        """Read a project without its video and without a lock; raise `InputError` if it is damaged."""
        return cls(Database.open(folder))

    @property
    def origin(self) -> log.Origin:
        """Page and message whose action this thread carries out; empty without one."""
        return getattr(self._thread, "origin", log.NO_ORIGIN)

    @property
    def snapshot(self) -> Snapshot:
        """The current state."""
        with self.lock:
            step, stores = self.log.head, (self.masks, self.tracked_masks)
            key = step, self.tracked_masks.revision
            return self._snapshots.get_or_compute(key, lambda: Snapshot(self.log, step, self.log.state(step), *stores))

    def close(self) -> None:
        """Write the backup and unlock the project. Masks can still be read."""
        lock = self.database.folder_lock
        if lock is not None and not lock.released:
            try:
                lock.check_held()
                self.database.back_up()
            except (InputError, OSError) as error:  # the file itself is complete
                logger.warning("%s: no backup was made (%s)", self.folder, error)
            lock.release()

    @property
    def read_only_warning(self) -> str:
        """Warning that nothing can be changed; empty for a project that can be written."""
        if self.database.folder_lock is not None:
            return ""
        return f"{self.folder.name} cannot be written, so it is opened for viewing; changes are refused"

    @property
    def frames(self) -> FrameStore:
        assert self._frames is not None  # not a document that is only read
        return self._frames

    @property
    def revision(self) -> int:
        """Number that grows with every change."""
        return self.log.size + self.tracked_masks.revision

    @property
    def output_digest(self) -> str:
        return digest_output(self.output_folder, self.header.video)

    @property
    def unimported_digest(self) -> str:
        """Digest of the output of `aotlab track`; empty if the document has imported it, or without output."""
        imported = {layer.source_digest for layer in self.snapshot.state.layers.values()}
        return "" if (digest := self.output_digest) in imported else digest

    @property
    def tracked_again_warning(self) -> str:
        """Warning that `aotlab track` ran again after the edits; empty otherwise, or if the video is done."""
        if not (self.log.has_history and self.unimported_digest) or self.status == "done":
            return ""
        problem = "the video was tracked again and still shows the corrected masks of the earlier tracking"
        return f"{problem}; mark it as done to keep them, or move {self.folder.name} away to see the new ones"

    @property
    def status(self) -> log.VideoStatus:
        """State of the video in a list: *done* as it was set last, unless `aotlab track` has written other output."""
        record = self.log.last_done
        if record is not None and record.done and self.output_digest in ("", record.output_digest):
            return "done"
        return "in progress" if self.log.undo_step else "to do"

    def set_done(self, done: bool) -> None:
        """Mark the video as done, or as not done."""
        with self.lock:
            self.append(log.DoneRecord(done, self.output_digest))
            self.emit_page_state()

    @property
    def name(self) -> str:
        """Name of the video; without frames, of the project."""
        return self._frames.name if self._frames else self.folder.name.removesuffix(PROJECT_SUFFIX)

    @contextmanager
    def once_per_message(self, origin: log.Origin) -> Iterator[int | None]:
        """Yield None if the message is new and the block has to carry it out; its edits are stored with the origin.

        A page may send a message twice, even at the same time. The second call waits until the first one is done. It
        yields the number of the step that the message has added; 0 if it added another record.
        """
        message_id, message_lock = origin.message_id, threading.Lock()
        if message_id is not None:
            with self.lock:
                message_lock = self._message_locks.setdefault(message_id, message_lock)  # exists while a call uses it
        with message_lock:
            self._thread.origin = origin
            try:
                yield None if message_id is None else self.log.message_steps.get(message_id)
            finally:
                del self._thread.origin

    # Edits

    def edit(
        self,
        title: str,
        changes: log.Changes,
        frame: int | None = None,
        new_pngs: Mapping[str, bytes] = {},
        result: msgspec.Struct | None = None,
        tracked: Collection[tuple[int, LayerFrame, bytes]] = (),
    ) -> None:
        """Add a step to the log, unless it changes nothing; raise `InputError` if it cannot be stored.

        Frames whose masks change are no longer marked as checked.
        All frames must be in `Snapshot.editable_range`. ``new_pngs`` are filled by `MaskStore.encode`; ``result`` is
        stored with the step, for a repeated message; ``tracked`` are masks of new layers, see `TrackedMaskStore.put`.
        """

        def store() -> None:
            for layer_id, description, png in tracked:
                self.tracked_masks.put(layer_id, description, png)

        with self.lock:
            before, after = self.snapshot, self.snapshot.with_changes(changes)
            first, last = after.editable_range
            for index in changes.frames:
                if not first <= index <= last:
                    raise InputError(f"frame {index}: outside the tracked part of the video, frames {first} to {last}")
            changed = {key: layer and after.with_sources(layer) for key, layer in changes.layers.items()}
            changes = msgspec.structs.replace(changes, layers=changed)
            changes = changes.drop_unchanged(before.state)
            if changes != log.Changes():
                reshaped = {description.frame for _, description, _ in tracked}
                ended = [index for index in after.state.checked if index in reshaped or not after.is_checked(index)]
                checked = {**changes.checked, **dict.fromkeys(ended)}
                changes = msgspec.structs.replace(changes, checked=checked).drop_unchanged(before.state)
            if changes != log.Changes():
                try:
                    self.append(log.Step(title, changes, frame, result), new_pngs=new_pngs, store=store)
                except BaseException:
                    for layer_id in changes.layers:
                        self.tracked_masks.forget(layer_id)
                    raise
                self._notify(changes)

    def undo(self, step: int | None = None) -> events.StepInfo | None:
        """Undo and return the last edit; raise `InputError` if it is not ``step``, or was made in another open page."""
        with self.lock:
            if step not in (None, self.log.head):
                raise InputError("undo: something else was done since; undo the newer steps first")
            return self._move("undo")

    def redo(self) -> events.StepInfo | None:
        """Redo and return the last undone edit; raise `InputError` if it was made in another open page."""
        return self._move("redo")

    def cancel(self, step: int) -> bool:
        """Cancel a step if it is the newest one; return whether it was. See `Move`."""
        with self.lock:
            return step == self.log.head == len(self.log.steps) and self._move("cancel") is not None

    def make_object_id(self, reserved: Collection[int] = ()) -> int:
        """Return the smallest id that was never used and is not reserved; raise `InputError` if there are too many."""
        if len(self.snapshot.objects) >= MAX_OBJECTS:
            raise InputError(f"object: cannot be added; a video has at most {MAX_OBJECTS}")
        return next(key for key in count(1) if key not in self.log.used_objects and key not in reserved)

    def make_layer_id(self) -> int:
        return max(self.log.layer_steps, default=0) + 1

    @property
    def history(self) -> tuple[events.StepInfo | None, events.StepInfo | None]:
        """The edit to undo and the edit to redo; each may be None."""
        return self._describe_step(self.log.undo_step), self._describe_step(self.log.redo_step)

    def _describe_step(self, number: int) -> events.StepInfo | None:
        """Return the description of a step; None for step 0."""
        if (step := self.log.steps.get(number)) is None:
            return None
        page = step.page if step.page in list(self.listeners.values()) else None
        return events.StepInfo(step.title, step.time, step.frame, page)

    def list_history(self) -> list[events.HistoryEntry]:
        """Return the edits that lead to what is shown, newest first, at most `MAX_HISTORY`.

        Equal ones of a frame that follow each other, such as strokes, are one entry with the newest step.
        """
        numbers = [number for number in self.log.list_past_steps() if number > self.log.last_import]
        entries = list[events.HistoryEntry]()
        for (title, frame), group in groupby(
            numbers, lambda key: (self.log.steps[key].title, self.log.steps[key].frame)
        ):
            first, *others = group
            noun = "strokes" if self.log.steps[first].action == "paint" else "times"
            label = title if frame is None else f"{title}, frame {frame}"
            label += f" ({len(others) + 1} {noun})" if others else ""
            entries.append(events.HistoryEntry(first, self.log.steps[first].time, label))
        return entries[:MAX_HISTORY]

    def add_tracked_masks(self, layer_id: int, tracked: LayerFrame, ids: np.ndarray) -> bool:
        """Store the tracked masks of a frame, H×W ids, in a layer.

        Frames that are marked as checked stay as they are, and other objects keep their pixels. Returns False if the
        layer cannot be tracked any more.
        """
        with self.lock:
            snapshot, index = self.snapshot, tracked.frame
            if snapshot.is_checked(index):
                return True
            if not can_track(snapshot, layer_id):
                return False
            layer, labels = snapshot.state.layers[layer_id], snapshot.labels(index)
            others = (labels > 0) & ~np.isin(labels, [*map(snapshot.state.resolve, layer.objects)])
            if others.any():
                ids = np.where(others, 0, ids)
                tracked = msgspec.structs.replace(tracked, scores=clip_scores(tracked.scores, ids))
            is_new = index not in self.tracked_masks.layer(layer_id).frames
            self.tracked_masks.put(layer_id, tracked, ids)
            if is_new:  # all layers are read again only if masks were replaced
                key = snapshot.step, self.tracked_masks.revision
                self._snapshots.put(key, snapshot.with_tracked_frame(layer_id, index))
            self.snapshot.scores(index)  # measured here, as this takes long, and stored
            self._emit_frame(index)
            return True

    def finish_layer(self, layer_id: int) -> None:
        """Mark a layer as finished, unless it is already, or undo has removed it. The pages are not notified."""
        with self.lock:
            if layer_id in self.snapshot.state.layers and not self.tracked_masks.layer(layer_id).finished:
                self.tracked_masks.finish(layer_id)

    def emit(self, event: events.Event) -> None:
        for listener in list(self.listeners):
            listener(event)

    def describe_page_state(self) -> events.PageState:
        """Return all that a page shows, except masks and timeline."""
        with self.lock:
            snapshot = self.snapshot
            objects, state, schema = [*snapshot.objects.values()], snapshot.state, self.schema
            shown = {key: snapshot.flag_tracked(snapshot.expand_merged_ids([key])) for key in snapshot.objects}
            runs = {key: find_runs(flags & shown[key]) for key, flags in find_outdated(snapshot).items()}
            outdated = {key: ranges for key, ranges in runs.items() if ranges}
            classes = {rule.name for rule in schema.classes} or {*state.classes, *(item.class_name for item in objects)}
            return events.PageState(
                revision=self.revision, step=self.log.head, history=self.history, done=self.status == "done",
                schema=schema.classes,
                classes=sorted(classes - {""}), objects=objects,
                outdated=outdated, editable_range=snapshot.editable_range, checked=snapshot.checked_frames,
            )  # fmt: skip

    def timeline(self) -> events.Timeline:
        """Return the marks of each object on all frames."""
        with self.lock:
            revision, snapshot = self.revision, self.snapshot
        return events.Timeline(revision, mark_frames(snapshot))

    def emit_page_state(self) -> None:
        if self.listeners:
            self.emit(events.DocumentEvent(self.describe_page_state()))

    def _emit_frame(self, index: int) -> None:
        if self.listeners:
            self.emit(events.FrameEvent(index, self.revision, mark_frame(self.snapshot, index)))

    def _move(self, move: log.Move) -> events.StepInfo | None:
        with self.lock:
            number = self.log.redo_step if move == "redo" else self.log.undo_step
            if (step := self._describe_step(number)) is not None:
                if move != "cancel" and step.page not in (None, self.origin.page):
                    problem = f"the last step, {step.title}, was made in another window"
                    raise InputError(f"{move}: {problem}; {move} it there")
                self.append(log.HeadRecord(move))
                self._notify(self.log.steps[number].changes)
            return step

    def append(
        self, *records: log.Record, new_pngs: Mapping[str, bytes] = {}, store: Callable[[], None] = lambda: None
    ) -> None:
        """Store records with their origin and time; raise `InputError` if they cannot be stored."""
        values = {**msgspec.structs.asdict(self.origin), "time": log.utc_now()}
        records = tuple(msgspec.structs.replace(record, **values) for record in records)
        self.log.append(*records, new_pngs=new_pngs, store=store)
        if self.log.has_history and self.output_digest:
            with suppress(InputError, OSError):  # the results may be on a disk that cannot be written
                mark_results_edited(self.output_folder)

    def _notify(self, changed: log.Changes) -> None:
        """Notify all listeners after an edit, undo or redo."""
        try:
            self.emit_page_state()
            for index in sorted(changed.drawn_masks):
                self._emit_frame(index)
            if changed.layers or changed.objects or changed.checked:
                self.emit(events.ResultsEvent(self.revision))
        except InputError as error:  # the change is stored, so it has not failed
            logger.warning("%s: stored, but not shown (%s)", self.folder, error)
