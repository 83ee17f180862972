"""Overlapping objects, tracked separately.

A tracker assigns each pixel to one object. Each layer has a tracker; a new object joins the first layer in which it
overlaps neither the other new objects nor the masks of the previous frame, except at edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral

import numpy as np

from aotlab.engine.tracking.inputs import ImageSize
from aotlab.engine.tracking.interfaces import VideoTracker
from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.arrays import FrameLike, convert_frame
from aotlab.media.images import to_array
from aotlab.media.masks import merge_object_masks
from aotlab.utils.errors import require
from aotlab.utils.numbers import POSITIVE_COUNT

EDGE_FRACTION = 0.05
"""Allowed overlap as a fraction of the smaller object; outlines of touching objects share pixels."""


@dataclass
class _Layer:
    """A tracker with its prediction of the last frame."""

    tracker: VideoTracker
    prediction: Prediction | None = None
    ids: set[int] = field(default_factory=set)

    def read_masks(self) -> Iterator[np.ndarray]:
        """Yield the H×W bool masks of the objects on the last frame."""
        if self.prediction is not None:
            yield from (self.prediction.labels == object_id for object_id in self.ids)


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
        self._frame_shape: tuple[int, ...] | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects, ascending."""
        return tuple(sorted(set[int]().union(*(layer.ids for layer in self.layers))))

    def step(
        self, frame: FrameLike, new_masks: Mapping[int, np.ndarray] | np.ndarray | None = None
    ) -> OverlapPrediction:
        """Track all objects to the next frame.

        Args:
            frame: H×W×3 uint8 RGB.
            new_masks: H×W bool masks of new objects by id, or n×H×W with the next free ids from 1.

        Raises:
            InputError: unusable input, or an object is tracked already; then nothing has changed.
        """
        frame = convert_frame(frame, self._frame_shape)
        size = (frame.shape[0], frame.shape[1])
        masks_by_id = self._number_masks(new_masks, size)
        masks_by_layer = self._place(masks_by_id)
        layers = [*self.layers]
        for _ in masks_by_layer[len(layers) :]:
            tracker = self.layers[0].tracker.fresh()
            tracker.reset(self._length)
            layers.append(_Layer(tracker))
        labels = [merge_object_masks(masks) if masks else None for masks in masks_by_layer]
        predictions = [layer.tracker.step(frame, mask) for layer, mask in zip(layers, labels, strict=True)]
        for layer, prediction, masks in zip(layers, predictions, masks_by_layer, strict=True):
            layer.prediction = prediction
            layer.ids |= masks.keys()
        self.layers, self._frame_shape = layers, frame.shape
        found = [(prediction, frozenset(layer.ids)) for layer, prediction in zip(layers, predictions, strict=True)]
        return OverlapPrediction(found, masks_by_id, size)

    def _number_masks(
        self, masks: Mapping[int, np.ndarray] | np.ndarray | None, size: ImageSize
    ) -> dict[int, np.ndarray]:
        """Return checked masks by id, ascending."""
        if not isinstance(masks, Mapping):
            first = max(self.ids, default=0) + 1
            masks = {} if masks is None else dict(enumerate(np.atleast_1d(to_array("new_masks", masks)), start=first))
        numbered = dict[int, np.ndarray]()
        for object_id, mask in masks.items():
            subject = f"mask of object {object_id}"
            is_id = isinstance(object_id, Integral) and object_id in POSITIVE_COUNT
            require(is_id, "not an object id", subject=subject, remedy="give a whole number from 1")
            array = to_array(subject, mask)
            is_mask = array.dtype == bool and array.shape == size and array.any()
            require(is_mask, f"expected H×W bool of {size[1]}×{size[0]} with pixels", subject=subject)
            require(object_id not in self.ids, "tracked already", subject=subject, remedy="give another id")
            numbered[int(object_id)] = array
        return dict(sorted(numbered.items()))

    def _place(self, masks: Mapping[int, np.ndarray]) -> list[dict[int, np.ndarray]]:
        """Return the masks of each layer: each is in the first one without overlap, which may be a new one."""
        masks_by_layer: list[dict[int, np.ndarray]] = [{} for _ in self.layers]
        covered = [[*layer.read_masks()] if masks else [] for layer in self.layers]
        for object_id, mask in masks.items():
            is_free = (not any(_masks_overlap(mask, other) for other in others) for others in covered)
            index = next((index for index, free in enumerate(is_free) if free), len(covered))
            if index == len(covered):
                covered.append([])
                masks_by_layer.append({})
            covered[index].append(mask)
            masks_by_layer[index][object_id] = mask
        return masks_by_layer


def _masks_overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two H×W bool masks overlap by more than their edges."""
    smaller = min(np.count_nonzero(first), np.count_nonzero(second))
    return bool(np.count_nonzero(first & second) > EDGE_FRACTION * smaller)
