"""Frames of a video that are left to track."""

from __future__ import annotations

import numpy as np

from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import find_outdated


def flag_left_frames(snapshot: Snapshot) -> np.ndarray:
    """Flag the frames that can be changed and are outdated, or neither drawn nor tracked, N bool."""
    first, last = snapshot.editable_range
    empty = [key for key, layer in snapshot.state.layers.items() if layer.kind == "empty"]
    left = np.ones(snapshot.count, bool)
    for newest in snapshot.newest_layers.values():
        left &= np.isin(newest.layer_ids, [0, *empty])
    left[snapshot.drawn_frames] = False
    for outdated in find_outdated(snapshot).values():
        left |= outdated
    left[:first] = left[last + 1 :] = False
    return left


def describe_gaps(snapshot: Snapshot) -> str:
    """Return how many frames are left to track; empty for none, or without an object."""
    count = int(flag_left_frames(snapshot).sum()) if snapshot.objects else 0
    first, last = snapshot.editable_range
    return f"{count} of {last + 1 - first} frames {'is' if count == 1 else 'are'} left to track" if count else ""
