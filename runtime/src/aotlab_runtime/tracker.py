"""`Tracker`: frames and masks in, masks out.

AOT (Yang, Wei, Yang; NeurIPS 2021) tracks a group of up to M objects in one pass. Each object has one of M identities,
numbered from 1; identity 0 is the background. The steps of a frame are methods of `Graphs`:

    first frame     encode, assign_identities(mask), reference, memorize
    other frames    encode, propagate, decode, labels = argmax(logits), assign_identities(labels), memorize
    later masks     encode, propagate, decode, labels = argmax(logits), overwritten by the mask,
                    assign_identities(labels), reference, memorize
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.group import Group
from aotlab_runtime.images import ImageSize, resize, resize_nearest
from aotlab_runtime.inputs import InputError, check_frame, check_mask, is_integer_between, shorten
from aotlab_runtime.prediction import Prediction, softmax
from aotlab_runtime.prompting.prompt import Prompts
from aotlab_runtime.prompting.segment import draw_prompts, segment_prompts
from aotlab_runtime.state import pack_state, unpack_state

log = logging.getLogger(__name__)

LOGIT_OUTSIDE = np.float32(-1e10)
"""Logit of the channels that a mask excludes; the channel that it gives a pixel has probability 1."""


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_export("exported")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, graphs: Graphs) -> None:
        """Create a tracker without objects."""
        if not isinstance(graphs, Graphs):
            raise InputError(f"graphs {shorten(graphs)}: expected Graphs; use Tracker.from_export(folder)")
        self.graphs = graphs
        self.reset()

    @classmethod
    def from_export(cls, folder: str | Path, *, provider: str = "cpu", threads: int | None = None) -> Tracker:
        """Load a model that ``aotlab export`` wrote; see `Graphs` for arguments and errors."""
        return cls(Graphs(folder, provider=provider, threads=threads))

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""
        if length is not None and not is_integer_between(length, 0):
            raise InputError(f"reset: length must be a number of frames, got {shorten(length)}")
        self._length = None if length is None else int(length)
        self._frame_shape: tuple[int, ...] | None = None
        self.groups: list[Group] = []

    def fresh(self) -> Tracker:
        """Return another tracker of the same model and settings, without objects or frames."""
        return Tracker(self.graphs)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return tuple(object_id for group in self.groups for object_id in group.ids if object_id)

    def step(
        self, frame: ArrayLike, mask: ArrayLike | None = None, *, prompts: Prompts | None = None
    ) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB.
            mask: H×W object ids; True is object 1, and 255 is object 255. Later masks may add objects. Where they are
                0, objects absent from the mask keep their predicted pixels.
            prompts: prompts by object id, or one point (x, y) each. The segmented objects replace those of ``mask``
                with the same ids, and never overwrite its other objects.

        Raises:
            InputError: unusable input. A failed step changes nothing.
        """
        image = check_frame(frame, self._frame_shape)
        object_mask = np.zeros(image.shape[:2], int) if mask is None else check_mask(mask, image)
        object_mask = draw_prompts(self.graphs, image, prompts, object_mask)
        has_objects = object_mask.any()
        if mask is not None and not has_objects and not self.groups:
            raise InputError("mask is empty: give ids above 0 where the objects are")
        groups = [copy(group) for group in self.groups]  # a failed step leaves the tracker unchanged
        features = self.graphs.encode(image) if groups or has_objects else {}
        decoded = [self._segment(group, features) for group in groups]
        logits = self._merge_logits(groups, decoded, image.shape[:2])
        prediction = Prediction(self.ids, logits, self.graphs.temperature)
        if has_objects:
            prediction = self._overwrite_with_mask(prediction, object_mask)
            self._store_reference_frame(groups, features, prediction)
        else:
            self._store_tracked_frame(groups, decoded, prediction.labels)
        if self._frame_shape is None:
            self._warn_if_stretched(image)
        self.groups, self._frame_shape = groups, image.shape
        return prediction

    def prompt(self, frame: ArrayLike, prompts: Prompts) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged."""
        image = check_frame(frame, self._frame_shape)
        return segment_prompts(self.graphs, image, prompts, np.zeros(image.shape[:2], int))

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: it disappears from the next frame; its id can be reused."""
        if not is_integer_between(object_id, 1) or object_id not in self.ids:
            raise InputError(f"forget: object {shorten(repr(object_id))} is not tracked")
        for group in self.groups:  # stored frames contain the identity, so it stays reserved
            group.ids = tuple(0 if tracked_id == object_id else tracked_id for tracked_id in group.ids)
        self.groups = [group for group in self.groups if any(group.ids)]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state with which a tracker of the same export resumes this video, for `numpy.savez`."""
        groups = [asdict(group) for group in self.groups]  # a deep copy
        content = {"length": self._length, "frame_shape": self._frame_shape, "groups": groups}
        return pack_state({"export": self.graphs.digest, **content})

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume the video of a `state_dict`, which `numpy.load` reads; an invalid one changes nothing."""
        content = unpack_state(state, self.graphs.digest)
        self.reset(content["length"])
        self._frame_shape = content["frame_shape"] and tuple(content["frame_shape"])
        self.groups = [Group.from_state(state) for state in content["groups"]]

    def _segment(self, group: Group, features: Tensors) -> Tensors:
        """Segment the objects of a group in a frame by its memory; return what `propagate` and `decode` return."""
        propagated = self.graphs.propagate(features, group.read())
        return propagated | self.graphs.decode(propagated, features)

    def _store_tracked_frame(self, groups: list[Group], decoded: list[Tensors], labels: np.ndarray) -> None:
        """Store a frame without a mask in the memory of each group; ``decoded``: what `_segment` returned for it."""
        for group, tensors in zip(groups, decoded, strict=True):
            memory = self.graphs.memorize(tensors, self._assign_identities(group, labels))
            group.add(*memory, partial(self.graphs.relevance, tensors))

    def _store_reference_frame(self, groups: list[Group], features: Tensors, prediction: Prediction) -> None:
        """Store a frame with a mask; new objects get free identities of the last group, then those of new groups."""
        for object_id in prediction.ids[len(self.ids) :]:
            if not groups or len(groups[-1].ids) == self.graphs.max_objects:
                groups.append(Group(self.graphs.memory, self._length))
            groups[-1].ids = (*groups[-1].ids, object_id)
        for group in groups:
            id_embeddings = self._assign_identities(group, prediction.labels)
            propagated = self.graphs.reference(features, id_embeddings)
            group.add_reference(*self.graphs.memorize(propagated, id_embeddings))

    def _merge_logits(self, groups: list[Group], decoded: list[Tensors], size: ImageSize) -> np.ndarray:
        """Merge the ``logits`` of all groups to (1+n)×H×W of all objects; without groups, all background.

        The background probability is the product over the groups, as AOT's published code computes it.
        """
        if not groups:
            return np.zeros((1, *size), np.float32)
        group_logits = [
            resize(tensors["logits"][0, [0, *group.identities]], size, self.graphs.align_corners)
            for group, tensors in zip(groups, decoded, strict=True)
        ]
        if len(groups) == 1:
            return group_logits[0]
        probabilities = [softmax(logits) for logits in group_logits]
        background = np.prod([group[:1] for group in probabilities], axis=0)
        merged = np.concatenate([background, *(group[1:] for group in probabilities)]).clip(1e-5, 1 - 1e-5)
        return np.log(merged / (1 - merged))

    def _overwrite_with_mask(self, prediction: Prediction, mask: np.ndarray) -> Prediction:
        """Replace the pixels of a mask's objects by the mask H×W; new ids come last."""
        mask_ids = np.unique(mask[mask > 0])
        labels = np.where((mask > 0) | np.isin(prediction.labels, mask_ids), mask, prediction.labels)
        for object_id in np.setdiff1d(mask_ids, resize_nearest(mask, self.graphs.network_size)):
            log.warning("object %d: too small to be tracked; export with a larger input.scale", object_id)
        ids = (*prediction.ids, *np.setdiff1d(mask_ids, prediction.ids).tolist())
        masks = labels == np.array([0, *ids])[:, None, None]
        logits = np.where(masks, np.float32(0), LOGIT_OUTSIDE)
        return Prediction(ids, logits, prediction.temperature)

    def _assign_identities(self, group: Group, labels: np.ndarray) -> Tensors:
        """Embed the objects of a group in labels H×W; objects of other groups are background."""
        resized_labels = resize_nearest(labels, self.graphs.network_size)
        masks = np.zeros((1 + self.graphs.max_objects, *resized_labels.shape), np.float32)
        for identity in group.identities:
            masks[identity] = resized_labels == group.ids[identity - 1]
        masks[0] = 1 - masks.sum(0)
        return self.graphs.assign_identities(masks[None])

    def _warn_if_stretched(self, frame: np.ndarray) -> None:
        """Log a warning if the network's input has another aspect ratio than a frame, beyond the rounding to tokens."""
        (height, width), size = frame.shape[:2], self.graphs.network_size
        rounding = self.graphs.stride // 2 + 1  # pixels of each side
        if abs(size[0] * width - size[1] * height) > rounding * (height + width):
            message = f"frames of {width}×{height} are stretched to {size[1]}×{size[0]} in the network"
            log.warning("%s; export with --size %dx%d", message, width, height)
