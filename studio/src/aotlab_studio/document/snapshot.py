"""Objects, masks, scores and outdated frames that a document shows at a step of its log. Read-only, without a lock.

On each frame, an object shows its drawn mask; if that is empty, the object is absent. An object without a drawn mask
shows its mask in the newest layer that has tracked it on the frame.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from aotlab import InputError, internal, sdk
from aotlab_studio.document.log import Changes, FrameRange, Log, State, digest_values
from aotlab_studio.document.masks import LayerFrame, MaskStore, TrackedMaskStore
from aotlab_studio.document.objects import ObjectInfo
from aotlab_studio.document.scores import Score, clip_scores, find_lost, measure_scores
from aotlab_studio.utils.video import require_frame

UNKNOWN, DRAWN, DRAWN_ABSENT, ABSENT, LOST = "-Ggal"
"""Marks of the timeline. The digits 0 to 9 mean a tracked mask with this confidence, in tenths."""


class ShownLayer(NamedTuple):
    """A layer that shows on a frame."""

    layer_id: int
    frame: LayerFrame
    object_ids: list[int]
    """Ids in the layer of the objects that it shows; `State.resolve` returns their ids after merges."""


class Snapshot:
    """State of the document after a step of its log, as the page shows it; empty after step 0.

    Tracked masks are read when they are needed. Later tracking does not change a frame that was read before.
    """

    def __init__(self, log: Log, step: int, state: State, masks: MaskStore, tracked_masks: TrackedMaskStore) -> None:
        self.step, self.state = step, state
        self.objects = state.objects
        """Objects by id, without deleted ones, oldest first."""
        self.count, self.size = tracked_masks.count, masks.size
        self._log, self._masks, self._tracked_masks = log, masks, tracked_masks
        self._shown_layers: dict[int, list[ShownLayer]] = {}

    def with_changes(self, changes: Changes) -> Snapshot:
        return Snapshot(self._log, self.step, self.state.apply(changes), self._masks, self._tracked_masks)

    @property
    def locked_ids(self) -> list[int]:
        return [item.id for item in self.objects.values() if item.locked]

    @property
    def protected_ids(self) -> list[int]:
        """Ids of locked and hidden objects, whose pixels are kept when another object is drawn."""
        return [item.id for item in self.objects.values() if item.locked or item.hidden]

    def find_object(self, object_id: int) -> ObjectInfo:
        """Return an object; raise `InputError` for an unknown id."""
        if object_id not in self.objects:
            have = ", ".join(map(str, self.objects)) or "none; add one first"
            raise InputError(f"object {object_id}: no such object; there are {have}")
        return self.objects[object_id]

    @property
    def editable_range(self) -> FrameRange:
        """First and last frame that may be changed. Other frames were left out by `aotlab track`."""
        return self.state.ranges.get("job") or (0, self.count - 1)

    def describe_objects(self) -> tuple[dict[int, str], sdk.AttributeTable]:
        """Return class names by object, and attributes by object and frame. A given name is the attribute ``name``."""
        attributes: sdk.AttributeTable = {key: {**changes} for key, changes in self.state.attributes.items()}
        for item in self.objects.values():
            is_named = item.name not in (item.class_name, f"object {item.id}")
            if constant := ({"name": item.name} if is_named else {}) | item.attributes:
                changes = attributes.get(item.id) or {0: {}}
                attributes[item.id] = {index: {**values, **constant} for index, values in changes.items()}
        return {item.id: item.class_name for item in self.objects.values() if item.class_name}, attributes

    # Masks

    def drawn_masks(self, index: int) -> dict[int, str]:
        """Return the digests of a frame's drawn masks by object; an empty digest means that the object is absent."""
        masks = self.state.drawn_masks.get(index, {})
        return {key: value for key, value in masks.items() if key in self.state.objects}

    @cached_property
    def drawn_frames(self) -> list[int]:
        return [index for index in self.state.drawn_masks if self.drawn_masks(index)]

    def find_drawn_masks(self, object_id: int, state: State | None = None) -> dict[int, str]:
        """Return the digest of an object's drawn mask by frame, with the pixels of objects that were merged into it."""
        state = self.state if state is None else state
        ids = state.objects.keys() & self.expand_merged_ids([object_id])
        return {
            frame: self._masks.unite(digests)
            for frame, masks in state.drawn_masks.items()
            if (digests := [digest for key in ids if (digest := masks.get(key))])
        }

    def expand_merged_ids(self, object_ids: Collection[int]) -> list[int]:
        """Return the ids of objects, and of all objects that were merged into them: layers use both."""
        merged_ids = (key for key in self.state.merged if self.state.resolve(key) in object_ids)
        return sorted({*object_ids, *merged_ids})

    @cached_property
    def newest_layers(self) -> dict[int, np.ndarray]:
        """Id of the layer that each frame shows, N int64, by object id in layers; negative if the object is absent."""
        layer_ids: dict[int, np.ndarray] = {}
        for layer_id, layer in self.state.layers.items():
            presence = dict.fromkeys(layer.objects, np.full(self.count, -1, np.int8))
            if layer.kind != "empty":
                presence = dict(self._tracked_masks.open(layer_id).presence)
            frames = slice(layer.first, layer.last + 1)
            for object_id, values in presence.items():
                newest = layer_ids.setdefault(object_id, np.zeros(self.count, np.int64))[frames]
                np.copyto(newest, layer_id, where=values[frames] > 0)
                np.copyto(newest, -layer_id, where=values[frames] < 0)
        return {key: newest for key, newest in sorted(layer_ids.items()) if self.state.resolve(key)}

    def find_tracked(self, layer_objects: Collection[int] | None = None) -> np.ndarray:
        """Flag the frames with tracked masks, N bool, of the objects with these ids in layers; None: of all objects."""
        layer_ids = self.newest_layers
        chosen = layer_ids if layer_objects is None else layer_ids.keys() & layer_objects
        return np.any([np.zeros(self.count, bool), *(layer_ids[key] > 0 for key in chosen)], axis=0)

    @cached_property
    def annotated_frames(self) -> list[int]:
        """Frames with drawn or tracked masks."""
        flags = self.find_tracked()
        flags[self.drawn_frames] = True
        return np.flatnonzero(flags).tolist()

    def list_shown_layers(self, index: int) -> list[ShownLayer]:
        """Return the layers that show on a frame, oldest first."""
        if index not in self._shown_layers:
            drawn_masks, layers = self.drawn_masks(index), dict[int, list[int]]()
            for object_id, layer_ids in self.newest_layers.items():
                layer_id = int(layer_ids[index])
                if layer_id > 0 and self.state.resolve(object_id) not in drawn_masks:
                    layers.setdefault(layer_id, []).append(object_id)
            self._shown_layers[index] = [
                ShownLayer(key, self._tracked_masks.open(key).frames[index], ids) for key, ids in sorted(layers.items())
            ]
        return self._shown_layers[index]

    def labels(self, index: int) -> np.ndarray:
        """Return the masks of a frame, H×W uint16 ids; raise `InputError` for an unknown frame or a damaged mask."""
        require_frame(index, self.count)
        labels = np.zeros(self.size, np.uint16)
        for shown in self.list_shown_layers(index):
            ids = self._tracked_masks.read(shown.frame)
            table = np.zeros(max(int(ids.max()), *shown.object_ids) + 1, np.uint16)
            table[shown.object_ids] = [self.state.resolve(object_id) for object_id in shown.object_ids]
            layer_labels = table[ids]
            labels = np.where(layer_labels > 0, layer_labels, labels)
        drawn_labels = self.drawn_labels(index)
        return np.where(drawn_labels > 0, drawn_labels, labels)

    def drawn_labels(self, index: int) -> np.ndarray:
        """Return the drawn masks of a frame, H×W uint16 ids; raise `InputError` for a damaged one."""
        labels = np.zeros(self.size, np.uint16)
        try:
            for object_id, digest in self.drawn_masks(index).items():
                labels[self._masks.read(digest)] = object_id
        except InputError as error:
            raise InputError(f"frame {index}: {error}") from error
        return labels

    def scores(self, index: int) -> dict[int, Score]:
        """Return the scores of the visible masks of a frame, by object. A drawn mask has confidence 1, an empty one 0.

        Areas and centers are those of the visible pixels. The other scores of a merged object are those of its largest
        mask.
        """
        drawn_masks, shown_layers = self.drawn_masks(index), self.list_shown_layers(index)
        tracked = [
            (self.state.resolve(key), shown.frame.scores[key])
            for shown in shown_layers
            for key in shown.object_ids
            if key in shown.frame.scores
        ]
        largest = dict(sorted(tracked, key=lambda item: item[1].area))
        if not drawn_masks and len(shown_layers) < 2 and len(largest) == len(tracked):
            return largest

        def measure() -> dict[int, Score]:
            labels = self.labels(index)
            return clip_scores(largest, labels) | measure_scores(labels, drawn_masks)

        with suppress(InputError):  # a damaged mask, which is reported when the frame is shown
            return self._tracked_masks.read_scores(digest_values(self.digest_frame(index), largest), measure)
        return largest

    def require_intact_masks(self) -> None:
        """Raise `InputError` if there is no mask, or a visible one is damaged."""
        if not self.annotated_frames:
            raise InputError("there is no mask yet; draw one, or reject the video")
        for index in self.annotated_frames:
            self.drawn_labels(index)
            for shown in self.list_shown_layers(index):
                self._tracked_masks.read_png(shown.frame)

    # Content

    @cached_property
    def masks_digest(self) -> str:
        """Digest of the visible drawn masks, and of the layers that show elsewhere. It reads no pixels."""
        return digest_values(*map(self.digest_frame, self.annotated_frames))

    @cached_property
    def objects_digest(self) -> str:
        """Digest of the names, classes and attributes that exports contain."""
        objects = self.objects.values()
        items = [(item.id, item.name, item.class_name, sorted(item.attributes.items())) for item in objects]
        return digest_values(items, self.state.classes, self.state.attributes)

    @property
    def content_digest(self) -> str:
        """Digest of masks and objects; a status holds as long as it stays the same."""
        return digest_values(self.masks_digest, self.objects_digest)

    def shows_same(self, other: Snapshot) -> bool:
        """Return whether another snapshot shows the same masks and exported objects."""
        now, then = self.state, other.state
        if now.drawn_masks != then.drawn_masks or self.objects_digest != other.objects_digest:
            return False
        has_same_layers = (now.layers, now.merged) == (then.layers, then.merged)
        return has_same_layers or self.masks_digest == other.masks_digest  # slow, as it looks at all frames

    def digest_frame(self, index: int) -> str:
        """Return a digest of the visible masks of a frame."""
        layers = [
            (shown.frame.digest, [(key, self.state.resolve(key)) for key in shown.object_ids])
            for shown in self.list_shown_layers(index)
        ]
        return digest_values(index, sorted(self.drawn_masks(index).items()), layers)

    @cached_property
    def checked_frames(self) -> list[int]:
        """Frames that are marked as checked; a mark ends when the masks change."""
        return [index for index, digest in self.state.checked.items() if self.digest_frame(index) == digest]

    def list_models(self) -> list[dict[str, Any]]:
        """Return layers with their `LayerFrame.model` and the frames that show them, oldest first, for JSON."""
        flags: dict[tuple[int, str], np.ndarray] = {}
        for index in self.annotated_frames:
            for shown in self.list_shown_layers(index):
                flags.setdefault((shown.layer_id, shown.frame.model), np.zeros(self.count, bool))[index] = True
        return [{"layer": key, "model": model, "frames": find_runs(flags[key, model])} for key, model in sorted(flags)]

    # Pending and outdated frames

    @cached_property
    def pending(self) -> dict[int, np.ndarray]:
        """Frames that each layer still has to track, N bool, by layer id, oldest first; finished layers have none.

        A newer layer of the same objects replaces an older one on its range, but a correction does not replace a
        request, which is tracked first.
        """
        pending, layers = dict[int, np.ndarray](), [*self.state.layers.items()]
        for place, (layer_id, layer) in enumerate(layers):
            tracked = self._tracked_masks.open(layer_id)
            object_ids = {key for key in layer.objects if self.state.resolve(key)}
            if tracked.finished or not object_ids:
                continue
            flags = np.zeros(self.count, bool)
            flags[layer.frames_to_track] = True
            flags[[*tracked.frames]] = False
            for _, newer in layers[place + 1 :]:
                if not flags.any():
                    break
                replaces = newer.kind != "correction" or layer.kind == "correction"
                if replaces and object_ids.issubset(newer.objects):
                    flags[newer.first : newer.last + 1] = False
            if flags.any():
                pending[layer_id] = flags
        return pending

    def can_track(self, layer_id: int) -> bool:
        """Return whether a layer is pending and has no locked object."""
        layers, locked_ids = self.state.layers, {*self.locked_ids}
        return layer_id in self.pending and locked_ids.isdisjoint(map(self.state.resolve, layers[layer_id].objects))

    def list_corrections(self) -> list[int]:
        """Return the corrections that can be tracked now, oldest first; those of locked objects have to wait."""
        return [key for key in self.pending if self.state.layers[key].kind == "correction" and self.can_track(key)]

    @cached_property
    def outdated(self) -> dict[int, np.ndarray]:
        """Frames of each object that should be tracked again, N bool.

        Its mask is tracked from a drawn mask that has changed since, or the frame is pending in a layer newer than the
        mask. Frames on which the object is drawn are never outdated.
        """
        outdated = {object_id: np.zeros(self.count, bool) for object_id in self.objects}
        for layer_id, layer in self.state.layers.items():
            pending = self.pending.get(layer_id, np.zeros(self.count, bool))
            for object_id in layer.objects:
                if target_id := self.state.resolve(object_id):
                    newest = self.newest_layers.get(object_id, np.zeros(self.count, np.int64))
                    changed = newest == layer_id
                    if changed.any():
                        changed &= self._find_changed(layer_id, target_id)
                    outdated[target_id] |= (pending & (np.abs(newest) <= layer_id)) | changed
        for index in self.drawn_frames:
            for object_id in self.drawn_masks(index):
                outdated[object_id][index] = False
        return outdated

    def list_outdated(self, first: int = 0, last: int | None = None) -> list[FrameRange]:
        """Return the first and last frame of each run of outdated frames in a range, which includes ``last``."""
        outdated = np.any([np.zeros(self.count, bool), *self.outdated.values()], axis=0)
        outdated[:first] = False
        outdated[self.count if last is None else last + 1 :] = False
        return find_runs(outdated)

    def _find_changed(self, layer_id: int, object_id: int) -> np.ndarray:
        """Flag the frames before or after which a drawn mask, from which a layer was tracked, has changed, N bool."""
        layer, step = self.state.layers[layer_id], self._log.layer_steps[layer_id]
        new_masks = self.find_drawn_masks(object_id)
        old_masks = self.find_drawn_masks(object_id, self._log.state(step))
        frames, index = sorted({*new_masks, *old_masks}), np.arange(self.count)
        differs = [new_masks.get(frame) != old_masks.get(frame) for frame in frames]
        changed = np.array([False, *differs, False])
        before = changed[np.searchsorted(frames, index, "right")]
        after = changed[np.searchsorted(frames, index, "left") + 1]
        references = layer.reference_frame, *layer.drawn_frames
        return ((index >= min(references)) & before) | ((index < max(references)) & after)

    # Timeline

    @property
    def timeline(self) -> dict[int, str]:
        """Marks of each object, one character a frame. `find_lost` decides on which frames it is lost."""
        marks, unknown = self._mark_frames(self.annotated_frames), dict.fromkeys(self.objects, UNKNOWN)
        frames = [marks.get(index, unknown) for index in range(self.count)]
        return {object_id: "".join(frame[object_id] for frame in frames) for object_id in self.objects}

    def mark_frame(self, index: int) -> dict[int, str]:
        """Return the mark of each object on one frame."""
        place, reach = bisect_left(self.annotated_frames, index), internal.LostObjects.FRAMES
        near = self.annotated_frames[max(0, place + 1 - reach) : place + reach]
        return self._mark_frames(near).get(index, dict.fromkeys(self.objects, UNKNOWN))

    def _mark_frames(self, frames: Sequence[int]) -> dict[int, dict[int, str]]:
        """Return the marks of all objects on some annotated frames that follow each other."""
        rows: dict[int, dict[int, str]] = {}
        seen: dict[int, dict[int, bool]] = {object_id: {} for object_id in self.objects}
        for index in frames:
            marks = rows[index] = dict.fromkeys(self.objects, UNKNOWN)
            drawn_masks = self.drawn_masks(index)
            scores = self.scores(index) if self.list_shown_layers(index) else {}  # drawn masks need none
            for object_id, score in scores.items():
                marks[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
            marks |= {key: DRAWN if digest else DRAWN_ABSENT for key, digest in drawn_masks.items()}
            for key in marks:
                seen[key][index] = key in drawn_masks or key not in scores or scores[key].visible
        for object_id, seen_on in seen.items():
            for index in chain.from_iterable(find_lost(seen_on)):
                rows[index][object_id] = LOST
        return rows


def find_runs(flags: np.ndarray) -> list[FrameRange]:
    """Return the first and last index of each run of true values of N bool."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2)]
