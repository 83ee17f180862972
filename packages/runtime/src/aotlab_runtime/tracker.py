"""`Tracker`: frames and masks in, masks out.

AOT (Yang, Wei, Yang; NeurIPS 2021) tracks a group of up to M objects in one pass. Each object has one of M identities,
numbered from 1; identity 0 is the background. The steps of a frame are methods of `Graphs`:

    first frame     encode, assign_identities(mask), propagate_reference, memorize
    other frames    encode, propagate, decode, labels = argmax(logits), assign_identities(labels), memorize
    later masks     encode, propagate, decode, labels = argmax(logits), overwritten by the mask,
                    assign_identities(labels), propagate_reference, memorize

``packages/runtime/examples/aot.py`` has the equations of AOT and DeAOT, in NumPy.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from aotlab_runtime.errors import require, shorten
from aotlab_runtime.files import pack_state, unpack_state
from aotlab_runtime.graphs import Graphs, Provider
from aotlab_runtime.inputs import Prompts, check_frame, check_mask, check_prompts, is_integer_between
from aotlab_runtime.memory import MemoryBank, Tensors
from aotlab_runtime.prediction import Prediction, softmax
from aotlab_runtime.segment import add_prompted_objects, segment_prompts

log = logging.getLogger(__name__)


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_export("exported")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, graphs: Graphs) -> None:
        """Create a tracker without objects."""
        message = f"graphs {shorten(graphs)}: expected Graphs; use Tracker.from_export(folder)"
        require(isinstance(graphs, Graphs), message)
        self.graphs = graphs
        self.reset()

    @classmethod
    def from_export(cls, folder: str | Path, *, provider: Provider = "cpu", threads: int | None = None) -> Tracker:
        """Load a model that ``aotlab export`` wrote; see `Graphs` for arguments and errors."""
        return cls(Graphs(folder, provider=provider, threads=threads))

    def reset(self, length: int | None = None) -> None:
        """Start a new video without objects; ``length``: its number of frames, if known."""
        is_count = length is None or is_integer_between(length, 0)
        require(is_count, f"reset: length must be a number of frames, got {shorten(length)}")
        self._length = None if length is None else int(length)
        self._frame_shape: tuple[int, ...] | None = None
        self.banks: list[MemoryBank] = []  # one for each group of objects

    def fresh(self) -> Tracker:
        """Return another tracker of the same model and settings, without objects or frames."""
        return Tracker(self.graphs)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return tuple(object_id for bank in self.banks for object_id in bank.object_ids if object_id > 0)

    def step(self, frame: ArrayLike, mask: ArrayLike | None = None, *, prompts: Prompts | None = None) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB.
            mask: H×W object ids. A mask of 0 and 255 is object 255; give ``mask > 0`` for object 1. Later masks may
                add objects. Where they are 0, objects absent from the mask keep their predicted pixels.
            prompts: a `Prompt` or a point (x, y) for each object id. The segmented objects replace those of ``mask``
                with the same ids, and never overwrite its other objects.

        Raises:
            InputError: unusable input. A failed step changes nothing.
        """
        image = check_frame(frame, self._frame_shape)
        size = image.shape[:2]
        object_mask = np.zeros(size, np.int64) if mask is None else check_mask(mask, size)
        checked_prompts = {} if prompts is None else check_prompts(prompts, size)
        if checked_prompts:
            object_mask = add_prompted_objects(self.graphs, image, checked_prompts, object_mask)
        has_mask = object_mask.any()
        require(has_mask or mask is None or self.banks, "mask: no objects; give ids above 0 where they are")

        banks = [copy(bank) for bank in self.banks]  # a failed step leaves the tracker unchanged
        features = self.graphs.encode(image) if banks or has_mask else {}
        propagated = [self.graphs.propagate(features, bank.read()) for bank in banks]
        decoded = [
            self.graphs.decode(tensors, features, image, np.arange(1, 1 + len(bank.object_ids), dtype=np.int32))
            for tensors, bank in zip(propagated, banks, strict=True)
        ]
        logits = merge_logits([tensors["logits"] for tensors in decoded], size)
        logits, forgotten = drop_forgotten(banks, logits)
        prediction = Prediction(self.ids, logits, self.graphs.temperature)
        if has_mask:
            prediction = self._overwrite_with_mask(prediction, object_mask)
            self._store_reference_frame(banks, features, prediction, forgotten)
        else:
            labels = np.where(prediction.labels > 0, prediction.labels, forgotten)
            self._store_tracked_frame(banks, propagated, decoded, labels)
        if self._frame_shape is None:
            self._warn_if_stretched(size)
        self.banks, self._frame_shape = banks, image.shape
        return prediction

    def prompt(self, frame: ArrayLike, prompts: Prompts) -> Prediction:
        """Segment objects of one frame from prompts by object id. Objects do not overlap. Memory does not change."""
        image = check_frame(frame, self._frame_shape)
        checked_prompts = check_prompts(prompts, image.shape[:2])
        return segment_prompts(self.graphs, image, checked_prompts, np.zeros(image.shape[:2], np.int64))

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: its pixels are background from the next frame on; its id can be reused."""
        is_tracked = is_integer_between(object_id, 1) and object_id in self.ids
        require(is_tracked, f"forget: object {shorten(repr(object_id))} is not tracked")
        unused_id = min(-1, *(tracked_id for bank in self.banks for tracked_id in bank.object_ids)) - 1
        for bank in self.banks:  # stored frames contain the identity, so it stays reserved
            bank.object_ids = [unused_id if tracked_id == object_id else tracked_id for tracked_id in bank.object_ids]
        self.banks = [bank for bank in self.banks if max(bank.object_ids) > 0]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state with which a tracker of the same export resumes this video, for `numpy.savez`."""
        banks = [asdict(bank) for bank in self.banks]  # a deep copy
        content = {"length": self._length, "frame_shape": self._frame_shape, "banks": banks}
        return pack_state({"export": self.graphs.digest, **content})

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume the video of a `state_dict`, which `numpy.load` reads; an invalid one changes nothing."""
        content = unpack_state(state, self.graphs.digest)
        banks = [MemoryBank.from_state(bank) for bank in content["banks"]]
        self.reset(content["length"])
        self.banks, self._frame_shape = banks, content["frame_shape"] and tuple(content["frame_shape"])

    def _overwrite_with_mask(self, prediction: Prediction, mask: np.ndarray) -> Prediction:
        """Replace the pixels of a mask's objects by the mask H×W; new ids come last."""
        mask_ids = np.unique(mask[mask > 0])
        labels = np.where((mask > 0) | np.isin(prediction.labels, mask_ids), mask, prediction.labels)
        new_ids = np.setdiff1d(mask_ids, prediction.ids)
        ids = (*prediction.ids, *new_ids.tolist())
        masks = labels == np.array([0, *ids])[:, None, None]
        return Prediction(ids, np.where(masks, np.float32(0), np.float32(-1e10)), prediction.temperature)

    def _store_reference_frame(
        self, banks: list[MemoryBank], features: Tensors, prediction: Prediction, forgotten: np.ndarray
    ) -> None:
        """Store a frame with a mask; new objects get free identities of the last group, then those of new groups."""
        new_ids = prediction.ids[len(self.ids) :]
        for object_id in new_ids:
            if not banks or len(banks[-1].object_ids) == self.graphs.max_objects:
                banks.append(MemoryBank(self.graphs.memory_settings, self._length))
            banks[-1].object_ids = [*banks[-1].object_ids, object_id]
        labels = np.where(prediction.labels > 0, prediction.labels, forgotten)
        for bank in banks:
            id_embeddings = self._assign_identities(bank, labels)
            for object_id, area in zip(bank.object_ids, id_embeddings["areas"].tolist(), strict=False):
                if object_id in new_ids and not area:
                    log.warning("object %d: too small to be tracked; export with a larger input.scale", object_id)
            propagated = self.graphs.propagate_reference(features, id_embeddings)
            bank.add_reference(*self.graphs.memorize(propagated, id_embeddings))

    def _store_tracked_frame(
        self, banks: list[MemoryBank], propagated: list[Tensors], decoded: list[Tensors], labels: np.ndarray
    ) -> None:
        """Store a frame without a mask, whose objects are those of the predicted labels H×W."""
        for bank, tensors, outputs in zip(banks, propagated, decoded, strict=True):
            relevance = None
            if bank.needs_relevance:
                relevance = self.graphs.compute_relevance(tensors, outputs["identity_logits"], bank.read())
            bank.add(*self.graphs.memorize(tensors, self._assign_identities(bank, labels)), relevance)

    def _assign_identities(self, bank: MemoryBank, labels: np.ndarray) -> Tensors:
        """Embed the objects of a group in labels H×W; objects of other groups are background."""
        return self.graphs.assign_identities(labels.astype(np.int32), bank.list_ids(self.graphs.max_objects))

    def _warn_if_stretched(self, size: tuple[int, int]) -> None:
        """Log a warning if the network's input has another aspect ratio than frames, beyond the rounding to tokens."""
        (height, width), (rows, columns) = size, self.graphs.network_size
        rounding = self.graphs.token_size // 2 + 1  # pixels of each side
        if abs(rows * width - columns * height) > rounding * (height + width):
            message = f"frames of {width}×{height} are stretched to {columns}×{rows} in the network"
            log.warning("%s; export with --size %dx%d", message, width, height)


def merge_logits(logits: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Merge the logits (1+m)×H×W of all groups to those of all identities in use; without objects, all background."""
    if not logits:
        return np.zeros((1, *size), np.float32)
    if len(logits) == 1:
        return logits[0]
    probabilities = [softmax(channels) for channels in logits]
    background = np.prod([channels[:1] for channels in probabilities], axis=0)  # as AOT's published code has it
    merged = np.concatenate([background, *(channels[1:] for channels in probabilities)]).clip(1e-5, 1 - 1e-5)
    return np.log(merged)


def drop_forgotten(banks: list[MemoryBank], logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count forgotten objects as background: its logit is the largest of its own and theirs.

    Return the logits (1+n)×H×W of the tracked objects, and the negative ids of forgotten ones where they are, H×W,
    0 elsewhere. They stay apart in memory.
    """
    ids = np.array([0, *(object_id for bank in banks for object_id in bank.object_ids)])
    is_tracked = ids > 0
    if is_tracked[1:].all():
        return logits, np.zeros(logits.shape[1:], np.int32)
    forgotten = np.minimum(ids[logits.argmax(0)], 0)
    return np.concatenate([logits[~is_tracked].max(0, keepdims=True), logits[is_tracked]]), forgotten
