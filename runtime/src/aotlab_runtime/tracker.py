"""`Tracker`: frames and masks in, masks out.

AOT (Yang, Wei, Yang; NeurIPS 2021) tracks a group of up to M objects at once. Each object has an identity, one of M
learned vectors. On a stored frame, the identities of a token's pixels form its embedding, which is added to the values
that attention reads; keys describe the image only. The tokens of a new frame so receive the identities of the stored
tokens that look like them: long-term attention compares all tokens of the frames in long-term memory, short-term
attention those around the same place in an earlier frame, usually the last. Long-term memory holds the frames with a
given mask and one in every n others. RMem (Zhou, Pang, Wang; CVPR 2024) bounds it: of the tracked frames it evicts the
one that objects attend to least, but spares rarely scored ones.

A frame, with groups of up to M objects that have a memory each:

    features = encode(frame)
    for each group:      propagated = propagate(features, memory)
                         logits = decode(propagated, features)
    labels = argmax of the merged logits of all groups, where the frame has no mask
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
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from aotlab_runtime import inputs
from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.images import ImageSize, resize, resize_nearest
from aotlab_runtime.inputs import InputError, Point, Prompt, require
from aotlab_runtime.memory import Memory
from aotlab_runtime.prompts import segment_prompts

log = logging.getLogger(__name__)

STATE_VERSION = 8
"""version of `Tracker.state_dict`"""
NO_OBJECT = np.float32(-1e10)
"""logit outside the mask of an object, on a frame with a mask"""
FORGOTTEN = -1
"""object id of a forgotten object's identity"""


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Masks of one frame, as logits, probabilities or object ids."""

    ids: tuple[int, ...]
    """ids of the tracked objects in the order they were added"""
    logits: np.ndarray
    """(1+n)×H×W float32: channel 0 is background, channel k + 1 is object ``ids[k]``"""
    temperature: float
    """divisor of the logits for `confidence`"""

    def __repr__(self) -> str:
        """Name ids and size in one line."""
        _, height, width = self.logits.shape
        return f"Prediction(ids={list(self.ids)}, height={height}, width={width})"

    @cached_property
    def indices(self) -> np.ndarray:
        """H×W int64, the most likely channel of ``logits`` in every pixel."""
        return self.logits.argmax(0)

    @cached_property
    def labels(self) -> np.ndarray:
        """H×W object ids, 0 is background; unsigned integers as wide as the largest id needs."""
        return np.array([0, *self.ids], np.min_scalar_type(max(self.ids, default=0)))[self.indices]

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(1+n)×H×W that sum to 1 in every pixel."""
        return softmax(self.logits)

    @cached_property
    def confidence(self) -> dict[int, float]:
        """Mean calibrated probability of each object's pixels, in [0, 1]: 0 without pixels, 1 where a mask is given."""
        probabilities = softmax(self.logits / self.temperature).max(0).ravel()
        chosen, count = self.indices.ravel(), len(self.logits)
        pixels = np.bincount(chosen, minlength=count)
        means = np.bincount(chosen, probabilities, count) / np.maximum(pixels, 1)
        return dict(zip(self.ids, means[1:].tolist(), strict=True))


