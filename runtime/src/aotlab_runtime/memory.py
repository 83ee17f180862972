"""Long-term and short-term memory of a group of objects, and the frames that stay in it."""

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
PRIOR_UPDATES = 8.0
"""number added to every frame's updates (RMem)"""


class Memory:
    """Keys and values of stored frames, of all blocks; never changed in place, so a ``copy`` is independent.

    Long-term memory holds reference frames (those with a given mask) and one frame in ``every``, at most ``frames``;
    short-term memory is the frame before. ``bounded_fifo`` evicts the oldest tracked frame, ``restricted`` (RMem) the
    one with the lowest `_score`. A model whose only long-term memory is reference frames is exported as
    ``bounded_fifo`` with ``newest`` 0.
    """

    def __init__(self, settings: Mapping[str, Any], length: int | None) -> None:
        """``settings``: ``config.memory`` of the export; ``length``: number of frames of the video, if known."""
        self._settings, self._every = settings, settings["every"]
        if length is not None and settings["insertions"] is not None:
            self._every = max(round(length / settings["insertions"]), self._every)
        self.frames: list[int] = []
        """indices of the frames in long-term memory, oldest first, counted from the group's first frame"""
        self.references: list[int] = []
        """indices of the reference frames in long-term memory"""
        self.last_index = -1
        """index of the last frame, stored or not"""
        self.last_decision = 0
        """index of the last frame that was a reference or due; the next one is due ``every`` frames later"""
        self.running: dict[int, float] = {}
        """running relevance by frame (RMem)"""
        self.updates: dict[int, int] = {}
        """how often each frame was scored, the decision that stored it included (RMem)"""
        self.long: Tensors = {}
        """keys and values of these frames, T×L×C, by the name of the tensor"""
        self.short: Tensors = {}
        """keys and values of the last ``short_term_skip`` frames, oldest first, T×L×C; the oldest is read"""

    def read(self) -> Tensors:
        """Return the memory that ``propagate`` reads: long-term 1×(T·L)×C, short-term 1×L×C."""
        long = {name: frames.reshape(1, -1, frames.shape[2]) for name, frames in self.long.items()}
        return long | {name: frames[:1] for name, frames in self.short.items()}

    def add_reference(self, memory: Tensors) -> None:
        """Store a reference frame, and reset short-term memory to it.

        A full memory evicts its oldest tracked frame, or else the oldest reference frame after the first.
        """
        self.last_index += 1
        self.last_decision = self.last_index
        if len(self.frames) >= self._settings["frames"]:
            self._drop(self._tracked[0] if self._tracked else min(1, len(self.frames) - 1))
        self.references = [*self.references, self.last_index]
        self.short = {}
        self._store(memory, long=True)

    @property
    def needs_relevance(self) -> bool:
        """Whether `add` reads the relevance of the stored frames to the next frame."""
        settings = self._settings
        scored = settings["score_early"] or len(self.frames) >= settings["frames"]
        return settings["policy"] == "restricted" and scored and self._is_due

    def add(self, memory: Tensors, relevance: np.ndarray | None = None) -> None:
        """Store a tracked frame; ``relevance``: of the stored frames to it, T, if `needs_relevance`."""
        due, full, tracked = self._is_due, self._is_full, self._tracked
        self.last_index += 1
        scores = np.zeros(len(self.frames)) if relevance is None else self._score(relevance)
        if due:
            self.last_decision = self.last_index
        if due and full and tracked:
            self._drop(tracked[int(np.argmin(scores[tracked]))])
        self._store(memory, long=due and bool(tracked or not full))

    def state(self) -> tuple[dict[str, Any], Tensors]:
        """Return numbers for JSON, and tensors by name, with which `load` resumes."""
        numbers = {
            "frames": self.frames, "references": self.references, "last_index": self.last_index,
            "last_decision": self.last_decision, "running": [*self.running.items()], "updates": [*self.updates.items()],
        }  # fmt: skip
        return numbers, self.read() | self.short

    def load(self, numbers: Mapping[str, Any], tensors: Tensors) -> None:
        """Resume from a `state`."""
        self.frames, self.references = numbers["frames"], numbers["references"]
        self.last_index, self.last_decision = numbers["last_index"], numbers["last_decision"]
        self.running, self.updates = dict(numbers["running"]), dict(numbers["updates"])
        long, self.short = _split(tensors)
        self.long = {name: x.reshape(len(self.frames), -1, x.shape[2]) for name, x in long.items()}

    @property
    def _tracked(self) -> list[int]:
        """Positions of tracked frames, which may be evicted, oldest first."""
        return [place for place, frame in enumerate(self.frames) if frame not in self.references]

    @property
    def _is_full(self) -> bool:
        """Whether a tracked frame is stored in place of another."""
        settings = self._settings
        newest = settings["newest"] if settings["policy"] == "bounded_fifo" else None
        return len(self.frames) >= settings["frames"] or (newest is not None and len(self._tracked) >= newest)

    @property
    def _is_due(self) -> bool:
        """Whether the next frame is stored if memory has room for it."""
        return self.last_index + 1 - self.last_decision >= self._every

    def _score(self, shares: np.ndarray) -> np.ndarray:
        """Update the running relevance R and the updates n of T frames; return their scores.

        The score is the upper confidence bound R + 1.5·√(ln Σn / (n + 8)), all 0 if the frame has no foreground. The
        first frame counts as updated once per stored frame: n = T.
        """
        foreground = shares.any()
        if not foreground:
            shares = np.full(len(self.frames), 1 / len(self.frames))
        self.running = {
            frame: MOMENTUM * share + (1 - MOMENTUM) * self.running.get(frame, share)
            for frame, share in zip(self.frames, shares.tolist(), strict=True)
        }
        self.updates = {frame: self.updates.get(frame, 0) + 1 for frame in (*self.frames, self.last_index)}
        updates = np.array([len(self.frames), *(self.updates[frame] for frame in self.frames[1:])], float)
        bonus = BONUS * np.sqrt(math.log(updates.sum()) / (updates + PRIOR_UPDATES))
        return np.array(list(self.running.values())) + bonus if foreground else np.zeros(len(self.frames))

    def _store(self, memory: Tensors, *, long: bool) -> None:
        """Append the last frame to short-term memory and, if ``long``, to long-term memory."""
        long_frame, short_frame = _split(memory)
        skip = self._settings["short_term_skip"]
        self.short = {name: x[-skip:] for name, x in _append(self.short, short_frame).items()}
        if long:
            self.frames = [*self.frames, self.last_index]
            self.long = _append(self.long, long_frame)

    def _drop(self, position: int) -> None:
        """Drop a frame from long-term memory."""
        self.long = {name: np.delete(frames, position, axis=0) for name, frames in self.long.items()}
        frame = self.frames[position]
        self.frames = [kept for kept in self.frames if kept != frame]
        self.references = [kept for kept in self.references if kept != frame]


def _split(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """Split into long-term and short-term memory by name."""
    short = {name: tensor for name, tensor in tensors.items() if "_short_" in name}
    return {name: tensor for name, tensor in tensors.items() if name not in short}, short


def _append(stored: Tensors, frame: Tensors) -> Tensors:
    """Return tensors T×L×C with a frame's 1×L×C appended; the frame's if nothing is stored."""
    return {name: np.concatenate([stored[name], x]) if stored else x for name, x in frame.items()}
