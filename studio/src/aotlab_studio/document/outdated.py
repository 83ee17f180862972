"""Frames of a snapshot that still have to be tracked, and those that should be tracked again."""

from __future__ import annotations

import numpy as np

from aotlab_studio.document.log import Changes, FrameRange, State
from aotlab_studio.document.snapshot import Snapshot, find_runs


def find_pending_frames(snapshot: Snapshot, layer_id: int) -> np.ndarray:
    """Return flags of the frames that a layer still has to track, N bool.

    Newer tracking of all its objects replaces it, but background corrections never replace tracking that a person has
    started.
    """
    flags, layers = np.zeros(snapshot.count, bool), snapshot.state.layers
    layer, tracked = layers[layer_id], snapshot.tracked_masks.layer(layer_id)
    object_ids = {key for key in layer.objects if snapshot.state.resolve(key)}
    if tracked.finished or not object_ids:
        return flags
    flags[layer.frames_to_track] = True
    flags[[*tracked.frames, *snapshot.frozen_frames]] = False
    for key, newer in reversed(layers.items()):
        if key <= layer_id or not flags.any():
            break
        replaces = newer.kind != "correction" or layer.kind == "correction"
        if replaces and object_ids.issubset(newer.objects):
            flags[newer.first : newer.last + 1] = False
    return flags


def can_track(snapshot: Snapshot, layer_id: int) -> bool:
    """Return whether a layer is pending and has no locked object."""
    layer = snapshot.state.layers.get(layer_id)
    is_free = layer is not None and {*snapshot.locked_ids}.isdisjoint(map(snapshot.state.resolve, layer.objects))
    return is_free and bool(find_pending_frames(snapshot, layer_id).any())


def list_corrections(snapshot: Snapshot) -> list[int]:
    """Return the corrections that can be tracked now, oldest first; those of locked objects have to wait."""
    corrections = [key for key, layer in snapshot.state.layers.items() if layer.kind == "correction"]
    return [key for key in corrections if can_track(snapshot, key)]


def find_unused_corrections(before: Snapshot, after: Snapshot) -> list[int]:
    """Return the corrections that neither show before an edit of drawn masks nor are pending after it."""
    layers = after.state.layers
    # as if no frame was frozen, so that ending that makes the same layers pending as without the removal
    after = after.with_changes(Changes(frozen=dict.fromkeys(after.state.frozen)))
    shown = {key for newest in before.newest_layers.values() for key in np.unique(newest.layer_ids).tolist()}
    pending = {key: find_pending_frames(after, key) for key in layers}
    unused = [
        key
        for key, layer in layers.items()
        if layer.kind == "correction" and key not in shown and not pending[key].any()
    ]
    without = after.with_changes(Changes(layers=dict.fromkeys(unused)))
    # a newer correction may keep an older one from being tracked
    is_same = all((find_pending_frames(without, key) == pending[key]).all() for key in without.state.layers)
    return unused if is_same else []


def find_outdated(snapshot: Snapshot) -> dict[int, np.ndarray]:
    """Return the frames of each object that should be tracked again, N bool, by object id.

    Its mask is tracked from a drawn mask that has changed since, or the frame is pending in a layer newer than the
    mask. Frames that are frozen, or on which the object is drawn, are never outdated.
    """
    outdated = {object_id: np.zeros(snapshot.count, bool) for object_id in snapshot.objects}
    for layer_id, layer in snapshot.state.layers.items():
        pending = find_pending_frames(snapshot, layer_id)
        for object_id in layer.objects:
            if target_id := snapshot.state.resolve(object_id):
                newest = snapshot.newest_layers[object_id]
                shown = newest.present & (newest.layer_ids == layer_id)
                outdated[target_id] |= pending & (newest.layer_ids <= layer_id)
                if shown.any():
                    outdated[target_id] |= shown & find_changed_frames(snapshot, layer_id, target_id)
    for index in snapshot.drawn_frames:
        for object_id in snapshot.drawn_masks(index):
            outdated[object_id][index] = False
    for flags in outdated.values():
        flags[snapshot.frozen_frames] = False
    return outdated


def list_outdated(snapshot: Snapshot, first: int = 0, last: int | None = None) -> list[FrameRange]:
    """Return the first and last frame of each run of outdated frames in a range, which includes ``last``."""
    outdated = np.any([np.zeros(snapshot.count, bool), *find_outdated(snapshot).values()], axis=0)
    outdated[:first] = False
    outdated[snapshot.count if last is None else last + 1 :] = False
    return find_runs(outdated)


def find_changed_frames(snapshot: Snapshot, layer_id: int, object_id: int) -> np.ndarray:
    """Return flags of the frames that a layer tracks from a drawn mask of an object that has changed since, N bool."""
    layer, log = snapshot.state.layers[layer_id], snapshot.log
    then = _draw_frozen_masks(log.state(log.layer_steps[layer_id]), snapshot.state)
    new_masks, old_masks = (snapshot.find_drawn_masks(object_id, state, layer) for state in (snapshot.state, then))
    references = layer.reference_frame, *layer.drawn_frames
    flags = np.zeros(snapshot.count, bool)
    frames = [-1, *sorted({*new_masks, *old_masks}), snapshot.count]
    for previous, frame, following in zip(frames, frames[1:], frames[2:], strict=False):
        if new_masks.get(frame) != old_masks.get(frame):
            flags[previous + 1 : min(frame + 1, max(references))] = True  # tracked from this or a later reference
            flags[max(frame, min(references)) : following] = True  # tracked from this or an earlier one
    return flags


def _draw_frozen_masks(then: State, now: State) -> State:
    """Return an earlier state with the masks that freezing has drawn since: they are the tracked ones, no change."""
    drawn_masks, frozen_ids = {}, set[int]()
    for frame, item in now.frozen.items():
        new, old = now.drawn_masks.get(frame, {}), then.drawn_masks.get(frame, {})
        same = {key: digest for key, digest in item.tracked.items() if new.get(key) == digest and not old.get(key)}
        drawn_masks[frame] = {**old, **same}
        frozen_ids.update(same)
    # the masks may be those of an object that has been added since, and others merged into it
    objects = {key: now.objects[key] for key in frozen_ids & now.objects.keys()}
    return then.apply(Changes(objects=objects, drawn_masks=drawn_masks))