@dataclass
class Group:
    """Up to M objects that share one pass of the model, and their memory."""

    ids: list[int]
    """``ids[k - 1]`` is the object of identity k, or `FORGOTTEN`"""
    memory: Memory


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_export("exported")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, graphs: Graphs) -> None:
        """Create a tracker without objects."""
        self.graphs = graphs
        self._predict = partial(Prediction, temperature=graphs.config["confidence_temperature"])
        self.reset()

    @classmethod
    def from_export(cls, folder: str | Path, *, provider: str = "cpu", threads: int | None = None) -> Tracker:
        """Load a model that ``aotlab export`` wrote; arguments and errors as `Graphs`."""
        return cls(Graphs(folder, provider=provider, threads=threads))

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""
        self._length = None if length is None else operator.index(length)
        self._frame_shape: tuple[int, ...] | None = None
        self.groups: list[Group] = []

    def fresh(self) -> Tracker:
        """Return another tracker of the same model and settings, without objects or frames."""
        return Tracker(self.graphs)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return tuple(object_id for group in self.groups for object_id in group.ids if object_id != FORGOTTEN)

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
                objects in ``mask`` and take no pixel that it gives to others.

        Raises:
            InputError: unusable input. A failed step changes nothing.
        """
        frame = inputs.check_frame(frame, self._frame_shape)
        if mask is not None:
            mask = inputs.check_mask(mask, frame)
        if prompts:
            mask = self._draw_prompts(frame, mask, prompts)
        if mask is not None and not mask.any():
            require(self.groups, "mask is empty: give ids above 0 where the objects are")
            mask = None
        if mask is None and not self.groups:  # nothing to encode the frame for
            self._frame_shape = frame.shape
            return self._predict((), np.zeros((1, *frame.shape[:2]), np.float32))
        # work on copies: a failed step leaves the tracker unchanged
        groups = [Group([*group.ids], copy(group.memory)) for group in self.groups]
        features = self.graphs.run("encode", {"frame": frame})
        segmented = [self._segment_frame(group, features) for group in groups]
        logits = self._merge_logits(groups, segmented, frame.shape[:2])
        prediction = self._predict(self.ids, logits)
        if mask is None:
            for group, tensors in zip(groups, segmented, strict=True):
                self._store_tracked(group, tensors, prediction.labels)
        else:
            labels = overwrite_with_mask(prediction.labels, mask)
            new = sorted({*np.unique(mask).tolist()} - {0, *self.ids})
            resized = resize_nearest(labels, self.graphs.network_size)
            for object_id in sorted({*np.unique(mask).tolist()} - {0, *np.unique(resized).tolist()}):
                log.warning("object %d: too small to be tracked; export with a larger input.scale", object_id)
            self._add_objects(groups, new)
            for group in groups:
                self._store_reference(group, features, labels)
            ids = (*self.ids, *new)
            masks = labels == np.array([0, *ids])[:, None, None]
            prediction = self._predict(ids, np.where(masks, np.float32(0), NO_OBJECT))
        self.groups, self._frame_shape = groups, frame.shape
        return prediction

    def prompt(self, frame: np.ndarray, prompts: Mapping[int, Prompt | Point]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged."""
        frame = inputs.check_frame(frame, self._frame_shape)
        checked = inputs.check_prompts(prompts, frame.shape[:2])
        logits = segment_prompts(self.graphs, frame, list(checked.values()))
        return self._predict(tuple(checked), logits)

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: it has no pixel from the next frame on, and its id may be given again.

        Its identity remains reserved, because stored frames still contain it, until all objects of its group are
        forgotten.
        """
        require(object_id in self.ids, f"forget: object {object_id!r} is not tracked")
        (group,) = (group for group in self.groups if object_id in group.ids)
        group.ids[group.ids.index(object_id)] = FORGOTTEN
        self.groups = [group for group in self.groups if {*group.ids} != {FORGOTTEN}]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state with which a tracker of the same export resumes this video.

        ``np.savez(path, **state)`` writes it, and `load_state_dict` takes what ``np.load(path)`` reads.
        """
        state: Tensors = {}
        groups = []
        for index, group in enumerate(self.groups):
            memory = group.memory.state_dict()
            groups.append({"objects": group.ids, "arrays": [*memory]})
            state |= {f"{index}.{name}": array for name, array in memory.items()}
        header = {
            "version": STATE_VERSION, "export": self.graphs.digest, "length": self._length,
            "frame_shape": self._frame_shape, "groups": groups,
        }  # fmt: skip
        return state | {"header": np.array(json.dumps(header))}

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
            for index, group in enumerate(header["groups"]):
                memory = Memory(self.graphs.config["memory"], length)
                memory.load_state_dict({name: state[f"{index}.{name}"] for name in group["arrays"]})
                groups.append(Group(group["objects"], memory))
        except Exception as error:  # damaged files cause errors of any kind
            raise InputError(
                f"tracker state: not a usable one ({error!s:.100}); load the export that saved it, or save it again"
            ) from error
        self._length, self._frame_shape, self.groups = length, shape, groups

    def _draw_prompts(
        self, frame: np.ndarray, mask: np.ndarray | None, prompts: Mapping[int, Prompt | Point]
    ) -> np.ndarray:
        """Return the object ids H×W of prompts, and of a mask where it has other objects."""
        checked = inputs.check_prompts(prompts, frame.shape[:2])
        labels = np.zeros(frame.shape[:2], np.int64) if mask is None else mask
        others = np.where(np.isin(labels, list(checked)), 0, labels)
        free = [prompt._replace(exclude=prompt.exclude | (others > 0)) for prompt in checked.values()]
        drawn = np.array([0, *checked])[segment_prompts(self.graphs, frame, free).argmax(0)]
        for object_id in checked:
            require(
                object_id in drawn, f"object {object_id}: no pixel found there; give another box or point"
            )
        return np.where(others > 0, others, drawn)

    def _segment_frame(self, group: Group, features: Tensors) -> Tensors:
        """Return the outputs of ``propagate`` and ``decode`` for a frame and a group's memory."""
        propagated = self.graphs.run("propagate", features | group.memory.read())
        return propagated | self.graphs.run("decode", propagated | features)

    def _store_tracked(self, group: Group, segmented: Tensors, labels: np.ndarray) -> None:
        """Store a frame, of `_segment_frame`, with its predicted labels H×W."""
        memory = self.graphs.run("memorize", segmented | self._assign_identities(group, labels))
        group.memory.add(
            memory, lambda: self.graphs.run("relevance", segmented | group.memory.read())["relevance"]
        )

    def _store_reference(self, group: Group, features: Tensors, labels: np.ndarray) -> None:
        """Store a frame with given labels H×W."""
        id_embeddings = self._assign_identities(group, labels)
        propagated = self.graphs.run("reference", features | id_embeddings)
        group.memory.add_reference(self.graphs.run("memorize", propagated | id_embeddings))

    def _add_objects(self, groups: list[Group], ids: Sequence[int]) -> None:
        """Give new objects the next free identities: of the last group, then of new groups."""
        for object_id in ids:
            if not groups or len(groups[-1].ids) == self.graphs.max_objects:
                groups.append(Group([], Memory(self.graphs.config["memory"], self._length)))
            groups[-1].ids.append(object_id)

    def _assign_identities(self, group: Group, labels: np.ndarray) -> Tensors:
        """Embed the objects of a group in labels H×W; objects of other groups are background."""
        resized = resize_nearest(labels, self.graphs.network_size)
        masks = np.zeros((1 + self.graphs.max_objects, *resized.shape), np.float32)
        for identity, object_id in enumerate(group.ids, start=1):
            masks[identity] = resized == object_id
        masks[0] = 1 - masks.sum(0)
        return self.graphs.run("assign_identities", {"masks": masks[None]})

    def _merge_logits(self, groups: list[Group], segmented: Sequence[Tensors], size: ImageSize) -> np.ndarray:
        """Merge the ``logits`` 1×(1+M)×h×w of all groups to (1+n)×H×W of all objects; without groups, all background.

        The background probability is the product over the groups (soft aggregation of AOT's code).
        """
        if not groups:
            return np.zeros((1, *size), np.float32)
        resized = []
        for group, tensors in zip(groups, segmented, strict=True):
            used = [0, *(k for k, object_id in enumerate(group.ids, start=1) if object_id != FORGOTTEN)]
            resized.append(resize(tensors["logits"][0, used], size, align_corners=self.graphs.align_corners))
        if len(resized) == 1:
            return resized[0]
        by_group = [softmax(logits) for logits in resized]
        background = np.prod([p[:1] for p in by_group], axis=0)
        p = np.concatenate([background, *(p[1:] for p in by_group)]).clip(1e-5, 1 - 1e-5)
        return np.log(p / (1 - p))


def overwrite_with_mask(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return predicted labels H×W where a mask H×W is 0; an object in the mask loses all its other pixels."""
    return np.where(mask > 0, mask, np.where(np.isin(labels, mask), 0, labels))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities along the first axis."""
    exponentials = np.exp(logits - logits.max(0))
    return exponentials / exponentials.sum(0)
