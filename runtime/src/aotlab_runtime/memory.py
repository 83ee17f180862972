"""Long-term and short-term memory of a group of objects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from aotlab_runtime.graphs import Tensors

MOMENTUM = 0.8
"""weight of the newest relevance in its running mean (RMem)"""
BONUS = 1.5
"""weight of the bonus for frames with few updates (RMem, section 3.2)"""
PRIOR_UPDATES = 8
"""number added to every frame's updates (RMem)"""
FRAME = np.dtype([("reference", bool), ("relevance", float), ("updates", int)])
"""a stored frame: whether its mask was given; the running mean of its relevance, NaN before the first update; and the
number of updates, where its insertion counts as one if the other frames were updated then (RMem)"""


class Memory:
    """Keys and values of stored frames, of all blocks; never changed in place, so a ``copy`` is independent.

    Long-term memory holds reference frames (those with a given mask) and every n-th tracked frame, at most ``capacity``
    in all. ``bounded_fifo`` evicts the oldest tracked frame, ``restricted`` (RMem) the one with the lowest score.
    ``first_frame``, which stores reference frames only, is exported as ``bounded_fifo`` with ``newest: 0``. Short-term
    memory is the frame ``skip`` steps back.
    """

    def __init__(self, settings: Mapping[str, Any], length: int | None) -> None:
        """``settings``: ``config.memory`` of the export; ``length``: number of frames of the video, if known."""
        self.restricted: bool = settings["policy"] == "restricted"
        self.score_early: bool = settings["score_early"]
        """whether frames are scored before memory is full"""
        self.skip: int = settings["short_term_skip"]
        self.capacity: int = settings["frames"]
        """largest number of frames in long-term memory"""
        self.max_tracked: int = settings["newest"]
        """largest number of tracked (not reference) frames among them"""
        self.every: int = settings["every"]
        if length is not None and settings["insertions"] is not None:
            self.every = max(round(length / settings["insertions"]), self.every)
        self.since_candidate = 0
        """number of frames since the last one that was considered for long-term memory"""
        self.frames = np.empty(0, FRAME)
        """the frames in long-term memory, T, oldest first"""
        self.long: Tensors = {}
        """keys and values of these frames, T×L×C, by the name of the tensor"""
        self.short: Tensors = {}
        """keys and values of the last ``skip`` frames, at most, oldest first, T×L×C; the oldest is read"""

    def add_reference(self, memory: Tensors) -> None:
        """Store a reference frame, and reset short-term memory to it.

        A full memory evicts its oldest tracked frame, or else the oldest reference frame after the first.
        """
        self.since_candidate = 0
        if len(self.frames) >= self.capacity:
            evictable = self.evictable
            self._evict(evictable[0] if evictable else 1)
        self.short = {}
        self._store_short(memory)
        self._store_long(memory, reference=True)

    def read(self) -> Tensors:
        """Return the memory that ``propagate`` reads: long-term 1×(T·L)×C, short-term 1×L×C."""
        long = {name: frames.reshape(1, -1, frames.shape[2]) for name, frames in self.long.items()}
        return long | {name: frames[:1] for name, frames in self.short.items()}

    @property
    def needs_relevance(self) -> bool:
        """Whether `add` reads the relevance of the stored frames to the next tracked frame."""
        is_full = len(self.frames) >= self.capacity
        return self.restricted and self.is_due and (is_full or self.score_early)

    def add(self, memory: Tensors, relevance: np.ndarray | None = None) -> None:
        """Store a tracked frame; ``relevance``: T, of the stored frames to this one, if `needs_relevance`."""
        self._store_short(memory)
        if not self.is_due:
            self.since_candidate += 1
            return
        self.since_candidate = 0
        if relevance is not None:
            self._update_relevance(relevance)
        evictable = self.evictable
        if len(self.frames) >= self.capacity or len(evictable) >= self.max_tracked:
            if not evictable:
                return
            position = evictable[0]
            if relevance is not None and relevance.any():
                scores = score_frames(self.frames["relevance"], self.frames["updates"])
                position = min(evictable, key=scores.__getitem__)
            self._evict(position)
        self._store_long(memory, updates=int(relevance is not None))

    def state_dict(self) -> Tensors:
        """Return the arrays with which `load_state_dict` resumes."""
        statistics = {"frames": self.frames, "since_candidate": np.array(self.since_candidate)}
        return statistics | self.long | self.short

    def load_state_dict(self, state: Tensors) -> None:
        """Resume from a `state_dict`."""
        self.frames, self.since_candidate = state["frames"], int(state["since_candidate"])
        self.long = {name: x for name, x in state.items() if "_long_" in name}
        self.short = {name: x for name, x in state.items() if "_short_" in name}

    @property
    def is_due(self) -> bool:
        """Whether the next tracked frame is considered for long-term memory."""
        return self.since_candidate + 1 >= self.every

    @property
    def evictable(self) -> list[int]:
        """Positions of tracked frames, oldest first; a new tracked frame can only replace one of these."""
        return np.flatnonzero(~self.frames["reference"]).tolist()

    def _update_relevance(self, relevance: np.ndarray) -> None:
        """Update the running means by the newest relevance T, uniform if the new frame has no object."""
        self.frames = frames = self.frames.copy()
        relevance = relevance.astype(float) if relevance.any() else np.full(len(frames), 1 / len(frames))
        mean = MOMENTUM * relevance + (1 - MOMENTUM) * frames["relevance"]
        frames["relevance"] = np.where(np.isnan(mean), relevance, mean)
        frames["updates"] += 1

    def _store_long(self, memory: Tensors, *, reference: bool = False, updates: int = 0) -> None:
        self.frames = np.append(self.frames, np.array([(reference, np.nan, updates)], FRAME))
        self.long = append(self.long, memory, "_long_")

    def _store_short(self, memory: Tensors) -> None:
        short = append(self.short, memory, "_short_")
        self.short = {name: frames[-self.skip :] for name, frames in short.items()}

    def _evict(self, position: int) -> None:
        """Remove a frame from long-term memory."""
        self.frames = np.delete(self.frames, position)
        self.long = {name: np.delete(frames, position, axis=0) for name, frames in self.long.items()}


def score_frames(relevance: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """Return the upper confidence bounds R + 1.5·√(ln Σn / (n + 8)) of T frames by relevance R and updates n (RMem).

    The n of the first frame is fixed to T.
    """
    n = np.array([len(updates), *updates[1:]])
    return relevance + BONUS * np.sqrt(math.log(n.sum()) / (n + PRIOR_UPDATES))


def append(stored: Tensors, memory: Tensors, part: str) -> Tensors:
    """Return tensors T×L×C with those of a frame, 1×L×C, whose names contain ``part``, appended."""
    return {name: np.concatenate([stored.get(name, x[:0]), x]) for name, x in memory.items() if part in name}
