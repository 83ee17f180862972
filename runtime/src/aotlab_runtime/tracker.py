"""`Tracker`: frames and masks in, masks out.

AOT (Yang, Wei, Yang; NeurIPS 2021) tracks a group of up to M objects in one pass. Each object has one of M identities:
learned vectors, one for each pixel of a token's patch. These graphs process a frame; `graphs.py` has the shapes of
their outputs. x are the L tokens of the frame, E their identities, and N counts blocks from 0:

    encode             maps of the image at strides 4, 8 and 16, and x                     features_*
    propagate          in each block, with the memory K and V of earlier frames:
                         x = x + self_attention(norm1(x))
                         tokens = norm2(x)                                                 states_N_tokens
                         Q = query(tokens)                                                 states_N_key
                         x = x + long_attention(Q, K, V) + short_attention(Q, K, V)
                         x = x + feedforward(norm3(x))                                     embeddings_(N + 1)
    decode             a feature pyramid of the maps, x and norm(x) after each block       logits
    assign_identities  E, the sum of the vectors of a token's pixels                       id_embeddings_0
    memorize           in each block, K = Q and V = value(tokens + E)                      memory_N_*
    reference          propagate for a frame with a mask, which reads its own K and V

An attention is softmax(Q·Kᵀ/√c)·V in heads of c channels, then a projection. Self-attention projects Q, K and V from
its input, with sine positions added for Q and K. Long-term attention reads all tokens of T frames: those with a mask
and one in every n others. Short-term attention reads a window around the same place in an earlier frame, usually the
last, and adds learned relative positions to its logits and values. ``runtime/tests/test_block.py`` is a block in NumPy.

One projection, ``query``, makes queries and keys. No identity is added to keys: a token finds stored tokens that look
like it, and receives their identities. In deeper blocks of AOT, x already carries some. DeAOT (Yang, Yang; NeurIPS
2022) therefore splits x into a visual and an identity branch: keys are of the visual branch, values of both. Gated
propagation replaces heads and feedforward: the attended values are multiplied by a gate, computed from x, before a
depthwise convolution and a projection.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np

from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.group import Group
from aotlab_runtime.inputs import InputError, check_frame, check_mask, is_integer_in, require
from aotlab_runtime.prediction import ImageSize, Prediction, resize, resize_nearest, softmax
from aotlab_runtime.prompts import Point, Prompt, segment_prompts

log = logging.getLogger(__name__)

STATE_VERSION = 11
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
        is_valid = length is None or is_integer_in(length, 0)
        require(is_valid, f"reset: length must be a number of frames, got {length}")
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
        has_objects = has_mask or mask is None or self.groups
        require(has_objects, "mask is empty: give ids above 0 where the objects are")
        groups = [copy(group) for group in self.groups]  # a failed step leaves the tracker unchanged
        run = self.graphs.run
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
        ids = [group.ids for group in self.groups]
        header = {"length": self._length, "frame_shape": self._frame_shape, "groups": ids}
        state = {"header": np.array(json.dumps(header))}
        for index, group in enumerate(self.groups):
            state |= {f"{index}.{name}": array for name, array in group.state_dict().items()}
        return state | {"digest": np.array(self._compute_digest(state))}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume the video of a `state_dict`; if damaged or of another export, raise `InputError`, changing nothing."""
        groups = []
        try:
            saved = {name: state[name] for name in state}
            if str(saved.pop("digest", "")) != self._compute_digest(saved):
                raise ValueError("changed, or saved with another export or version")
            header = json.loads(str(saved["header"]))
            for index, ids in enumerate(header["groups"]):
                group, prefix = Group(self.graphs.config["memory"], header["length"], tuple(ids)), f"{index}."
                stored = {key.removeprefix(prefix): saved[key] for key in saved if key.startswith(prefix)}
                group.load_state_dict(stored)
                groups.append(group)
        except Exception as error:  # damaged files cause errors of any kind
            raise InputError(
                f"tracker state: invalid ({error!s:.150}); load the export that saved it, or save it again"
            ) from error
        self._length, self.groups = header["length"], groups
        self._frame_shape = header["frame_shape"] and tuple(header["frame_shape"])

    def _compute_digest(self, state: Mapping[str, np.ndarray]) -> str:
        """Return the SHA-256 of the export, and of the names, types, shapes and values of arrays."""
        digest = hashlib.sha256(f"{STATE_VERSION} {self.graphs.digest}".encode())
        for name, array in sorted(state.items()):
            digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
        return digest.hexdigest()

    def _draw_prompts(
        self, frame: np.ndarray, mask: np.ndarray, prompts: Mapping[int, Prompt | Point]
    ) -> np.ndarray:
        """Return the object ids H×W of prompts, and of a mask H×W where it has other objects."""
        prediction = segment_prompts(self.graphs, frame, prompts, mask)
        for object_id in prediction.ids:
            has_pixels = object_id in prediction.labels
            require(has_pixels, f"object {object_id}: no pixel found there; give another box or point")
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
        background = np.prod([group[:1] for group in probabilities], axis=0)
        merged = np.concatenate([background, *(group[1:] for group in probabilities)])
        np.clip(merged, 1e-5, 1 - 1e-5, out=merged)
        merged /= 1 - merged
        return np.log(merged, out=merged)

    def _overwrite_with_mask(self, prediction: Prediction, mask: np.ndarray) -> Prediction:
        """Return a prediction with the objects of a mask H×W there and nowhere else; new ids come last."""
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
