"""Overlapping objects, tracked separately.

A tracker assigns each pixel to one object. Each layer has a tracker; a new object joins the first layer in which it
overlaps neither the other new objects nor the masks of the previous frame, except at edges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from aotlab.dataloaders.object_masks import merge_object_masks
from aotlab.engine.tracking.inputs import ImageSize
from aotlab.engine.tracking.interfaces import VideoTracker
from aotlab.engine.tracking.prediction import Prediction
from aotlab.utils.errors import require

EDGE_FRACTION = 0.05
"""Allowed overlap as a fraction of the smaller object; outlines of touching objects share pixels."""


@dataclass
class _Layer:
    """A tracker with its prediction of the last frame."""

    tracker: VideoTracker
    prediction: Prediction | None = None
    ids: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class OverlapPrediction:
    """Masks of one frame, which may overlap."""

    layers: Sequence[tuple[Prediction, frozenset[int]]]
    """Prediction and object ids of each layer."""
    new_masks: Mapping[int, np.ndarray]
    """H×W bool masks of the objects that begin on this frame, by id."""
    size: ImageSize

    def start_host_copy(self) -> None:
        """Start the copies of a GPU's channels, as `Prediction.start_host_copy`."""
        for prediction, _ in self.layers:
            prediction.start_host_copy()

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of all objects, ascending."""
        return tuple(sorted(self.masks))

    @property
    def objects(self) -> np.ndarray:
        """n×H×W bool masks of the objects in the order of `ids`; waits for the device."""
        return np.stack([self.masks[key] for key in self.ids]) if self.masks else np.zeros((0, *self.size), bool)

    @cached_property
    def masks(self) -> dict[int, np.ndarray]:
        """H×W bool masks of all objects by id; waits for the device."""
        pairs = ((prediction, object_id) for prediction, ids in self.layers for object_id in ids)
        tracked = {object_id: prediction.labels == object_id for prediction, object_id in pairs}
        return {**tracked, **self.new_masks}

    @cached_property
    def labels(self) -> np.ndarray:
        """H×W ids, smaller objects on top of larger ones; waits for the device."""
        return merge_object_masks(self.masks) if self.masks else np.zeros(self.size, np.uint8)


class OverlapTracker:
    """Tracking of objects that may overlap; those that do not share a layer, whose time is that of one tracker.

    >>> tracker = OverlapTracker(Tracker.from_pretrained())
    >>> tracker.step(frames[0], masks)  # n×H×W bool: objects 1 to n
    >>> objects = tracker.step(frames[1]).objects  # n×H×W bool
    """

    def __init__(self, tracker: VideoTracker, length: int | None = None) -> None:
        """Reset ``tracker`` for the first layer; other layers use fresh trackers of its model."""
        self._length = length
        tracker.reset(length)
        self.layers = [_Layer(tracker)]

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects, ascending."""
        return tuple(sorted(set[int]().union(*(layer.ids for layer in self.layers))))

    def step(
        self, frame: np.ndarray, new_masks: Mapping[int, np.ndarray] | np.ndarray | None = None
    ) -> OverlapPrediction:
        """Track all objects to the next frame.

        Args:
            frame: H×W×3 uint8 RGB.
            new_masks: H×W bool masks of new objects by id, or n×H×W with the next free ids from 1.

        Raises:
            InputError: unusable input, or an object is tracked already.
        """
        new_masks = self._number_masks(new_masks, frame.shape[:2])
        masks_by_layer: defaultdict[int, dict[int, np.ndarray]] = defaultdict(dict)
        for object_id, mask in sorted(new_masks.items()):
            layer_index = self._place(mask, masks_by_layer)
            masks_by_layer[layer_index][object_id] = mask
            self.layers[layer_index].ids.add(object_id)
        predictions = []
        for layer_index, layer in enumerate(self.layers):
            layer_masks = masks_by_layer[layer_index]
            new_labels = merge_object_masks(layer_masks) if layer_masks else None
            layer.prediction = layer.tracker.step(frame, new_labels)
            predictions.append((layer.prediction, frozenset(layer.ids)))
        return OverlapPrediction(predictions, new_masks, (frame.shape[0], frame.shape[1]))

    def _number_masks(
        self, masks: Mapping[int, np.ndarray] | np.ndarray | None, size: Sequence[int]
    ) -> Mapping[int, np.ndarray]:
        """Return checked masks by id."""
        if masks is None or isinstance(masks, Mapping):
            numbered = dict(masks or {})
        else:
            numbered = dict(enumerate(masks, start=max(self.ids, default=0) + 1))
        for object_id, mask in numbered.items():
            subject = f"mask of object {object_id}"
            is_mask = mask.dtype == bool and mask.shape == tuple(size) and mask.any()
            require(is_mask, f"expected H×W bool of {size[1]}×{size[0]} with pixels", subject=subject)
            require(object_id not in self.ids, "tracked already", subject=subject, remedy="give another id")
        return numbered

    def _place(self, mask: np.ndarray, masks_by_layer: defaultdict[int, dict[int, np.ndarray]]) -> int:
        """Return the index of the first layer without overlap, or of a new one."""
        for index, layer in enumerate(self.layers):
            layer_masks = list(masks_by_layer[index].values())
            if layer.prediction is not None:
                tracked_ids = layer.ids - masks_by_layer[index].keys()
                layer_masks += [layer.prediction.labels == object_id for object_id in tracked_ids]
            if not any(_masks_overlap(mask, other) for other in layer_masks):
                return index
        tracker = self.layers[0].tracker.fresh()
        tracker.reset(self._length)
        self.layers.append(_Layer(tracker))
        return len(self.layers) - 1


def _masks_overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two H×W bool masks overlap by more than their edges."""
    smaller = min(np.count_nonzero(first), np.count_nonzero(second))
    return bool(np.count_nonzero(first & second) > EDGE_FRACTION * smaller)
