"""Overlapping objects, tracked separately (SA-V).

An id map assigns a pixel to one object, and so does a tracker. Objects that overlap on the first frame of the later one
therefore go to different layers, each with a separate tracker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aotlab.engine.evaluation.resizing import resize_labels
from aotlab.masks.object_masks import labels_of

if TYPE_CHECKING:
    from aotlab.engine.inputs import Size
    from aotlab.engine.interface import BenchmarkTracker

EDGE = 0.05
"""allowed overlap as a fraction of the smaller object; outlines of touching objects share pixels"""


@dataclass
class _Layer:
    """A tracker with its H×W ids of the last frame."""

    tracker: BenchmarkTracker
    labels: np.ndarray | None = None
    ids: set[int] = field(default_factory=set)


class Layers:
    """Tracking of overlapping objects; objects that do not overlap share a layer."""

    def __init__(self, tracker: BenchmarkTracker, length: int | None = None) -> None:
        """Reset ``tracker`` for the first layer; other layers use fresh trackers of its model."""
        self._length = length
        tracker.reset(length)
        self._layers = [_Layer(tracker)]

    @property
    def count(self) -> int:
        """Number of layers."""
        return len(self._layers)

    def step(
        self, frame: np.ndarray, given: Mapping[int, np.ndarray], *, size: Size
    ) -> dict[int, np.ndarray]:
        """Track to the next frame; return H×W bool masks of all objects by id.

        Args:
            frame: H×W×3 uint8 RGB.
            given: H×W bool masks of new objects by id.
            size: (height, width) of the masks returned.

        Raises:
            InputError: as `Tracker.step`.
        """
        shares: dict[int, dict[int, np.ndarray]] = {}
        for object_id, mask in sorted(given.items()):
            number = self._place(mask, shares)
            shares.setdefault(number, {})[object_id] = mask
            self._layers[number].ids.add(object_id)
        found: dict[int, np.ndarray] = {}
        for number, layer in enumerate(self._layers):
            begins = labels_of(shares[number]) if number in shares else None
            layer.labels = layer.tracker.step(frame, begins, size=size).labels
            found |= {object_id: layer.labels == object_id for object_id in layer.ids}
        return found | {object_id: resize_labels(mask, size) for object_id, mask in given.items()}

    def _place(self, mask: np.ndarray, shares: Mapping[int, Mapping[int, np.ndarray]]) -> int:
        """Return the index of the first layer without overlap, or of a new one."""
        for number, layer in enumerate(self._layers):
            others = list(shares.get(number, {}).values())
            if layer.labels is not None:
                before = resize_labels(layer.labels, (mask.shape[0], mask.shape[1]))
                others += [before == object_id for object_id in layer.ids - set(shares.get(number, {}))]
            if not any(_overlap(mask, other) for other in others):
                return number
        other = self._layers[0].tracker.fresh()
        other.reset(self._length)
        self._layers.append(_Layer(other))
        return len(self._layers) - 1


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two H×W bool masks overlap by more than their edges."""
    smaller = min(np.count_nonzero(first), np.count_nonzero(second))
    return bool(np.count_nonzero(first & second) > EDGE * smaller)
