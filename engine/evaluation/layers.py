"""Objects that lie on one another, tracked apart, where a benchmark has each object by itself (SA-V).

A mask of ids gives a pixel to one object, and so does a tracker. So objects that lie on one another on the frame on
which the later one begins go into different layers, and each layer is a tracker of its own.
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
"""part of the smaller of two objects that both may have: outlines of objects that touch share pixels"""


@dataclass
class _Layer:
    """A tracker, and the H×W ids that it found on the last frame."""

    tracker: BenchmarkTracker
    labels: np.ndarray | None = None
    ids: set[int] = field(default_factory=set)


class Layers:
    """Tracks objects that may overlap through one video; objects that do not are tracked together."""

    def __init__(self, tracker: BenchmarkTracker, length: int | None = None) -> None:
        """``tracker`` is reset, and has the first layer; fresh trackers of its model have the others."""
        self._length = length
        tracker.reset(length)
        self._layers = [_Layer(tracker)]

    @property
    def count(self) -> int:
        """How many layers there are."""
        return len(self._layers)

    def step(
        self, frame: np.ndarray, given: Mapping[int, np.ndarray], *, size: Size
    ) -> dict[int, np.ndarray]:
        """Masks H×W bool of all objects on the next frame, by id.

        Args:
            frame: H×W×3 uint8 RGB.
            given: H×W bool masks of the objects that begin here.
            size: (height, width) of the masks returned.

        Raises:
            InputError: as `Tracker.step`.
        """
        shares: dict[int, dict[int, np.ndarray]] = {}
        for identity, mask in sorted(given.items()):
            number = self._place(mask, shares)
            shares.setdefault(number, {})[identity] = mask
            self._layers[number].ids.add(identity)
        found: dict[int, np.ndarray] = {}
        for number, layer in enumerate(self._layers):
            begins = labels_of(shares[number]) if number in shares else None
            layer.labels = layer.tracker.step(frame, begins, size=size).labels
            found |= {identity: layer.labels == identity for identity in layer.ids}
        return found | {identity: resize_labels(mask, size) for identity, mask in given.items()}

    def _place(self, mask: np.ndarray, shares: Mapping[int, Mapping[int, np.ndarray]]) -> int:
        """Number of the first layer in which an object lies on no other; a new one where there is none."""
        for number, layer in enumerate(self._layers):
            others = list(shares.get(number, {}).values())
            if layer.labels is not None:
                before = resize_labels(layer.labels, (mask.shape[0], mask.shape[1]))
                others += [before == identity for identity in layer.ids - set(shares.get(number, {}))]
            if not any(_overlap(mask, other) for other in others):
                return number
        other = self._layers[0].tracker.fresh()
        other.reset(self._length)
        self._layers.append(_Layer(other))
        return len(self._layers) - 1


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two H×W bool masks share more than their edges."""
    smaller = min(np.count_nonzero(first), np.count_nonzero(second))
    return bool(np.count_nonzero(first & second) > EDGE * smaller)
