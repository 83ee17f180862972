"""Frames of a video without masks, and those that are still to be tracked."""

from __future__ import annotations

import numpy as np

from aotlab import internal
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import list_outdated


def flag_unknown_frames(snapshot: Snapshot) -> np.ndarray:
    """Flag the frames of the range to track that are neither drawn nor tracked, N bool."""
    first, last = snapshot.state.ranges.get("track") or snapshot.editable_range
    empty = [key for key, layer in snapshot.state.layers.items() if layer.kind == "empty"]
    unknown = np.ones(snapshot.count, bool)
    for newest in snapshot.newest_layers.values():
        unknown &= np.isin(newest.layer_ids, [0, *empty])
    unknown[snapshot.drawn_frames] = False
    unknown[:first] = unknown[last + 1 :] = False
    return unknown


def describe_gaps(snapshot: Snapshot) -> str:
    """Return how many frames of the range to track have no masks; empty if all have, or without an object."""
    if not snapshot.objects:
        return ""
    first, last = snapshot.state.ranges.get("track") or snapshot.editable_range
    missing = int(flag_unknown_frames(snapshot).sum())
    verb = "has" if missing == 1 else "have"
    return f"{missing} of {last + 1 - first} frames {verb} no masks" if missing else ""


def describe_outdated(snapshot: Snapshot) -> str:
    """Return how many frames are still to be tracked after changes of drawn masks; empty for none."""
    count = sum(last + 1 - first for first, last in list_outdated(snapshot))
    return f"tracking has not finished: {internal.format_count(count, 'frame')} left" if count else ""
