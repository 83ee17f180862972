"""`Tracker`: frames and masks in, masks out.

AOT (Yang, Wei, Yang; NeurIPS 2021) tracks a group of up to M objects in one pass. Each object has an identity, one of M
learned vectors. The steps of a frame are graphs, here with their outputs, whose shapes are in `graphs.py`; X are L
tokens of the frame, N counts blocks from 0:

    encode             maps of the image at strides 4, 8 and 16, and X         features_*
    propagate          in each block: X ← X + Att(X, X, X)                     self-attention
                       K = X·W_K, keys and queries alike                       states_N_key
                       X ← X + Att(K, memory_N_long_key, memory_N_long_value)
                             + Att(K, memory_N_short_key, memory_N_short_value)
                       X ← X + FFN(X)                                          embeddings_(N + 1)
    decode             a feature pyramid of X after each block and the maps    logits
    assign_identities  E, the sum of the identities of a token's pixels        id_embeddings_0
    memorize           keys K and values (X + E)·W_V, with X of states_N       memory_N_*

Att(Q, K, V) = softmax(Q·Kᵀ/√c)·V, in heads of c channels. Keys have no identities: a token finds stored tokens that
look like it, and receives their identities. Long-term memory holds all tokens of T frames, those with a given mask and
one in every n others; short-term attention is limited to a window around the same place in an earlier frame, usually
the last. A frame with a given mask has its own E, and reads itself instead of memory: ``reference``.
``runtime/tests/test_block.py`` computes a block in NumPy.

DeAOT (Yang, Yang; NeurIPS 2022) splits X into a visual and an identity branch. Keys are of the visual branch, values of
both, so identities do not displace appearance in deeper blocks. Gated propagation replaces heads and FFN: the attended
values are multiplied by a gate, computed from X, before a depthwise convolution and a projection.
"""

from __future__ import annotations

import json
import logging
import operator
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np

from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.group import Group
from aotlab_runtime.images import ImageSize, resize, resize_nearest
from aotlab_runtime.inputs import InputError, check_frame, check_mask, require
from aotlab_runtime.prediction import Prediction, softmax
from aotlab_runtime.prompts import Point, Prompt, segment_prompts

log = logging.getLogger(__name__)

STATE_VERSION = 10
"""version of `Tracker.state_dict`"""
NO_OBJECT = np.float32(-1e10)
"""logit outside the mask of an object, on a frame with a mask"""


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
        given_mask = np.zeros(frame.shape[:2], int) if mask is None else check_mask(mask, frame)
        if prompts:
            given_mask = self._draw_prompts(frame, given_mask, prompts)
        has_mask = given_mask.any()
        require(
            has_mask or mask is None or self.groups,
            "mask is empty: give ids above 0 where the objects are",
        )
        groups = [copy(group) for group in self.groups]  # a failed step leaves the tracker unchanged
        run = self.graphs.run
        # without objects, the frame need not be encoded
        features = run("encode", {"frame": frame}) if groups or has_mask else {}
        decoded_groups = []
        for group in groups:
            propagated = run("propagate", features | group.read())
            decoded_groups.append(propagated | run("decode", propagated | features))
        logits = self._merge_logits(groups, decoded_groups, frame.shape[:2])
        prediction = Prediction(self.ids, logits, self.graphs.config["confidence_temperature"])
        if has_mask:
            prediction = self._overwrite_with_mask(prediction, given_mask)
            self._add_objects(groups, prediction.ids[len(self.ids) :])
            for group in groups:
                id_embeddings = self._assign_identities(group, prediction.labels)
                propagated = run("reference", features | id_embeddings)
                group.add_reference(run("memorize", propagated | id_embeddings))
        else:
            for group, decoded in zip(groups, decoded_groups, strict=True):
                relevance = None
                if group.needs_relevance:
                    relevance = run("relevance", decoded | group.read())["relevance"]
                id_embeddings = self._assign_identities(group, prediction.labels)
                group.add(run("memorize", decoded | id_embeddings), relevance)
        self.groups, self._frame_shape = groups, frame.shape
        return prediction

    def prompt(self, frame: np.ndarray, prompts: Mapping[int, Prompt | Point]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged."""
        frame = check_frame(frame, self._frame_shape)
        return segment_prompts(self.graphs, frame, prompts, np.zeros(frame.shape[:2], int))

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: it disappears from the next frame; its id can be reused.

        Its identity remains reserved, because stored frames still contain it, until all objects of its group are
        forgotten.
        """
        require(object_id in self.ids, f"forget: object {object_id!r} is not tracked")
        for group in self.groups:
            group.ids = tuple(0 if tracked_id == object_id else tracked_id for tracked_id in group.ids)
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
            state |= {f"{index}.{name}": array for name, array in group.state_dict().items()}
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
                group, prefix = Group(self.graphs.config["memory"], length, (*ids,)), f"{index}."
                arrays = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
                group.load_state_dict(arrays, self.graphs.memory_shapes)
                groups.append(group)
        except Exception as error:  # damaged files cause errors of any kind
            raise InputError(
                f"tracker state: invalid ({error!s:.150}); load the export that saved it, or save it again"
            ) from error
        self._length, self._frame_shape, self.groups = length, shape, groups

    def _draw_prompts(
        self, frame: np.ndarray, mask: np.ndarray, prompts: Mapping[int, Prompt | Point]
    ) -> np.ndarray:
        """Return the object ids H×W of prompts, and of a mask H×W where it has other objects."""
        prediction = segment_prompts(self.graphs, frame, prompts, mask)
        for object_id in prediction.ids:
            found = object_id in prediction.labels
            require(found, f"object {object_id}: no pixel found there; give another box or point")
        return np.where(np.isin(mask, [0, *prediction.ids]), prediction.labels, mask)

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

    def _overwrite_with_mask(self, prediction: Prediction, mask: np.ndarray) -> Prediction:
        """Return a prediction with the objects of a mask H×W, which have no other pixels; new ids come last."""
        labels = np.where((mask > 0) | np.isin(prediction.labels, mask), mask, prediction.labels)
        mask_ids = np.unique(mask[mask > 0])
        for object_id in np.setdiff1d(mask_ids, resize_nearest(mask, self.graphs.network_size)):
            log.warning("object %d: too small to be tracked; export with a larger input.scale", object_id)
        ids = (*prediction.ids, *np.setdiff1d(mask_ids, prediction.ids).tolist())
        masks = labels == np.array([0, *ids])[:, None, None]
        logits = np.where(masks, np.float32(0), NO_OBJECT)
        return Prediction(ids, logits, prediction.temperature)

    def _add_objects(self, groups: list[Group], ids: Sequence[int]) -> None:
        """Give new objects the free identities in the last group, then in new groups."""
        for object_id in ids:
            if not groups or len(groups[-1].ids) == self.graphs.max_objects:
                groups.append(Group(self.graphs.config["memory"], self._length))
            groups[-1].ids += (object_id,)

    def _assign_identities(self, group: Group, labels: np.ndarray) -> Tensors:
        """Embed the objects of a group in labels H×W; objects of other groups are background."""
        resized_labels = resize_nearest(labels, self.graphs.network_size)
        masks = np.zeros((1 + self.graphs.max_objects, *resized_labels.shape), np.float32)
        for identity in group.identities:
            masks[identity] = resized_labels == group.ids[identity - 1]
        masks[0] = 1 - masks.sum(0)
        return self.graphs.run("assign_identities", {"masks": masks[None]})
