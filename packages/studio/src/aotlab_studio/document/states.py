"""State of each object on each frame.

| state | an object on a frame |
|---|---|
| drawn | has a drawn mask, or the frame is marked as checked |
| waiting | a layer that is newer than its mask still has to track the frame |
| outdated | its mask was tracked from a drawn mask that has changed since |
| current | shows any other tracked mask |
| unknown | none of these |
"""

from __future__ import annotations

import numpy as np

from aotlab_studio.document.log import FrameRange
from aotlab_studio.document.snapshot import Snapshot, find_runs


def find_outdated(snapshot: Snapshot) -> dict[int, np.ndarray]:
    """Flag the frames of each object that have to be tracked: outdated and waiting ones, N bool, by object id."""
    outdated = {object_id: np.zeros(snapshot.count, bool) for object_id in snapshot.objects}
    for key, newest in snapshot.newest_layers.items():
        object_id = snapshot.state.resolve(key)
        for layer_id in np.unique(newest.layer_ids[newest.present]).tolist():
            changed = snapshot.find_changed_frames(layer_id, object_id)
            outdated[object_id] |= changed & newest.present & (newest.layer_ids == layer_id)
        for layer_id, waiting in snapshot.waiting.items():
            if key in waiting:
                outdated[object_id] |= waiting[key] & (newest.layer_ids <= layer_id)
    for object_id, flags in outdated.items():
        flags[[index for index in snapshot.drawn_frames if object_id in snapshot.drawn_masks(index)]] = False
        flags[snapshot.checked_frames] = False
    return outdated


def list_outdated(snapshot: Snapshot, first: int = 0, last: int | None = None) -> list[FrameRange]:
    """Return the first and last frame of each run of frames to track in a range, which includes ``last``."""
    outdated = np.any([np.zeros(snapshot.count, bool), *find_outdated(snapshot).values()], axis=0)
    outdated[:first] = False
    outdated[snapshot.count if last is None else last + 1 :] = False
    return find_runs(outdated)


def can_track(snapshot: Snapshot, layer_id: int) -> bool:
    """Return whether a layer has frames to track and no locked object."""
    if layer_id not in snapshot.waiting:
        return False
    return {*snapshot.locked_ids}.isdisjoint(map(snapshot.state.resolve, snapshot.state.layers[layer_id].objects))
