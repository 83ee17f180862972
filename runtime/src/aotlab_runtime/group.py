"""Groups of objects, with their long-term and short-term memory.

RMem is Restricted Memory Banks Improve Video Object Segmentation (Zhou, Pang, Wang; CVPR 2024).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aotlab_runtime.graphs import Tensors

MOMENTUM = 0.8
"""weight of the newest relevance in its running mean (RMem)"""


class Group:
    """Up to M objects that share one pass of the model; their memory is the keys and values of stored frames.

    Short-term memory is the frame ``short_term_skip`` steps back. Long-term memory holds at most ``frames`` frames:
    reference frames, which are those with a mask, and every ``every``-th tracked frame, at most ``newest`` of them.
    When it is full, the policy decides which tracked frame is evicted:

    * ``bounded_fifo``: the oldest. With ``newest: 0``, no tracked frame is stored (exported for ``first_frame``).
    * ``restricted`` (RMem): the one with the lowest score. With ``score_early``, frames are scored before memory is
      full too.

    Nothing is changed in place, so a ``copy`` is independent.
    """

    def __init__(self, settings: Mapping[str, Any], length: int | None, ids: tuple[int, ...] = ()) -> None:
        """Create a group; ``settings``: ``config.memory`` of the export; ``length``: frames of the video, if known."""
        self.ids = ids
        """object id of each identity from 1 on; 0 if forgotten"""
        self.settings = settings
        self.every: int = settings["every"]
        if length is not None and settings["insertions"] is not None:
            self.every = max(round(length / settings["insertions"]), self.every)
        self.frames_until_stored = 0
        """number of tracked frames to skip before the next one that long-term memory may store"""
        self.long: Tensors = {
            "is_reference": np.empty(0, bool),
            "relevance": np.empty(0),  # running mean; NaN before the first update
            "updates": np.empty(0, int),  # number of updates, including that of its own step
        }
        """frames in long-term memory, oldest first: T values each, and keys and values T×L×C by the graphs' names"""
        self.short: Tensors = {}
        """keys and values of the last ``short_term_skip`` frames, S×L×C, oldest first; the oldest is read"""

    @property
    def identities(self) -> list[int]:
        """Identities of the objects, without forgotten ones."""
        return [identity for identity, object_id in enumerate(self.ids, start=1) if object_id]

    def add_reference(self, memory: Tensors) -> None:
        """Store a reference frame, and make it the only frame in short-term memory.

        If memory is full, the oldest tracked frame is evicted; without one, the second reference frame.
        """
        self.frames_until_stored = self.every - 1
        if self._is_full:
            tracked = self._tracked_positions
            self._evict(tracked[0] if tracked.size else 1)
        self.short = append_frame({}, select(memory, "_short_"))
        self._store_long(memory, is_reference=True)

    def read(self) -> Tensors:
        """Return the memory that ``propagate`` reads: long-term 1×(T·L)×C, short-term 1×L×C."""
        long = {name: x.reshape(1, -1, x.shape[2]) for name, x in select(self.long, "_long_").items()}
        return long | {name: frames[:1] for name, frames in self.short.items()}

    @property
    def needs_relevance(self) -> bool:
        """Whether `add` needs relevance for the next tracked frame."""
        is_scored = self._is_full or self.settings["score_early"]
        return self.settings["policy"] == "restricted" and is_scored and not self.frames_until_stored

    def add(self, memory: Tensors, relevance: np.ndarray | None = None) -> None:
        """Store a tracked frame; ``relevance``: T values, of each stored frame to this one, if `needs_relevance`."""
        short = append_frame(self.short, select(memory, "_short_"))
        self.short = {name: frames[-self.settings["short_term_skip"] :] for name, frames in short.items()}
        if self.frames_until_stored:
            self.frames_until_stored -= 1
            return
        self.frames_until_stored = self.every - 1
        if relevance is not None:
            self._update_relevance(relevance)
        tracked = self._tracked_positions
        if self._is_full or tracked.size >= self.settings["newest"]:
            if not tracked.size:  # a tracked frame never replaces a reference frame
                return
            position = tracked[0]
            if relevance is not None and relevance.any():
                scores = score_frames(self.long["relevance"], self.long["updates"])
                position = tracked[scores[tracked].argmin()]
            self._evict(position)
        self._store_long(memory, updates=int(relevance is not None))

    def state_dict(self) -> Tensors:
        """Return the arrays with which `load_state_dict` resumes."""
        return {"frames_until_stored": np.array(self.frames_until_stored), **self.long, **self.short}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume from a `state_dict`."""
        self.frames_until_stored = int(state["frames_until_stored"])
        self.short = select(state, "_short_")
        self.long = {name: state[name] for name in self.long} | select(state, "_long_")

    @property
    def _is_full(self) -> bool:
        return len(self.long["is_reference"]) >= self.settings["frames"]

    @property
    def _tracked_positions(self) -> np.ndarray:
        """Positions of tracked frames in long-term memory, oldest first."""
        return np.flatnonzero(~self.long["is_reference"])

    def _update_relevance(self, relevance: np.ndarray) -> None:
        """Update the running means with the relevance T to the newest frame, uniform if that has no object."""
        newest = relevance.astype(float) if relevance.any() else np.full(len(relevance), 1 / len(relevance))
        mean = MOMENTUM * newest + (1 - MOMENTUM) * self.long["relevance"]
        means = np.where(np.isnan(mean), newest, mean)
        self.long = self.long | {"relevance": means, "updates": self.long["updates"] + 1}

    def _store_long(self, memory: Tensors, *, is_reference: bool = False, updates: int = 0) -> None:
        values = {"is_reference": is_reference, "relevance": np.nan, "updates": updates}
        frame = {name: np.array([value]) for name, value in values.items()} | select(memory, "_long_")
        self.long = append_frame(self.long, frame)

    def _evict(self, position: int) -> None:
        """Remove a frame from long-term memory."""
        self.long = {name: np.delete(frames, position, axis=0) for name, frames in self.long.items()}


def score_frames(relevance: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """Return R + 1.5·√(ln Σn / (n + 8)) of T frames with relevance R and n updates (RMem, section 3.2).

    The first frame counts as updated T times.
    """
    n = np.array([len(updates), *updates[1:]])
    return relevance + 1.5 * np.sqrt(np.log(n.sum()) / (n + 8))


def append_frame(stored: Tensors, frame: Tensors) -> Tensors:
    """Append a frame, 1×… each, to the stored frames T×…."""
    return {name: np.concatenate([stored.get(name, x[:0]), x]) for name, x in frame.items()}


def select(tensors: Mapping[str, np.ndarray], part: str) -> Tensors:
    """Return the tensors whose names contain a part."""
    return {name: x for name, x in tensors.items() if part in name}
