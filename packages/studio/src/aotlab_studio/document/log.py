"""Log of a document: records of edits, undo, redo and “done”. Records are only added, never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from aotlab import sdk
from aotlab_studio.document.database import DAMAGED_REMEDY, Database
from aotlab_studio.document.objects import ObjectId, ObjectInfo, is_same
from aotlab_studio.utils.cache import LRUCache

Direction = Literal["forward", "backward", "both"]
Move = Literal["undo", "redo", "cancel"]
"""``cancel`` undoes a request that has tracked no frame, as if it had never been made."""
VideoStatus = Literal["to do", "in progress", "done"]
NonNegativeInt = Annotated[int, Meta(ge=0, le=2**31)]
Digest = Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")]
FrameRange = tuple[NonNegativeInt, NonNegativeInt]
"""First and last frame."""
Coordinate = Annotated[float, Meta(ge=-1e5, le=1e5)]
Point = tuple[Coordinate, Coordinate]
"""x and y in pixels."""
MAX_STATE_VALUES = 1_000_000
"""Largest number of values in all the states that are kept in memory; each takes about 30 bytes."""


class Layer(Struct, frozen=True, omit_defaults=True):
    """A run of tracking, whose masks replace those of its objects on a range of frames. `TrackedMaskStore` has them.

    ``Layer([2], 11, 30, reference_frame=10)``: object 2 is tracked from its mask on frame 10 to frames 11 to 30. It is
    tracked from the masks that show when the job starts.
    """

    objects: list[ObjectId]
    """Ids of the objects, and of those that were merged into them."""
    first: NonNegativeInt
    last: NonNegativeInt
    reference_frame: NonNegativeInt = 0
    """Frame where tracking starts, from all masks that it shows."""
    kind: Direction | Literal["empty", "import", "reshape"] = "forward"
    """Directions are requests of a person. ``empty``: has no masks, and hides those of older layers; ``import``: read
    from the output of `aotlab track`; ``reshape``: has reshaped masks of an older layer on some frames."""
    drawn_frames: list[NonNegativeInt] = []
    """For ``both``: all other drawn frames of the range, to track from. Frames between two are tracked from both."""
    source_digest: str = ""
    """For an import: `digest_output` of the imported folder; empty if it has no job record."""
    sources: Mapping[ObjectId, Mapping[NonNegativeInt, Digest]] | None = None
    """Drawn masks of all objects on its frames, and next to them, by object and frame; `Document.edit` sets them."""

    @property
    def tracks_reference(self) -> bool:
        """Whether the reference frame gets tracked masks too, from other frames."""
        return self.kind == "import" or (self.kind == "both" and bool(self.drawn_frames))


class Changes(Struct, frozen=True, omit_defaults=True):
    """Values that an edit sets; None removes a value.

    ``Changes(drawn_masks={7: {2: ""}}, checked={3: None})``: frame 7 has one drawn mask, in which object 2 is absent;
    frame 3 is not marked as checked any more.
    """

    objects: Mapping[ObjectId, ObjectInfo | None] = {}
    drawn_masks: Mapping[NonNegativeInt, Mapping[ObjectId, Digest] | None] = {}
    """Digests of drawn masks by frame and object; an empty text means that the object is absent."""
    layers: Mapping[NonNegativeInt, Layer | None] = {}
    merged: Mapping[ObjectId, ObjectId | None] = {}
    """The object that each merged object has become a part of."""
    checked: Mapping[NonNegativeInt, str | None] = {}
    """Digests of the masks that a person has marked as checked, by frame."""
    ranges: Mapping[Literal["job"], FrameRange | None] = {}
    """``job``: the frames that `aotlab track` has tracked. Unset: all frames."""
    classes: Mapping[str, NonNegativeInt | None] = {}
    """Class ids by class name, read from files of masks."""
    attributes: Mapping[ObjectId, Mapping[NonNegativeInt, Mapping[str, Any]] | None] = {}
    """Attributes of loaded objects, by object and the frame from which they hold."""

    @property
    def frames(self) -> list[int]:
        """Frames of the drawn masks, and the first and last frame of each layer."""
        ends = [index for layer in self.layers.values() if layer for index in (layer.first, layer.last)]
        return [*(index for index, masks in self.drawn_masks.items() if masks), *ends]

    def drop_unchanged(self, state: State) -> Changes:
        """Return the changes without the values that a state already has."""
        values = {}
        for name in self.__struct_fields__:
            old, new = getattr(state, name), getattr(self, name)
            values[name] = {key: value for key, value in new.items() if not is_same(old.get(key), value)}
        return Changes(**values)


class State(Struct, frozen=True):
    """All values of a document after a step: the same fields as `Changes`, sorted by key, without removed values."""

    objects: Mapping[int, ObjectInfo] = {}
    drawn_masks: Mapping[int, Mapping[int, str]] = {}
    layers: dict[int, Layer] = {}
    merged: Mapping[int, int] = {}
    checked: Mapping[int, str] = {}
    ranges: Mapping[str, FrameRange] = {}
    classes: Mapping[str, int] = {}
    attributes: Mapping[int, Mapping[int, Mapping[str, Any]]] = {}

    def resolve(self, object_id: int) -> int:
        """Return the id of the object that has the masks of an id now, after all merges; 0 if it is deleted."""
        while object_id in self.merged:
            object_id = self.merged[object_id]
        return object_id if object_id in self.objects else 0

    def apply(self, changes: Changes) -> State:
        """Return the state after an edit."""
        fields = {}
        for name in self.__struct_fields__:
            if update := getattr(changes, name):
                values = {**getattr(self, name), **update}
                fields[name] = {key: values[key] for key in sorted(values) if values[key] is not None}
        return msgspec.structs.replace(self, **fields)

    def diff(self, before: State) -> Changes:
        """Return the changes that turn ``before`` into this state."""
        values = {name: dict.fromkeys(getattr(before, name)) | getattr(self, name) for name in self.__struct_fields__}
        return Changes(**values).drop_unchanged(before)


class Origin(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Action, page and message that a record comes from."""

    action: str = ""
    """Name of the action; empty for the import of the output of `aotlab track`."""
    page: str | None = None
    """Id of the page. While the page is open, no other page can undo or redo its edits."""
    message_id: int | None = field(default=None, name="message")
    """Id of the page's message, by which a repeated message is recognized."""


