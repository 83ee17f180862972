"""Pairs of trackers with the same weights: aotlab's and the authors'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aotlab import Prediction, Tracker, VideoTracker
from aotlab.configs.load import load_config
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.checkpoints import build_or_load
from aotlab.networks.weights.zoo import resolve_checkpoint
from aotlab_trackers.authors import AuthorsTracker, build_network, copy_weights

PLAIN = ("compute.precision=float32", "rules.cuts=false", "input.min_short_edge=null", "input.min_object=null")
"""Settings without what the authors' code does not have."""
BUNDLED = "bundled"
"""Name of the bundled model, which has the network of `BUNDLED_PRESET`."""
BUNDLED_PRESET = "aott"


def load_model(name: str) -> tuple[VOSModel, str]:
    """Return aotlab's model and its preset: with fixed random weights, or the bundled one."""
    if name == BUNDLED:
        return build_or_load(resolve_checkpoint(BUNDLED))[0], BUNDLED_PRESET
    return build_or_load(None, config=name)[0], name


def build_pair(name: str, memory_every: int | None = None) -> tuple[Tracker, AuthorsTracker]:
    """Return both trackers of a preset or the bundled model on the CPU, with the memory of the paper.

    ``memory_every``: interval of the frames in long-term memory; None: that of the authors' configuration.
    """
    model, preset = load_model(name)
    network = build_network(preset)
    copy_weights(network, model)
    authors = AuthorsTracker(network, memory_every=memory_every, device="cpu")
    overrides = [*PLAIN, "memory.policy=every_nth", f"memory.every={authors.memory_every}"]
    return Tracker(model, load_config(preset, overrides)), authors


@dataclass(frozen=True)
class Row:
    """Masks that are given to both trackers."""

    title: str
    objects: int
    later: int = 0
    """How many of the objects come later, with a mask of frame `LATER`."""
    memory_every: int | None = None


LATER = 3
"""Frame of the objects that come later."""
ROWS = (
    Row("one object", 1),
    Row("5 objects", 5),
    Row("13 objects", 13),
    Row("2 objects, 1 later", 2, later=1),
    Row("13 objects, 2 later", 13, later=2),
    Row("2 objects, memory every 2 frames", 2, memory_every=2),
)


def split_objects(mask: np.ndarray, count: int) -> np.ndarray:
    """Cut the objects of a mask, H×W, into ``count`` stripes of equal area: H×W uint8 ids from 1."""
    columns = np.flatnonzero(mask.T) // mask.shape[0]
    edges = np.quantile(columns, np.linspace(0, 1, count + 1)[1:-1])
    stripes = 1 + np.searchsorted(edges, np.arange(mask.shape[1]), side="left")
    return np.where(mask > 0, stripes, 0).astype(np.uint8)


def make_masks(row: Row, annotations: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Return the masks of a row by frame."""
    first = row.objects - row.later
    masks = {0: split_objects(annotations[0], row.objects)}
    if row.later:
        later = split_objects(annotations[LATER], row.objects)
        masks = {0: np.where(masks[0] <= first, masks[0], 0), LATER: np.where(later > first, later, 0)}
    return {index: mask.astype(np.uint8) for index, mask in masks.items()}


def track(tracker: VideoTracker, frames: Sequence[np.ndarray], masks: Mapping[int, np.ndarray]) -> list[Prediction]:
    """Track a clip from the first frame on."""
    tracker.reset()
    return [tracker.step(frame, masks.get(index)) for index, frame in enumerate(frames)]
