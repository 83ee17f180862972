"""A group of objects, and their long-term and short-term memory.

RMem is Restricted Memory Banks Improve Video Object Segmentation (Zhou, Pang, Wang; CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aotlab_runtime.graphs import Tensors

MOMENTUM = 0.8
"""weight of the newest relevance in its running mean (RMem)"""
FRAME_DTYPE = np.dtype([("reference", bool), ("relevance", float), ("updates", int)])
"""a stored frame: whether it is a reference frame; running mean of its relevance, NaN before the first update; number
of updates, including its insertion if the other frames were updated then (RMem)"""


class Group:
    """Up to M objects that share one pass of the model; their memory is the keys and values of stored frames.

    Long-term memory holds reference frames (those with a mask) and one in ``every`` tracked frames: at most
    ``frames`` in all, ``newest`` of them tracked. ``bounded_fifo`` evicts the oldest tracked frame, ``restricted``
    (RMem) the one with the lowest score; ``score_early`` scores frames before memory is full, too. ``first_frame``,
    which stores reference frames only, is exported as ``bounded_fifo`` with ``newest: 0``. Short-term memory is the
    frame ``short_term_skip`` steps back. Nothing is changed in place, so a ``copy`` is independent.
    """

    def __init__(self, settings: Mapping[str, Any], length: int | None, ids: tuple[int, ...] = ()) -> None:
        """Create a group; ``settings``: ``config.memory`` of the export; ``length``: frames of the video, if known."""
        self.ids = ids
        """object id of each identity from 1 on; 0 if forgotten"""
        self.settings = settings
        self.every: int = settings["every"]
        if length is not None and settings["insertions"] is not None:
            self.every = max(round(length / settings["insertions"]), self.every)
        self.until_candidate = 0
        """number of tracked frames to skip before one is considered for long-term memory"""
        self.frames = np.empty(0, FRAME_DTYPE)
        """the frames in long-term memory, T, oldest first"""
        self.long: Tensors = {}
        """keys and values of these frames, T×L×C, by the name of the tensor"""
        self.short: Tensors = {}
        """keys and values of the last ``short_term_skip`` frames, S×L×C, oldest first; the oldest is read"""

    @property
    def identities(self) -> list[int]:
        """Identities of the objects, without forgotten ones."""
        return [identity for identity, object_id in enumerate(self.ids, start=1) if object_id]

    def add_reference(self, memory: Tensors) -> None:
        """Store a reference frame, and reset short-term memory to it.

        A full memory evicts its oldest tracked frame, or else the oldest reference frame after the first.
        """
        self.until_candidate = self.every - 1
        if self._is_full:
            self._evict(next(iter(self._tracked_positions), 1))
        self.short = append_frame({}, memory, "_short_")
        self._store_long(memory, reference=True)

    def read(self) -> Tensors:
        """Return the memory that ``propagate`` reads: long-term 1×(T·L)×C, short-term 1×L×C."""
        long = {name: frames.reshape(1, -1, frames.shape[2]) for name, frames in self.long.items()}
        return long | {name: frames[:1] for name, frames in self.short.items()}

    @property
    def needs_relevance(self) -> bool:
        """Whether `add` needs relevance for the next tracked frame."""
        is_scored = self.settings["policy"] == "restricted" and (
            self._is_full or self.settings["score_early"]
        )
        return is_scored and not self.until_candidate

    def add(self, memory: Tensors, relevance: np.ndarray | None = None) -> None:
        """Store a tracked frame; ``relevance``: T, of the stored frames to this one, if `needs_relevance`."""
        short = append_frame(self.short, memory, "_short_")
        self.short = {name: frames[-self.settings["short_term_skip"] :] for name, frames in short.items()}
        if self.until_candidate:
            self.until_candidate -= 1
            return
        self.until_candidate = self.every - 1
        if relevance is not None:
            self._update_relevance(relevance)
        tracked = self._tracked_positions
        if self._is_full or len(tracked) >= self.settings["newest"]:
            if not tracked:
                return
            position = tracked[0]
            if relevance is not None and relevance.any():
                scores = score_frames(self.frames["relevance"], self.frames["updates"])
                position = min(tracked, key=scores.__getitem__)
            self._evict(position)
        self._store_long(memory, updates=int(relevance is not None))

    def state_dict(self) -> Tensors:
        """Return the arrays with which `load_state_dict` resumes."""
        statistics = {"frames": self.frames, "until_candidate": np.array(self.until_candidate)}
        return statistics | self.long | self.short

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume from a `state_dict`."""
        self.frames, self.until_candidate = state["frames"], int(state["until_candidate"])
        self.long = {name: tensor for name, tensor in state.items() if "_long_" in name}
        self.short = {name: tensor for name, tensor in state.items() if "_short_" in name}

    @property
    def _is_full(self) -> bool:
        return len(self.frames) >= self.settings["frames"]

    @property
    def _tracked_positions(self) -> list[int]:
        """Positions of tracked frames, oldest first; only these can be evicted for a tracked frame."""
        return np.flatnonzero(~self.frames["reference"]).tolist()

    def _update_relevance(self, relevance: np.ndarray) -> None:
        """Update the running means by the newest relevance T, uniform if the new frame has no object."""
        self.frames = frames = self.frames.copy()
        relevance = relevance.astype(float) if relevance.any() else np.full(len(frames), 1 / len(frames))
        mean = MOMENTUM * relevance + (1 - MOMENTUM) * frames["relevance"]
        frames["relevance"] = np.where(np.isnan(mean), relevance, mean)
        frames["updates"] += 1

    def _store_long(self, memory: Tensors, *, reference: bool = False, updates: int = 0) -> None:
        self.frames = np.append(self.frames, np.array([(reference, np.nan, updates)], FRAME_DTYPE))
        self.long = append_frame(self.long, memory, "_long_")

    def _evict(self, position: int) -> None:
        """Remove a frame from long-term memory."""
        self.frames = np.delete(self.frames, position)
        self.long = {name: np.delete(frames, position, axis=0) for name, frames in self.long.items()}


def score_frames(relevance: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """Return R + 1.5·√(ln Σn / (n + 8)) of T frames by relevance R and updates n, T for the first (RMem, 3.2)."""
    n = np.array([len(updates), *updates[1:]])
    return relevance + 1.5 * np.sqrt(np.log(n.sum()) / (n + 8))


def append_frame(stored: Tensors, memory: Tensors, kind: str) -> Tensors:
    """Append a frame 1×L×C to stored frames T×L×C, of the tensors whose names contain ``kind``."""
    return {name: np.concatenate([stored.get(name, x[:0]), x]) for name, x in memory.items() if kind in name}