NO_ORIGIN = Origin()


class BaseRecord(Origin, frozen=True, kw_only=True):
    """A record with its origin and time."""

    time: str = ""
    """UTC, ISO 8601."""


class Step(BaseRecord, frozen=True, tag="step"):
    """An edit, which is undone and redone as a whole."""

    title: str
    changes: Changes
    frame: NonNegativeInt | None = None
    """Frame that the edit changed, shown after undo; None if it changed several."""
    result: Any = None
    """Result of the action, which answers a repeated message."""


class HeadRecord(BaseRecord, frozen=True, tag="head"):
    """Undo or redo, which moves the head of the log."""

    move: Move


class DoneRecord(BaseRecord, frozen=True, tag="done"):
    """Whether the video is done."""

    done: bool
    output_digest: str = ""
    """`digest_output` when it was set; the video is no longer done when `aotlab track` writes other output."""


Record = Step | HeadRecord | DoneRecord
_decoder = msgspec.json.Decoder(Record)


class Log:
    """All records of a document; raises `InputError` if one is damaged, or the project cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.size = 0
        self.steps: dict[int, Step] = {}  # by number; the first one is 1
        self.parents: dict[int, int] = {}  # head when each step was added; 0 for the first step
        self.head = 0  # number of the last step that is not undone; 0 without one
        self.undone: list[int] = []  # steps that can be redone; the last one is redone first
        self._undone_before: list[int] = []  # `undone` just before the newest step
        self.last_done: DoneRecord | None = None  # whether the video is done, as it was set last
        self.last_import = 0  # last step that imported output of `aotlab track` before any edit; 0 without one
        self.used_objects: set[int] = set()  # ids of all objects that ever existed; they are not used again
        self.layer_steps: dict[int, int] = {}  # step that added each layer
        self.message_steps: dict[int | None, int] = {}  # step that each message added; 0 if it added another record
        self._states: LRUCache[State] = LRUCache(
            MAX_STATE_VALUES, lambda state: sum(map(len, msgspec.structs.astuple(state)))
        )
        for number, content in database.query("SELECT id, content FROM records ORDER BY id"):
            with sdk.reading(f"{database.path}: record {self.size + 1}", DAMAGED_REMEDY, RecursionError):
                if number != self.size + 1 or not isinstance(content, bytes | str):
                    raise ValueError(f"missing; the next one is {number}")
                self._apply(_decoder.decode(content))

    @property
    def undo_step(self) -> int:
        """Number of the step to undo; 0 without one. An import of `aotlab track` output cannot be undone."""
        return self.head if self.head > self.last_import else 0

    @property
    def redo_step(self) -> int:
        """Number of the step to redo; 0 without one."""
        return self.undone[-1] if self.undone else 0

    @property
    def has_history(self) -> bool:
        """Whether there is an edit of a person that can be undone or redone."""
        return bool(self.undo_step or self.redo_step)

    def append(
        self, *records: Record, new_pngs: Mapping[str, bytes] = {}, store: Callable[[], None] = lambda: None
    ) -> None:
        """Store records, PNGs of new drawn masks by digest, and what ``store`` writes; on an error, nothing."""
        with sdk.reading("edit", "use other values", OverflowError):
            contents = [msgspec.json.encode(record) for record in records]
            records = tuple(map(_decoder.decode, contents))  # check that they can be read back
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO masks VALUES (?, ?)", new_pngs.items())
            connection.executemany("INSERT INTO records VALUES (?, ?)", enumerate(contents, self.size + 1))
            store()
        for record in records:
            self._apply(record)

    def state(self, number: int) -> State:
        """Return the state after a step; step 0 has the empty state."""
        path, state = [], State()
        while number:
            if (cached := self._states.get(number)) is not None:
                state = cached
                break
            path.append(number)
            number = self.parents[number]
        for step in reversed(path):
            state = state.apply(self.steps[step].changes)
            self._states.put(step, state)
        return state

    def list_reachable_layers(self) -> set[int]:
        """Return the layers that show now, or could show after undo or redo."""
        return set().union(*(self.steps[step].changes.layers for step in [*self.undone, *self.list_past_steps()]))

    def list_past_steps(self) -> list[int]:
        """Return the steps that lead to what is shown, newest first."""
        steps, number = list[int](), self.head
        while number:
            steps.append(number)
            number = self.parents[number]
        return steps

    def _apply(self, record: Record) -> None:
        """Update all attributes for the next record; raise `ValueError` if it does not fit the log."""
        if isinstance(record, Step):
            if any(item is not None and item.id != key for key, item in record.changes.objects.items()):
                raise ValueError("an object has two ids")
            number, changes = len(self.steps) + 1, record.changes
            self.steps[number], self.parents[number] = record, self.head
            new = [layer for key, layer in changes.layers.items() if layer and key not in self.layer_steps]
            if self.last_import == self.head and any(layer.kind == "import" for layer in new):
                self.last_import = number
            self.head, self._undone_before, self.undone = number, self.undone, []
            self.used_objects.update(changes.objects)
            self.layer_steps = dict.fromkeys(changes.layers, number) | self.layer_steps
        elif isinstance(record, HeadRecord):
            if not (self.undone if record.move == "redo" else self.head):
                raise ValueError(f"no step to {record.move}")
            if record.move == "redo":
                self.head = self.undone.pop()
            else:
                self.undone = [*self.undone, self.head] if record.move == "undo" else self._undone_before
                self.head = self.parents[self.head]
        else:
            self.last_done = record
        if record.message_id is not None:
            self.message_steps[record.message_id] = self.head if isinstance(record, Step) else 0
        self.size += 1


def digest_values(*values: object) -> str:
    """Return a digest of plain values, such as numbers and texts, with 32 characters."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def utc_now() -> str:
    """Return the time for a new record."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
