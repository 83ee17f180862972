"""Objects, masks and scores that a document shows at a step of its log. Read-only, without a lock.

On each frame, an object shows its drawn mask; if that is empty, the object is absent. An object without a drawn mask
shows its mask in the newest layer that has tracked it on the frame.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

import aotlab_video
from aotlab import InputError
from aotlab_studio.document.log import Changes, FrameRange, Layer, Log, State, digest_values
from aotlab_studio.document.masks import LayerFrame, MaskStore, TrackedMaskStore
from aotlab_studio.document.objects import ObjectInfo
from aotlab_studio.document.scores import Score, clip_scores, measure_scores
from aotlab_studio.utils.video import require_frame


class NewestLayers(NamedTuple):
    """The newest layer with a result of an object on each frame. An empty layer has the result that it is absent."""

    layer_ids: np.ndarray  # N int64; 0 without a result
    present: np.ndarray  # N bool; False if the object is absent


class ShownLayer(NamedTuple):
    """A layer that shows on a frame."""

    layer_id: int
    description: LayerFrame
    object_ids: list[int]
    """Ids in the layer of the objects that it shows; `State.resolve` returns their ids after merges."""


class Snapshot:
    """State of the document after a step of its log, as the page shows it; empty after step 0.

    Tracked masks are read when they are needed. Later tracking does not change a frame that was read before.
    """

    def __init__(self, log: Log, step: int, state: State, masks: MaskStore, tracked_masks: TrackedMaskStore) -> None:
        self.step, self.state = step, state
        self.objects = state.objects  # by id, without deleted ones, oldest first
        self.count, self.size = tracked_masks.count, masks.size
        self.log, self._masks, self.tracked_masks = log, masks, tracked_masks
        self._shown_layers: dict[int, list[ShownLayer]] = {}

    def with_changes(self, changes: Changes) -> Snapshot:
        return Snapshot(self.log, self.step, self.state.apply(changes), self._masks, self.tracked_masks)

    def at_step(self, step: int) -> Snapshot:
        """Return the state after another step; raise `InputError` for an unknown one."""
        if step and step not in self.log.steps:
            raise InputError(f"step {step}: no such step; choose one of the history")
        return Snapshot(self.log, step, self.log.state(step), self._masks, self.tracked_masks)

    @property
    def locked_ids(self) -> list[int]:
        return [item.id for item in self.objects.values() if item.locked]

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

    def describe_objects(self) -> tuple[dict[int, str], aotlab_video.AttributeTable]:
        """Return class names by object, and attributes by object and frame. A given name is the attribute ``name``."""
        table: aotlab_video.AttributeTable = {}
        for item in self.objects.values():
            attributes = {**self.state.attributes.get(item.id, {})}
            if item.name not in (item.class_name, f"object {item.id}"):
                attributes = {
                    frame: {"name": item.name, **attributes.get(frame, {})} for frame in {0: None} | attributes
                }
            if attributes:
                table[item.id] = attributes
        return {item.id: item.class_name for item in self.objects.values() if item.class_name}, table

    # Masks

    def drawn_masks(self, index: int) -> dict[int, str]:
        """Return the digests of a frame's drawn masks by object; an empty digest means that the object is absent."""
        return {key: digest for key, digest in self.state.drawn_masks.get(index, {}).items() if key in self.objects}

    @cached_property
    def drawn_frames(self) -> list[int]:
        return [index for index in self.state.drawn_masks if self.drawn_masks(index)]

    @cached_property
    def sources(self) -> dict[int, dict[int, str]]:
        """Digests of the drawn masks that tracking may start from, by object and frame; absent objects are left out."""
        sources = dict[int, dict[int, str]]()
        for frame, masks in self.state.drawn_masks.items():
            for key, digest in masks.items():
                if digest and key in self.objects:
                    sources.setdefault(key, {})[frame] = digest
        return sources

    def with_sources(self, layer: Layer) -> Layer:
        """Return a layer with the drawn masks of all objects on its frames, and the nearest one on each side.

        Those of objects that are not its own count after a merge.
        """
        if layer.sources is not None:
            return layer
        return structs.replace(layer, sources={key: select_near(masks, layer) for key, masks in self.sources.items()})

    def find_changed_frames(self, layer_id: int, object_id: int) -> np.ndarray:
        """Flag the frames that a layer tracks from a drawn mask of an object that has changed since, N bool."""
        layer = self.state.layers[layer_id]
        before, now = (select_near(self.find_sources(object_id, each), layer) for each in (layer.sources or {}, None))
        flags = np.zeros(self.count, bool)
        if before != now:
            references = layer.reference_frame, *layer.drawn_frames
            frames = [-1, *sorted({*now, *before}), self.count]
            for previous, frame, following in zip(frames, frames[1:], frames[2:], strict=False):
                if now.get(frame) != before.get(frame):
                    flags[previous + 1 : min(frame + 1, max(references))] = True  # tracked from this or a later one
                    flags[max(frame, min(references)) : following] = True  # tracked from this or an earlier one
        return flags

    def find_sources(self, object_id: int, sources: Mapping[int, Mapping[int, str]] | None = None) -> dict[int, str]:
        """Return the sources of an object by frame, in order, with the pixels of objects that were merged into it.

        ``sources``: those of another snapshot or of a layer; None: of this one.
        """
        by_frame = dict[int, list[str]]()
        for key in self.expand_merged_ids([object_id]):
            for frame, digest in (self.sources if sources is None else sources).get(key, {}).items():
                by_frame.setdefault(frame, []).append(digest)
        return {frame: self._masks.digest_of_union(by_frame[frame]) for frame in sorted(by_frame)}

    @cached_property
    def waiting(self) -> dict[int, dict[int, np.ndarray]]:
        """Flags of the frames that layers still have to track, N bool, by layer and object of the layer.

        Newer layers of an object replace older ones.
        """
        waiting, replaced = dict[int, dict[int, np.ndarray]](), dict[int, np.ndarray]()
        for layer_id, layer in reversed(self.state.layers.items()):
            object_ids = [key for key in layer.objects if self.state.resolve(key)]
            tracked = self.tracked_masks.layer(layer_id)
            if object_ids and not tracked.finished and layer.kind not in ("empty", "reshape"):
                frames = np.zeros(self.count, bool)
                frames[layer.first : layer.last + 1] = True
                frames[[*tracked.frames, *self.checked_frames]] = False
                frames[layer.reference_frame] &= layer.tracks_reference
                flags = {key: frames & ~replaced[key] if key in replaced else frames for key in object_ids}
                if flags := {key: each for key, each in flags.items() if each.any()}:
                    waiting[layer_id] = flags
            for key in object_ids:
                covered = tracked.frames if layer.kind == "reshape" else range(layer.first, layer.last + 1)
                replaced.setdefault(key, np.zeros(self.count, bool))[[*covered]] = True
        return dict(reversed(waiting.items()))

    def expand_merged_ids(self, object_ids: Collection[int]) -> list[int]:
        """Return the ids of objects, and of all objects that were merged into them: layers use both."""
        return sorted({*object_ids, *(key for key in self.state.merged if self.state.resolve(key) in object_ids)})

    @cached_property
    def newest_layers(self) -> dict[int, NewestLayers]:
        """Newest layers of the objects of all layers, except deleted ones, by object id in layers."""
        newest: dict[int, NewestLayers] = {}
        for layer_id, layer in self.state.layers.items():
            for object_id in {*layer.objects, *self.tracked_masks.layer(layer_id).presence}:
                if object_id not in newest:
                    newest[object_id] = NewestLayers(np.zeros(self.count, np.int64), np.zeros(self.count, bool))
                self._show_newer(newest[object_id], object_id, layer_id, slice(layer.first, layer.last + 1))
        return {key: newest[key] for key in sorted(newest) if self.state.resolve(key)}

    def _show_newer(self, newest: NewestLayers, object_id: int, layer_id: int, frames: slice) -> None:
        """Show the results of a layer for an object where no newer layer has one."""
        unknown = np.full(self.count, -1 if self.state.layers[layer_id].kind == "empty" else 0, np.int8)
        # a copy, which tracking does not change meanwhile
        results = self.tracked_masks.layer(layer_id).presence.get(object_id, unknown)[frames].copy()
        shown = (results != 0) & (newest.layer_ids[frames] <= layer_id)
        np.copyto(newest.layer_ids[frames], layer_id, where=shown)
        np.copyto(newest.present[frames], results > 0, where=shown)

    def with_tracked_frame(self, layer_id: int, index: int) -> Snapshot:
        """Return the snapshot after the first masks of a layer on a frame were stored; no other layer is read."""
        after = self.with_changes(Changes())
        after.newest_layers = {**self.newest_layers}
        for object_id in after.newest_layers.keys() & self.state.layers[layer_id].objects:
            copied = NewestLayers(*(values.copy() for values in self.newest_layers[object_id]))
            self._show_newer(copied, object_id, layer_id, slice(index, index + 1))
            after.newest_layers[object_id] = copied
        after.waiting = {**self.waiting}
        if layer_id in after.waiting:
            left = {key: flags & (np.arange(self.count) != index) for key, flags in self.waiting[layer_id].items()}
            after.waiting[layer_id] = {key: flags for key, flags in left.items() if flags.any()}
            if not after.waiting[layer_id]:
                del after.waiting[layer_id]
        return after

    def flag_tracked(self, layer_objects: Collection[int] | None = None) -> np.ndarray:
        """Flag the frames with tracked masks, N bool, of the objects with these ids in layers; None: of all objects."""
        newest = self.newest_layers
        chosen = newest if layer_objects is None else newest.keys() & layer_objects
        return np.any([np.zeros(self.count, bool), *(newest[key].present for key in chosen)], axis=0)

    @cached_property
    def annotated_frames(self) -> list[int]:
        """Frames with drawn or tracked masks."""
        flags = self.flag_tracked()
        flags[self.drawn_frames] = True
        return np.flatnonzero(flags).tolist()

    def list_shown_layers(self, index: int) -> list[ShownLayer]:
        """Return the layers that show on a frame, oldest first, each with its objects without a drawn mask."""
        if index not in self._shown_layers:
            layers, drawn_masks = dict[int, list[int]](), self.drawn_masks(index)
            for object_id, newest in self.newest_layers.items():
                if newest.present[index] and self.state.resolve(object_id) not in drawn_masks:
                    layers.setdefault(int(newest.layer_ids[index]), []).append(object_id)
            self._shown_layers[index] = [
                ShownLayer(key, self.tracked_masks.layer(key).frames[index], ids) for key, ids in sorted(layers.items())
            ]
        return self._shown_layers[index]

    def labels(self, index: int) -> np.ndarray:
        """Return the masks of a frame, H×W uint16 ids; raise `InputError` for an unknown frame or a damaged mask."""
        require_frame(index, self.count)
        labels, drawn_labels = np.zeros(self.size, np.uint16), self.drawn_labels(index)
        for shown in self.list_shown_layers(index):
            ids = self.tracked_masks.read(shown.description)
            table = np.zeros(max(int(ids.max()), *shown.object_ids) + 1, np.uint16)
            table[shown.object_ids] = [self.state.resolve(object_id) for object_id in shown.object_ids]
            layer_labels = table[ids]
            labels = np.where(layer_labels > 0, layer_labels, labels)
        return np.where(drawn_labels > 0, drawn_labels, labels)

    def drawn_labels(self, index: int) -> np.ndarray:
        """Return the drawn masks of a frame, H×W uint16 ids; raise `InputError` for a damaged one."""
        labels = np.zeros(self.size, np.uint16)
        for object_id, digest in self.drawn_masks(index).items():
            try:
                labels[self._masks.read(digest)] = object_id
            except InputError as error:
                raise InputError(f"frame {index}, {self.objects[object_id].name}: {error}") from error
        return labels

    def scores(self, index: int) -> dict[int, Score]:
        """Return the scores of the visible masks of a frame, by object. A drawn mask has confidence 1, an empty one 0.

        Areas and centers are those of the visible pixels. The other scores of a merged object are those of its largest
        mask.
        """
        drawn_masks, shown_layers = self.drawn_masks(index), self.list_shown_layers(index)
        tracked = [
            (self.state.resolve(key), shown.description.scores[key])
            for shown in shown_layers
            for key in shown.object_ids
            if key in shown.description.scores
        ]
        largest = dict(sorted(tracked, key=lambda item: item[1].area))
        if not drawn_masks and len(shown_layers) < 2 and len(largest) == len(tracked):
            return largest

        def measure() -> dict[int, Score]:
            labels = self.labels(index)
            return clip_scores(largest, labels) | measure_scores(labels, drawn_masks)

        with suppress(InputError):  # a damaged mask, which is reported when the frame is shown
            return self.tracked_masks.read_scores(digest_values(self.digest_frame(index), largest), measure)
        return largest

    # Content

    @cached_property
    def masks_digest(self) -> str:
        """Digest of the visible drawn masks, and of the layers that show elsewhere. It reads no pixels."""
        return digest_values(*map(self.digest_frame, self.annotated_frames))

    @cached_property
    def objects_digest(self) -> str:
        """Digest of the names, classes and attributes that exports contain."""
        objects, state = self.objects, self.state
        items = [(item.id, item.name, item.class_name) for item in objects.values()]
        attributes = {key: values for key, values in state.attributes.items() if key in objects}
        return digest_values(items, state.classes, attributes)

    @property
    def content_digest(self) -> str:
        """Digest of masks and objects."""
        return digest_values(self.masks_digest, self.objects_digest)

    def digest_frame(self, index: int) -> str:
        """Return a digest of the visible masks of a frame."""
        layers = [
            (shown.description.digest, [(key, self.state.resolve(key)) for key in shown.object_ids])
            for shown in self.list_shown_layers(index)
        ]
        return digest_values(index, sorted(self.drawn_masks(index).items()), layers)

    @cached_property
    def checked_frames(self) -> list[int]:
        """Frames that are marked as checked, and whose masks are not lost, for example with an old backup."""
        return [*filter(self.is_checked, self.state.checked)]

    def is_checked(self, index: int) -> bool:
        return self.state.checked.get(index) == self.digest_frame(index)

    def list_models(self) -> list[dict[str, Any]]:
        """Return layers with their `LayerFrame.model` and the frames that show them, oldest first, for JSON."""
        flags: dict[tuple[int, str], np.ndarray] = {}
        for index in self.annotated_frames:
            for shown in self.list_shown_layers(index):
                flags.setdefault((shown.layer_id, shown.description.model), np.zeros(self.count, bool))[index] = True
        return [{"layer": key, "model": model, "frames": find_runs(flags[key, model])} for key, model in sorted(flags)]


def select_near(masks: Mapping[int, str], layer: Layer) -> dict[int, str]:
    """Return the masks by frame, in order, on the frames of a layer, and the nearest one on each side."""
    frames = [*masks]
    start, end = bisect_left(frames, layer.first), bisect_right(frames, layer.last)
    return {frame: masks[frame] for frame in frames[max(0, start - 1) : end + 1]}


def find_runs(flags: np.ndarray) -> list[FrameRange]:
    """Return the first and last index of each run of true values of N bool."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2)]
