"""Random edits, jobs, undo, redo, kills and restarts, compared with a plain model of the rules, pixel by pixel."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.database import Database
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import FORMAT_VERSION, Header, StoredVideo
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.planning import plan_request
from aotlab_studio.document.scores import Score
from aotlab_studio.document.states import find_outdated
from studio.tests.annotation.sessions import find_pending

COUNT, SIZE = 7, (2, 3)
PIXELS = range(6)
HEADER = Header(FORMAT_VERSION, "test", StoredVideo("clip", COUNT, SIZE, {}))
frames = st.integers(0, COUNT - 1)
masks = st.frozensets(st.sampled_from(PIXELS))
steps: Counter[str] = Counter()


@dataclass
class Snapshot:
    """Everything that undo and redo move between."""

    locked: dict[int, bool] = field(default_factory=dict)
    """By id of each object."""
    drawn: dict[tuple[int, int], frozenset[int]] = field(default_factory=dict)
    """Pixels by frame and object."""
    layers: dict[int, Layer] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    """Digests of the masks that were marked as checked, by frame; an edit that changes them ends the mark."""

    def copy(self) -> Snapshot:
        return Snapshot(*(copy(getattr(self, item.name)) for item in fields(self)))

    def resolve(self, raw: int) -> int:
        while raw in self.merged:
            raw = self.merged[raw]
        return raw if raw in self.locked else 0

    def has_drawn_mask(self, frame: int, object_id: int) -> bool:
        return object_id in self.locked and (frame, object_id) in self.drawn


@dataclass
class StoredFrame:
    """Masks that a job has stored of a frame."""

    masks: dict[int, frozenset[int]]
    absent: frozenset[int]


class Model:
    """The rules of a document, written plainly."""

    def __init__(self) -> None:
        self.history, self.head = [Snapshot()], 0
        self.made: dict[tuple[int, int], StoredFrame] = {}
        """By layer and frame."""
        self.complete: set[int] = set()
        self.origin: dict[int, Snapshot] = {}
        """Snapshot of the edit that started each layer."""
        self.checked: set[int] = set()
        """Frames that are marked as checked, as the document says."""

    @property
    def now(self) -> Snapshot:
        return self.history[self.head]

    def push(self, snapshot: Snapshot) -> None:
        if snapshot != self.now:
            del self.history[self.head + 1 :]
            self.history.append(snapshot)
            self.head += 1
        for layer_id in snapshot.layers:
            self.origin.setdefault(layer_id, snapshot)

    def find_sources(self, frame: int) -> dict[int, int]:
        """The newest layer by id in layers, of those with pixels to show."""
        newest: dict[int, int | None] = {}
        for layer_id, layer in sorted(self.now.layers.items()):
            made = self.made.get((layer_id, frame))
            if not layer.first <= frame <= layer.last or (made is None and layer.kind != "empty"):
                continue
            covered = layer.objects if made is None else {*made.masks, *made.absent}
            for raw in covered:
                newest[raw] = layer_id if made is not None and raw in made.masks else None
        return {raw: layer_id for raw, layer_id in newest.items() if layer_id is not None}

    def is_covered_since(self, layer_id: int, frame: int, raw: int) -> bool:
        """Whether a newer layer has a result of an object, or hides it."""
        for key, layer in self.now.layers.items():
            made = self.made.get((key, frame))
            covered = {*made.masks, *made.absent} if made else layer.objects if layer.kind == "empty" else ()
            if key > layer_id and layer.first <= frame <= layer.last and raw in covered:
                return True
        return False

    def show(self, frame: int) -> list[int]:
        """The object at each pixel: the drawn one, else that of the newest layer."""
        shown, now = [0 for _ in PIXELS], self.now
        for raw, layer_id in sorted(self.find_sources(frame).items(), key=lambda item: item[1]):
            target = now.resolve(raw)
            if target and not now.has_drawn_mask(frame, target):
                made = self.made.get((layer_id, frame))
                assert made is not None
                for pixel in made.masks[raw]:
                    shown[pixel] = target
        for (index, object_id), mask in now.drawn.items():
            if index == frame and object_id in now.locked:
                for pixel in mask:
                    shown[pixel] = object_id
        return shown

    def find_pending(self) -> dict[int, list[int]]:
        """Pending frames by layer."""
        waiting = {key: set().union(*self.find_waiting(key).values()) for key in sorted(self.now.layers)}
        return {key: sorted(frames) for key, frames in waiting.items() if frames}

    def find_range(self, layer: Layer) -> set[int]:
        """Frames that get a result in a layer, unlike its reference frame, unless others are tracked to it."""
        is_tracked_to = layer.kind == "both" and bool(layer.drawn_frames)
        return {*range(layer.first, layer.last + 1)} - (set() if is_tracked_to else {layer.reference_frame})

    def find_waiting(self, key: int) -> dict[int, set[int]]:
        """Frames without a result in a layer, by object, which no newer layer of the object replaces."""
        now, layer = self.now, self.now.layers[key]
        if layer.kind == "empty" or key in self.complete:
            return {}
        frames = {frame for frame in self.find_range(layer) - self.checked if (key, frame) not in self.made}
        return {raw: {frame for frame in frames if not any(
            other > key
            and newer.first <= frame <= newer.last
            and raw in newer.objects
            for other, newer in now.layers.items()
        )} for raw in layer.objects if now.resolve(raw)}  # fmt: skip

    def is_outdated(self, frame: int, object_id: int) -> bool:
        now = self.now
        if now.has_drawn_mask(frame, object_id) or frame in self.checked:
            return False
        for key in now.layers:
            for raw, waiting in self.find_waiting(key).items():
                if frame in waiting and now.resolve(raw) == object_id and not self.is_covered_since(key, frame, raw):
                    return True
        for raw, key in self.find_sources(frame).items():
            if now.resolve(raw) == object_id:
                then, layer = self.origin[key], now.layers[key]
                references = layer.reference_frame, *layer.drawn_frames
                sides = "<" * (frame >= min(references)) + ">" * (frame < max(references))
                together = {object_id, *(each for each in now.merged if now.resolve(each) == object_id)}
                if any(nearest(now, frame, together, side) != nearest(then, frame, together, side) for side in sides):
                    return True
        return False


def nearest(snapshot: Snapshot, frame: int, together: set[int], side: str) -> tuple[int, frozenset[int]] | None:
    """The nearest drawn frame on which objects have pixels, on one side of a frame, and all of their pixels."""
    found = dict[int, frozenset[int]]()
    for (index, each), mask in snapshot.drawn.items():
        if each in together & {*snapshot.locked} and mask and (index <= frame if side == "<" else index >= frame):
            found[index] = found.get(index, frozenset()) | mask
    return (max if side == "<" else min)(found.items(), key=lambda item: item[0], default=None)


def to_array(mask: frozenset[int]) -> np.ndarray:
    array = np.zeros(len(PIXELS), bool)
    array[list(mask)] = True
    return array.reshape(SIZE)


class History(RuleBasedStateMachine):
    """Drives a document and its model side by side."""

    @initialize(drawn=st.lists(st.tuples(st.sampled_from([0, 3]), masks), min_size=3, max_size=3), filled=st.randoms())
    def start(self, drawn, filled) -> None:
        """Begin with three objects that are drawn, and a job of all that has stored every frame."""
        self.folder = Path(tempfile.mkdtemp(prefix="aotlab-history-"))
        self.model, self.used = Model(), set[int]()
        self.kept: dict[int, Snapshot] = {}  # by step
        self.open()
        for object_id, (frame, mask) in enumerate(drawn, start=1):
            self.add()
            self.draw_mask(object_id, frame, mask)
        layer = Layer([1, 2, 3], 1, COUNT - 1)
        self.follow(lambda _: None, lambda: self.document.edit("tracking", Changes(layers={1: layer})))
        for frame in range(1, COUNT):
            ids = [filled.choice([0, 1, 2, 3]) for _ in PIXELS]
            self.store(1, frame, [1, 2, 3], ids, frozenset())
        self.document.finish_layer(1)
        self.model.complete.add(1)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def open(self) -> None:
        if hasattr(self, "document"):
            self.document.database.close()
        database = Database.open_for_writing(self.folder)
        with database.transaction() as connection:
            row = 1, msgspec.json.encode(HEADER)
            connection.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", row)
        self.document = Document(database)
        self.document.tracked_masks.delete_unreachable(self.document.log.list_reachable_layers())

    def pick(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.model.now.locked)), label="object")

    def follow(self, change, act, start: Snapshot | None = None) -> None:
        """Let the document act, unless it refuses; change the model's snapshot, or ``start``."""
        before = set(self.document.snapshot.state.layers)
        try:
            act()
        except InputError as error:
            event(f"refused: {str(error).split(':')[-1][:30]}")
            return
        snapshot = start or self.model.now.copy()
        change(snapshot)
        layers = self.document.snapshot.state.layers
        snapshot.layers |= {key: layers[key] for key in layers.keys() - before - snapshot.layers.keys()}
        self.push(snapshot)

    def push(self, snapshot: Snapshot) -> None:
        """Add a step, with which the marks of changed frames end."""
        self.model.checked = {*self.document.snapshot.checked_frames}
        if snapshot != self.model.now:
            snapshot.marks = {frame: mark for frame, mark in snapshot.marks.items() if frame in self.model.checked}
        self.model.push(snapshot)
        self.kept[self.document.log.head] = self.model.now

    @rule()
    def add(self) -> None:
        object_id = editing.AddObject().run(self.document).object_id
        assert object_id not in self.used, "an id is used again"
        self.used.add(object_id)
        snapshot = self.model.now.copy()
        snapshot.locked[object_id] = False
        self.push(snapshot)

    @precondition(lambda self: self.model.now.locked)
    @rule(data=st.data(), frame=frames, mask=masks)
    def draw(self, data, frame, mask) -> None:
        self.draw_mask(self.pick(data), frame, mask)

    def draw_mask(self, object_id: int, frame: int, mask: frozenset[int]) -> None:
        now, shown = self.model.now, self.model.show(frame)
        after = frozenset(pixel for pixel in mask if not now.locked.get(shown[pixel], False))
        if now.locked[object_id]:
            after = None
        unchanged = now.drawn.get((frame, object_id)) == after == find_pixels(shown, object_id)

        def change(snapshot: Snapshot) -> None:
            assert after is not None, "a locked object was drawn"
            for (index, each), other in now.drawn.items():
                if index == frame and each != object_id and each in now.locked:
                    snapshot.drawn[index, each] = other - after
                elif index == frame and each not in now.locked:
                    del snapshot.drawn[index, each]  # nobody can see it again but by undo
            if unchanged:
                snapshot.drawn = dict(now.drawn)
            snapshot.drawn[frame, object_id] = after

        self.follow(
            change, lambda: editing.edit_mask(self.document, frame, object_id, lambda _: to_array(mask), "draw")
        )

    @precondition(lambda self: self.model.now.locked)
    @rule(data=st.data(), frame=frames)
    def back_to_tracked(self, data, frame) -> None:
        object_id, locked = self.pick(data), self.model.now.locked

        def change(snapshot: Snapshot) -> None:
            assert not locked[object_id], "a locked object was changed"
            snapshot.drawn = {
                key: mask
                for key, mask in snapshot.drawn.items()
                if key[0] != frame or (key[1] != object_id and key[1] in locked)
            }

        before = self.model.show(frame)
        self.follow(change, lambda: editing.BackToTracked(frame, object_id).run(self.document))
        after = self.model.show(frame)
        assert all(after[p] == before[p] for p in PIXELS if locked.get(before[p])), "a locked object was covered"

    @rule(frame=frames)
    def check(self, frame) -> None:
        """Mark a frame as checked, or remove the mark; the model reads which frames have it."""
        checked = frame not in self.document.snapshot.checked_frames

        def change(snapshot: Snapshot) -> None:
            snapshot.marks.pop(frame, None)
            if checked:
                snapshot.marks[frame] = self.document.snapshot.digest_frame(frame)

        self.follow(change, lambda: editing.SetChecked(frame, checked).run(self.document))

    @precondition(lambda self: self.model.now.locked)
    @rule(data=st.data())
    def delete(self, data) -> None:
        object_id = self.pick(data)
        self.follow(
            lambda snapshot: snapshot.locked.pop(object_id), lambda: editing.DeleteObject(object_id).run(self.document)
        )

    @precondition(lambda self: self.model.now.locked)
    @rule(data=st.data())
    def lock(self, data) -> None:
        object_id = self.pick(data)
        value = not self.model.now.locked[object_id]
        self.follow(
            lambda snapshot: snapshot.locked.update({object_id: value}),
            lambda: editing.ChangeObject(object_id, locked=value).run(self.document),
        )

    @precondition(lambda self: len(self.model.now.locked) > 1)
    @rule(data=st.data())
    def merge(self, data) -> None:
        object_id, into, now = self.pick(data), self.pick(data), self.model.now
        shown = {frame: self.model.show(frame) for frame in range(COUNT)}

        def change(snapshot: Snapshot) -> None:
            for frame in range(COUNT):
                if now.has_drawn_mask(frame, object_id) or now.has_drawn_mask(frame, into):
                    for each in [each for (index, each) in now.drawn if index == frame]:
                        if each == object_id or each not in now.locked:
                            del snapshot.drawn[frame, each]
                    both = find_pixels(shown[frame], object_id) | find_pixels(shown[frame], into)
                    snapshot.drawn[frame, into] = both
            del snapshot.locked[object_id]
            snapshot.merged[object_id] = into

        self.follow(change, lambda: editing.MergeObjects(object_id, into).run(self.document))
        if self.model.now.merged.get(object_id) == into and object_id != into:
            for frame in range(COUNT):  # no pixel is lost
                merged = [into if pixel == object_id else pixel for pixel in shown[frame]]
                assert self.model.show(frame) == merged or self.has_overlap(frame)

    def has_overlap(self, frame: int) -> bool:
        """Whether objects of several layers overlap, whose order a merge may change."""
        return len(set(self.model.find_sources(frame).values())) > 1

    @precondition(lambda self: self.model.now.locked)
    @rule(frame=frames, last=st.one_of(st.none(), frames))
    def clear_tracking(self, frame, last) -> None:
        self.follow(lambda _: None, lambda: editing.ClearTracking(frame, last).run(self.document))

    @precondition(lambda self: self.model.now.drawn)
    @rule(data=st.data(), frame=frames, direction=st.sampled_from(["forward", "backward", "both"]), one=st.booleans())
    def track(self, data, frame, direction, one) -> None:
        first, last = sorted((data.draw(frames), data.draw(frames)))
        chosen = self.pick(data) if one and self.model.now.locked else None

        def act() -> None:
            layer = plan_request(self.document.snapshot, frame, direction, min(first, frame), max(last, frame), chosen)
            unlocked = {each for each, locked in self.model.now.locked.items() if not locked}
            expected = unlocked if chosen is None else {chosen}
            assert {self.model.now.resolve(raw) for raw in layer.objects} == expected <= unlocked
            self.document.edit("tracking", Changes(layers={self.document.make_layer_id(): layer}))

        self.follow(lambda _: None, act)

    @precondition(lambda self: self.model.find_pending())
    @rule(data=st.data(), rounds=st.integers(1, 4))
    def run_job(self, data, rounds) -> None:
        """Store some frames of a job, in any order; objects may be absent."""
        key = data.draw(st.sampled_from([*self.model.find_pending()]), label="layer")
        layer, then = self.model.now.layers[key], self.model.origin[key]
        for _ in range(rounds):
            frame = data.draw(st.integers(layer.first, layer.last), label="frame")
            covered = data.draw(st.sets(st.sampled_from(sorted(layer.objects)))) if layer.objects else set()
            if earlier := self.model.made.get((key, frame)):  # a repeated run loses no object
                covered |= {*earlier.masks, *earlier.absent}
            own = [raw for raw in covered if then.resolve(raw) == raw and data.draw(st.integers(0, 3))]
            ids = [data.draw(st.sampled_from([0, *own])) for _ in PIXELS]
            absent = frozenset(raw for raw in covered if then.resolve(raw) in covered - {*own})
            self.store(key, frame, own, ids, absent)

    def store(self, key, frame, own, ids, absent) -> None:
        """Store a frame of a layer; nothing but its objects may change."""
        is_pending = key in self.model.find_pending()
        layer, scores = self.model.now.layers[key], {raw: Score(1.0, ids.count(raw), 0.0, 0.0) for raw in own}
        before, locked = self.model.show(frame), self.model.now.locked
        mine = {self.model.now.resolve(raw) for raw in layer.objects}
        free = [ids[p] if before[p] in {0, *mine} else 0 for p in PIXELS]
        result = LayerFrame(frame, scores, sorted(absent))
        is_valid = self.document.add_tracked_masks(key, result, np.array(ids, np.uint16).reshape(SIZE))
        if frame in self.model.checked:
            assert is_valid
            return
        if not is_pending or any(locked.get(self.model.now.resolve(raw), False) for raw in layer.objects):
            assert not is_valid
            return
        self.model.made[key, frame] = StoredFrame({raw: find_pixels(free, raw) for raw in own}, absent)
        after = self.model.show(frame)
        assert all(after[p] == before[p] for p in PIXELS if before[p] not in {0, *mine}), "another object lost pixels"
        self.model.checked = {*self.document.snapshot.checked_frames}

    @precondition(lambda self: self.model.find_pending())
    @rule(data=st.data())
    def finish_job(self, data) -> None:
        key = data.draw(st.sampled_from([*self.model.find_pending()]))
        self.document.finish_layer(key)
        self.model.complete.add(key)

    @rule()
    def undo(self) -> None:
        moved = self.document.undo()
        self.model.checked = {*self.document.snapshot.checked_frames}
        assert (moved is not None) == (self.model.head > 0)
        self.model.head = max(0, self.model.head - 1)

    @rule()
    def redo(self) -> None:
        moved = self.document.redo()
        self.model.checked = {*self.document.snapshot.checked_frames}
        assert (moved is not None) == (self.model.head + 1 < len(self.model.history))
        self.model.head = min(len(self.model.history) - 1, self.model.head + 1)

    @precondition(lambda self: self.document.log.steps)
    @rule(data=st.data())
    def restore_step(self, data) -> None:
        number = data.draw(st.sampled_from(sorted(self.kept)))
        restored = self.kept[number].copy()
        self.follow(lambda _: None, lambda: editing.RestoreStep(number).run(self.document), restored)

    @rule(size=st.sampled_from([0, 100, 10_000]), layer_id=st.integers(1, 9))
    def kill_and_restart(self, size, layer_id) -> None:
        """Continue with the files as they are while an entry and a result are being written."""
        killed, database = Path(tempfile.mkdtemp(prefix="aotlab-history-")), self.document.database
        with suppress(ZeroDivisionError), database.transaction() as connection:
            connection.execute("PRAGMA cache_size = 1")  # writes pages before the end
            connection.execute("INSERT INTO records VALUES (99999, zeroblob(?))", (size,))
            connection.execute("INSERT INTO tracked_masks VALUES (NULL, ?, '', zeroblob(?))", (layer_id, size))
            connection.execute("DELETE FROM masks")
            shutil.copytree(self.folder, killed, dirs_exist_ok=True)
            raise ZeroDivisionError
        shutil.rmtree(self.folder)
        self.folder = killed
        self.open()

    @invariant()
    def document_equals_model(self) -> None:
        if not hasattr(self, "document"):
            return
        steps["steps"] += 1
        now, outdated = self.model.now, find_outdated(self.document.snapshot)
        assert set(self.document.snapshot.objects) == set(now.locked)
        for frame in range(COUNT):
            shown = self.document.snapshot.labels(frame).ravel().tolist()
            assert shown == self.model.show(frame), f"frame {frame}"
            steps["pixels"] += len(shown)
        assert find_pending(self.document.snapshot) == self.model.find_pending()
        found = {(frame, each) for frame, each in product(range(COUNT), now.locked) if outdated[each][frame]}
        expected = {pair for pair in product(range(COUNT), now.locked) if self.model.is_outdated(*pair)}
        assert found == expected


def find_pixels(shown: list[int], object_id: int) -> frozenset[int]:
    return frozenset(pixel for pixel in PIXELS if shown[pixel] == object_id)


def run_machine(examples: int, length: int, phases: set[Phase]) -> None:
    History.TestCase.settings = settings(
        max_examples=examples, stateful_step_count=length, phases=phases, deadline=None,
        suppress_health_check=list(HealthCheck), derandomize=True, database=None,
    )  # fmt: skip
    History.TestCase().runTest()


def test_random_history_follows_the_rules():
    run_machine(12, 25, set(Phase) - {Phase.shrink})  # shrinking takes minutes


@pytest.mark.slow
def test_long_random_histories_follow_the_rules():
    steps.clear()
    run_machine(500, 50, set(Phase))
    print(dict(steps))
    assert steps["steps"] > 15_000
