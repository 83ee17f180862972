"""`Tracker`: frames and masks in, masks out.

AOT (Yang, Wei, Yang; NeurIPS 2021) tracks a group of up to M objects in one pass. Each object has an identity, one of M
learned vectors; the identities of a token's pixels form its identity embedding. On a stored frame, it is added to the
tokens that become values, not to the keys, so the tokens of a new frame receive the identities of the stored tokens
that look like them. Long-term attention compares all tokens of the frames in long-term memory, short-term attention
those around the same place in an earlier frame, usually the last. Long-term memory holds the frames with a given mask
and one in every n others. RMem (Zhou, Pang, Wang; CVPR 2024) bounds it: it evicts the least attended tracked
frame; frames scored rarely get a bonus.

DeAOT (Yang, Yang; NeurIPS 2022) splits a block's tokens into a visual and an identity branch. Long-term and short-term
attention compare the visual branch only and carry the values of both, so identities do not displace appearance in
deeper blocks. Gated propagation replaces heads and feed-forward layers: the output of a single head is multiplied by a
gate, computed from the frame's tokens, before a depthwise convolution and a projection. All this is inside the graphs;
only the channels of their tensors differ.

One frame; each group of up to M objects has its own memory:

    features = encode(frame)
    for each group:      propagated = propagate(features, memory)
                         logits = decode(propagated, features)
    labels = argmax of the merged logits of all groups, unless the mask sets them
    for each group,
      without a mask:    memory.add(memorize(propagated, assign_identities(labels)))
      with a mask:       id_embeddings = assign_identities(labels)
                         memory.add_reference(memorize(reference(features, id_embeddings), id_embeddings))

All but ``memory`` are graphs of the same name (`graphs.py` lists their tensors); ``reference`` is ``propagate`` with
identities instead of memory.
"""

from __future__ import annotations

import json
import logging
import operator
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.images import ImageSize, resize, resize_nearest
from aotlab_runtime.inputs import InputError, check_frame, check_mask, require
from aotlab_runtime.memory import Memory
from aotlab_runtime.prediction import Prediction, softmax
from aotlab_runtime.prompts import Point, Prompt, check_prompts, segment_prompts

log = logging.getLogger(__name__)

STATE_VERSION = 10
"""version of `Tracker.state_dict`"""
NO_OBJECT = np.float32(-1e10)
"""logit outside the mask of an object, on a frame with a mask"""


