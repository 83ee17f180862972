"""Memory banks: the frames in long-term and short-term memory, and the policies that evict frames.

RMem is Restricted Memory Banks Improve Video Object Segmentation (Zhou, Pang, Wang; CVPR 2024).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

MOMENTUM = 0.8  # weight of the newest relevance in its running mean (RMem)

Tensors = dict[str, np.ndarray]  # inputs and outputs of graphs, by name


class MemorySettings(TypedDict):
    """Settings of a `MemoryBank`, chosen at export."""

    policy: str  # bounded_fifo or rmem
    frames: int  # maximum number of frames in long-term memory
    every: int  # interval in frames between tracked frames that may be stored
    max_tracked: int  # maximum number of tracked frames in long-term memory
    max_stored: int | None  # number of frames to store of a video, if its length is known
    score_early: bool  # score frames before memory is full
    short_term_lag: int  # steps back to the frame in short-term memory


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """A frame in long-term memory."""

    memory: Tensors  # keys and values of all blocks, 1×L×C each
    index: int = 0  # number of the bank's frames before it
    is_reference: bool = False  # it has a mask
    relevance: float | None = None  # running mean; None before the first update
    updates: int = 0  # number of scorings, counting its own storing if that was scored

    def update_relevance(self, newest: float) -> "StoredFrame":
        """Return the frame with its relevance to the newest frame in the running mean."""
        mean = newest if self.relevance is None else MOMENTUM * newest + (1 - MOMENTUM) * self.relevance
        return replace(self, relevance=mean, updates=self.updates + 1)


@dataclass(eq=False)
class MemoryBank:
    """The memory of a group of up to M objects, which share one pass of the model.

    Short-term memory is one earlier frame. Long-term memory holds reference frames, which are those with a mask, and
    some tracked frames. When it is full, the policy decides which tracked frame is evicted:

    * ``bounded_fifo``: the oldest. If ``max_tracked`` is 0, as in exports of ``first_frame``, none is ever stored.
    * ``rmem`` (RMem): the one with the lowest score; the oldest if the newest frame has no objects.

    Nothing is changed in place, so a ``copy`` is independent.
    """

    settings: MemorySettings
    length: int | None  # number of frames of the video, if known
    object_ids: Sequence[int] = ()  # by identity, from 1 on; below -1 if forgotten
    frames_since_decision: int = 0  # number of tracked frames since the policy last decided about one
    long: Sequence[StoredFrame] = ()  # long-term memory, oldest first
    short: Sequence[Tensors] = ()  # the last ``short_term_lag`` frames, oldest first; the oldest is read
    num_frames: int = 0  # number of frames that were added, stored or not

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "MemoryBank":
        """Return a bank from its ``dataclasses.asdict``."""
        return cls(**{**state, "long": [StoredFrame(**frame) for frame in state["long"]]})

    def list_ids(self, max_objects: int) -> np.ndarray:
        """Return the object id of each of M identities, -1 without an object."""
        return np.array([*self.object_ids, *[-1] * (max_objects - len(self.object_ids))], np.int32)

    @property
    def is_due(self) -> bool:
        """Whether the policy decides about the next tracked frame; in long videos ``max_stored`` makes this rarer."""
        every, max_stored = self.settings["every"], self.settings["max_stored"]
        interval = max(round(self.length / max_stored), every) if self.length and max_stored else every
        return self.frames_since_decision + 1 >= interval

    @property
    def is_full(self) -> bool:
        """Whether long-term memory holds as many frames as it may."""
        return len(self.long) >= self.settings["frames"]

    @property
    def needs_relevance(self) -> bool:
        """Whether `add` needs the relevance of long-term memory to the next tracked frame."""
        is_scored = self.is_full or self.settings["score_early"]
        return is_scored and self.is_due and self.settings["policy"] == "rmem"

    @property
    def evictable(self) -> list[int]:
        """Positions in `long` of tracked frames, oldest first."""
        return [position for position, frame in enumerate(self.long) if not frame.is_reference]

    def read(self) -> Tensors:
        """Return the memory that ``propagate`` reads: long-term 1×(T·L)×C and the ages of its frames, short-term 1×L×C.

        Ages are counted in frames, for models that learn them.
        """
        names = self.long[0].memory
        long = {name: np.concatenate([frame.memory[name] for frame in self.long], axis=1) for name in names}
        ages = np.array([self.num_frames - frame.index for frame in self.long], np.int32)
        return long | self.short[0] | {"memory_ages": ages}

    def add_reference(self, long: Tensors, short: Tensors) -> None:
        """Store a reference frame, and make it the only frame in short-term memory."""
        if self.is_full:  # evict the oldest tracked frame; without one, the second reference frame
            self._evict(self.evictable[0] if self.evictable else 1)
        self.long = [*self.long, StoredFrame(long, self.num_frames, is_reference=True)]
        self.short, self.num_frames = [short], self.num_frames + 1
        self.frames_since_decision = 0

    def add(self, long: Tensors, short: Tensors, relevance: np.ndarray | None = None) -> None:
        """Store a tracked frame; ``relevance``: of the T frames in long-term memory to it, if `needs_relevance`."""
        self.short, index = [*self.short, short][-self.settings["short_term_lag"] :], self.num_frames
        self.num_frames += 1
        if not self.is_due:
            self.frames_since_decision += 1
            return
        self.frames_since_decision = 0
        has_objects = relevance is not None and relevance.any()
        if relevance is not None:
            shares = relevance if has_objects else np.full(len(relevance), 1 / len(relevance))
            self.long = list(map(StoredFrame.update_relevance, self.long, shares.tolist()))
        if self.is_full or len(self.evictable) >= self.settings["max_tracked"]:
            if not self.evictable:  # reference frames are not replaced
                return
            scores = score_frames(self.long) if has_objects else np.zeros(len(self.long))
            self._evict(min(self.evictable, key=scores.__getitem__))  # of equal scores the oldest
        self.long = [*self.long, StoredFrame(long, index, updates=int(relevance is not None))]

    def _evict(self, position: int) -> None:
        """Remove a frame from long-term memory."""
        self.long = [*self.long[:position], *self.long[position + 1 :]]


def score_frames(frames: Sequence[StoredFrame]) -> np.ndarray:
    """Return R + 1.5·√(ln Σn / (n + 8)) of T frames with relevance R and n updates (RMem, section 3.2)."""
    relevance = np.array([frame.relevance for frame in frames])
    n = np.array([len(frames), *(frame.updates for frame in frames[1:])])  # that of the first frame is T
    return relevance + 1.5 * np.sqrt(np.log(n.sum()) / (n + 8))