@dataclass
class Group:
    """Up to M objects that share one pass of the model, and their memory."""

    ids: list[int]
    """object id of each identity from 1 on; 0 if forgotten"""
    memory: Memory

    @property
    def identities(self) -> list[int]:
        """Identities of the objects, without forgotten ones."""
        return [identity for identity, object_id in enumerate(self.ids, start=1) if object_id]


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_export("exported")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, graphs: Graphs) -> None:
        """Create a tracker without objects."""
        self.graphs = graphs
        self.reset()

    @classmethod
    def from_export(cls, folder: str | Path, *, provider: str = "cpu", threads: int | None = None) -> Tracker:
        """Load a model that ``aotlab export`` wrote; see `Graphs` for arguments and errors."""
        return cls(Graphs(folder, provider=provider, threads=threads))

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""
        length = None if length is None else operator.index(length)
        require(length is None or length >= 0, f"reset: length must be a number of frames, got {length}")
        self._length = length
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
        self,
        frame: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        prompts: Mapping[int, Prompt | Point] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB.
            mask: H×W object ids (bool: object 1); pixels with 0 keep the predictions of objects that are not in the
                mask. Later masks may add objects.
            prompts: prompts by object id; their masks are treated like ``mask``. They replace the masks of their
                objects in ``mask`` and never overwrite other objects in it.

        Raises:
            InputError: unusable input. A failed step changes nothing.
        """
        frame = check_frame(frame, self._frame_shape)
        if mask is not None:
            mask = check_mask(mask, frame)
        if prompts:
            mask = self._draw_prompts(frame, mask, prompts)
        if mask is not None and not mask.any():
            require(self.groups, "mask is empty: give ids above 0 where the objects are")
            mask = None
        # work on copies: a failed step leaves the tracker unchanged
        groups = [Group([*group.ids], copy(group.memory)) for group in self.groups]
        # without objects, the frame need not be encoded
        features = self.graphs.run("encode", {"frame": frame}) if groups or mask is not None else {}
        decoded_groups = [self._segment_frame(group, features) for group in groups]
        logits = self._merge_logits(groups, decoded_groups, frame.shape[:2])
        temperature = self.graphs.config["confidence_temperature"]
        prediction = Prediction(self.ids, logits, temperature)
        if mask is None:
            for group, decoded in zip(groups, decoded_groups, strict=True):
                self._store_tracked(group, decoded, prediction.labels)
        else:
            # objects in the mask have no other pixels
            labels = np.where((mask > 0) | np.isin(prediction.labels, mask), mask, prediction.labels)
            mask_ids = {*np.unique(mask).tolist()} - {0}
            resized_labels = resize_nearest(labels, self.graphs.network_size)
            for object_id in sorted(mask_ids - {*np.unique(resized_labels).tolist()}):
                log.warning("object %d: too small to be tracked; export with a larger input.scale", object_id)
            new_ids = sorted(mask_ids - {*self.ids})
            self._add_objects(groups, new_ids)
            for group in groups:
                self._store_reference(group, features, labels)
            ids = (*self.ids, *new_ids)
            masks = labels == np.array([0, *ids])[:, None, None]
            logits = np.where(masks, np.float32(0), NO_OBJECT)
            prediction = Prediction(ids, logits, temperature)
        self.groups, self._frame_shape = groups, frame.shape
        return prediction

    def prompt(self, frame: np.ndarray, prompts: Mapping[int, Prompt | Point]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged."""
        frame = check_frame(frame, self._frame_shape)
        checked_prompts = check_prompts(prompts, frame.shape[:2])
        no_objects = np.zeros(frame.shape[:2], bool)
        logits = segment_prompts(self.graphs, frame, [*checked_prompts.values()], no_objects)
        return Prediction(tuple(checked_prompts), logits, self.graphs.config["confidence_temperature"])

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: it disappears from the next frame; its id can be reused.

        Its identity remains reserved, because stored frames still contain it, until all objects of its group are
        forgotten.
        """
        require(object_id in self.ids, f"forget: object {object_id!r} is not tracked")
        (group,) = (group for group in self.groups if object_id in group.ids)
        group.ids[group.ids.index(object_id)] = 0
        self.groups = [group for group in self.groups if any(group.ids)]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state with which a tracker of the same export resumes this video.

        ``np.savez(path, **state)`` writes it, and `load_state_dict` accepts the result of ``np.load(path)``.
        """
        header = {
            "version": STATE_VERSION, "export": self.graphs.digest, "length": self._length,
            "frame_shape": self._frame_shape, "groups": [group.ids for group in self.groups],
        }  # fmt: skip
        state = {"header": np.array(json.dumps(header))}
        for index, group in enumerate(self.groups):
            state |= {f"{index}.{name}": array for name, array in group.memory.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume the video of a `state_dict`.

        Raises:
            InputError: a state of another export, or one that cannot be read; the tracker is unchanged.
        """
        groups = []
        try:
            header = json.loads(str(state["header"]))
            if (header["version"], header["export"]) != (STATE_VERSION, self.graphs.digest):
                raise ValueError("saved with another export or version")
            length, shape = header["length"], header["frame_shape"] and tuple(header["frame_shape"])
            for index, ids in enumerate(header["groups"]):
                memory, prefix = Memory(self.graphs.config["memory"], length), f"{index}."
                arrays = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
                memory.load_state_dict(arrays, self.graphs.memory_shapes)
                groups.append(Group(ids, memory))
        except Exception as error:  # damaged files cause errors of any kind
            raise InputError(
                f"tracker state: invalid ({error!s:.150}); load the export that saved it, or save it again"
            ) from error
        self._length, self._frame_shape, self.groups = length, shape, groups

    def _draw_prompts(
        self, frame: np.ndarray, mask: np.ndarray | None, prompts: Mapping[int, Prompt | Point]
    ) -> np.ndarray:
        """Return the object ids H×W of prompts, and of a mask where it has other objects."""
        checked_prompts = check_prompts(prompts, frame.shape[:2])
        if mask is None:
            mask = np.zeros(frame.shape[:2], np.int64)
        other_objects = np.where(np.isin(mask, [*checked_prompts]), 0, mask)
        logits = segment_prompts(self.graphs, frame, [*checked_prompts.values()], other_objects > 0)
        labels = np.array([0, *checked_prompts])[logits.argmax(0)]
        for object_id in checked_prompts:
            require(
                object_id in labels, f"object {object_id}: no pixel found there; give another box or point"
            )
        return np.where(other_objects > 0, other_objects, labels)

    def _segment_frame(self, group: Group, features: Tensors) -> Tensors:
        """Return the outputs of ``propagate`` and ``decode`` for a frame and a group's memory."""
        propagated = self.graphs.run("propagate", features | group.memory.read())
        return propagated | self.graphs.run("decode", propagated | features)

    def _merge_logits(self, groups: list[Group], decoded: list[Tensors], size: ImageSize) -> np.ndarray:
        """Merge the ``logits`` 1×(1+M)×h×w of all groups to (1+n)×H×W of all objects; without groups, all background.

        The background probability is the product over the groups (soft aggregation of AOT's code).
        """
        if not groups:
            return np.zeros((1, *size), np.float32)
        align_corners = self.graphs.config["model"]["align_corners"]
        group_logits = [
            resize(tensors["logits"][0, [0, *group.identities]], size, align_corners=align_corners)
            for group, tensors in zip(groups, decoded, strict=True)
        ]
        if len(groups) == 1:
            return group_logits[0]
        probabilities = [softmax(logits) for logits in group_logits]
        background = np.prod([p[:1] for p in probabilities], axis=0)
        p = np.concatenate([background, *(p[1:] for p in probabilities)]).clip(1e-5, 1 - 1e-5)
        return np.log(p / (1 - p))

    def _store_tracked(self, group: Group, decoded: Tensors, labels: np.ndarray) -> None:
        """Store a frame with its predicted labels H×W; ``decoded``: result of `_segment_frame`."""
        relevance = None
        if group.memory.needs_relevance:
            relevance = self.graphs.run("relevance", decoded | group.memory.read())["relevance"]
        id_embeddings = self._assign_identities(group, labels)
        group.memory.add(self.graphs.run("memorize", decoded | id_embeddings), relevance)

    def _add_objects(self, groups: list[Group], ids: Sequence[int]) -> None:
        """Give new objects the free identities in the last group, then in new groups."""
        for object_id in ids:
            if not groups or len(groups[-1].ids) == self.graphs.max_objects:
                groups.append(Group([], Memory(self.graphs.config["memory"], self._length)))
            groups[-1].ids.append(object_id)

    def _store_reference(self, group: Group, features: Tensors, labels: np.ndarray) -> None:
        """Store a frame with given labels H×W."""
        id_embeddings = self._assign_identities(group, labels)
        propagated = self.graphs.run("reference", features | id_embeddings)
        group.memory.add_reference(self.graphs.run("memorize", propagated | id_embeddings))

    def _assign_identities(self, group: Group, labels: np.ndarray) -> Tensors:
        """Embed the objects of a group in labels H×W; objects of other groups are background."""
        resized_labels = resize_nearest(labels, self.graphs.network_size)
        masks = np.zeros((1 + self.graphs.max_objects, *resized_labels.shape), np.float32)
        for identity in group.identities:
            masks[identity] = resized_labels == group.ids[identity - 1]
        masks[0] = 1 - masks.sum(0)
        return self.graphs.run("assign_identities", {"masks": masks[None]})
