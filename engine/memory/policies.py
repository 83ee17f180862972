"""Memory policies: the frames to store in long-term memory and to evict from it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import POLICY_PLUGINS, describe_object, find_plugin, is_built_in
from aotlab.utils.text import join_truncated

MOMENTUM = 0.8
"""Weight of the newest relevance in its running mean, as in PyTorch's BatchNorm (RMem)."""
BONUS = 1.5
"""Weight of the bonus for frames with few updates (RMem, section 3.2)."""
PRIOR_UPDATES = 8.0
"""Number added to every frame's updates (RMem)."""


class Decision(NamedTuple):
    """Decision of a policy about a new frame."""

    store: bool
    """Whether to store it in long-term memory."""
    evict: int | None = None
    """Position of the frame to evict before storing; None keeps all."""


class MemoryPolicy(ABC):
    """Decides which frames long-term memory keeps."""

    every: float
    """Interval in frames between stored ones."""
    capacity: int | None
    """Largest number of frames in long-term memory; None if unbounded."""

    def needs_relevance(self, num_frames: int) -> bool:
        """Return whether `decide` reads relevance when long-term memory holds ``num_frames`` frames."""
        return False

    @abstractmethod
    def decide(
        self, frames: Sequence[int], evictable: Sequence[int], index: int, relevance: FrameRelevance | None
    ) -> Decision:
        """Return whether to store the new frame, and which frame to evict for it; called every ``every`` frames.

        Args:
            frames: indices of the stored frames, oldest first; they count from the bank's first frame.
            evictable: positions in ``frames`` of tracked frames, oldest first; only these may be evicted.
            index: index of the new frame.
            relevance: relevance of the stored frames to the new one; None unless `needs_relevance`.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the statistics that `decide` needs, as plain Python values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  # no state by default
        """Continue from the state of a policy with the same settings."""


def ask_policy(
    policy: MemoryPolicy,
    frames: Sequence[int],
    evictable: Sequence[int],
    index: int,
    relevance: FrameRelevance | None,
) -> Decision:
    """Return the policy's decision about a frame; arguments as `MemoryPolicy.decide`.

    Raises:
        InputError: that of a plug-in is not a `Decision`, evicts a frame that must stay, or exceeds the capacity.
    """
    decision = policy.decide(frames, evictable, index, relevance)
    if is_built_in(type(policy)):
        return decision
    subject = describe_object(policy.decide)
    if not (isinstance(decision, tuple) and len(decision) == 2):
        raise InputError(f"returned {decision!r}", subject=subject, remedy="expected Decision(store, evict)")
    store, evict = decision
    if not store:
        return Decision(store=False)
    if evict is not None and evict not in evictable:
        problem = f"evicts position {evict!r}, but may evict {join_truncated(evictable) or 'no frame'}"
        raise InputError(problem, subject=subject, remedy="choose one of evictable")
    count = len(frames) + 1 - (evict is not None)
    if policy.capacity is not None and count > policy.capacity:
        problem = f"stores frame {index} as number {count} of a memory of {policy.capacity}"
        raise InputError(problem, subject=subject, remedy="evict one, or do not store it")
    return Decision(True, evict)


@dataclass(frozen=True)
class FIFO(MemoryPolicy):
    """Stores reference frames and every ``every``-th frame; a full memory evicts the oldest tracked frame.

    Without ``capacity`` all are kept (AOT-L); if ``every`` is infinite, reference frames only (AOT-T, -S, -B).
    ``max_tracked``: largest number of tracked frames; None: all that fit into the capacity.
    """

    every: float
    capacity: int | None = None
    max_tracked: int | None = None

    def decide(
        self, frames: Sequence[int], evictable: Sequence[int], index: int, relevance: FrameRelevance | None
    ) -> Decision:
        """Evict the oldest tracked frame of a full memory; if there is no tracked frame, do not store the new one."""
        full = self.capacity is not None and len(frames) >= self.capacity
        if self.max_tracked is not None:
            full = full or len(evictable) >= self.max_tracked
        if not full:
            return Decision(store=True)
        return Decision(True, evictable[0]) if evictable else Decision(store=False)


@dataclass
class ScoredPolicy(MemoryPolicy):
    """Stores reference frames and every ``every``-th frame; a full memory evicts the tracked frame of lowest score.

    The newest frame has no score yet and is kept. ``score_early``: update relevance while there is room, as the
    published DeAOT models do.
    """

    every: int
    capacity: int
    score_early: bool = False
    running: dict[int, float] = field(default_factory=dict, init=False)
    """Running relevance of each stored frame."""
    updates: dict[int, int] = field(default_factory=dict, init=False)
    """Times each frame was scored; storing counts once if that step scored other frames (as published)."""

    def decide(
        self, frames: Sequence[int], evictable: Sequence[int], index: int, relevance: FrameRelevance | None
    ) -> Decision:
        """Evict the tracked frame of lowest score from a full memory, the oldest on ties or without foreground."""
        if relevance is None:  # memory has room, and is not scored before it is full
            return Decision(store=True)
        shares = to_host(relevance.shares)
        foreground = shares.any()
        self._update(frames, index, shares if foreground else np.full(len(frames), 1 / len(frames)))
        if len(frames) < self.capacity:
            return Decision(store=True)
        if not evictable:
            return Decision(store=False)
        if not foreground:
            return Decision(True, evictable[0])
        running = np.array([self.running[frame] for frame in frames])
        scores = self.score(running, [self.updates[frame] for frame in frames], relevance.keys)
        return Decision(True, min(evictable, key=scores.__getitem__))

    def needs_relevance(self, num_frames: int) -> bool:
        """Return whether to score when long-term memory holds ``num_frames`` frames."""
        return self.score_early or num_frames >= self.capacity

    @abstractmethod
    def score(self, running: np.ndarray, updates: Sequence[int], keys: Tensor) -> np.ndarray:
        """Score T frames by running relevance R and updates n, T each, and by their keys T×L×C."""

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of running relevance and updates."""
        return {"running": {**self.running}, "updates": {**self.updates}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from running relevance and updates."""
        self.running, self.updates = {**state["running"]}, {**state["updates"]}

    def _update(self, frames: Sequence[int], index: int, shares: np.ndarray) -> None:
        """Update R and n of the T stored frames by their shares T; the new frame counts one update."""
        self.running = {
            frame: MOMENTUM * share + (1 - MOMENTUM) * self.running[frame] if frame in self.running else share
            for frame, share in zip(frames, shares.tolist(), strict=True)
        }
        self.updates = {frame: self.updates.get(frame, 0) + 1 for frame in (*frames, index)}


@dataclass
class RMem(ScoredPolicy):
    """Scores by relevance with a bonus for frames with few updates (RMem, section 3.2)."""

    def score(self, running: np.ndarray, updates: Sequence[int], keys: Tensor) -> np.ndarray:
        """Return the upper confidence bound R + 1.5·√(ln Σn / (n + 8)).

        The n of the reference frame, the first, is fixed to the number of stored frames, T.
        """
        n = np.array([len(updates), *updates[1:]], float)
        return running + BONUS * np.sqrt(math.log(n.sum()) / (n + PRIOR_UPDATES))


@dataclass
class ERMU(ScoredPolicy):
    """Scores by relevance with a penalty for frames that resemble others (ERMU)."""

    weight: float = 4.0
    slope: float = 10.0
    threshold: float = 0.4

    def score(self, running: np.ndarray, updates: Sequence[int], keys: Tensor) -> np.ndarray:
        """Return weight·R + 1 / (1 + exp(slope·(redundancy - threshold)))."""
        redundancy = to_host(compute_redundancy(keys))
        return self.weight * running + 1 / (1 + np.exp(self.slope * (redundancy - self.threshold)))


def to_host(tensor: Tensor) -> np.ndarray:
    """Copy to the CPU as float64; synchronizes."""
    return tensor.float().cpu().numpy().astype(np.float64)


def compute_redundancy(keys: Tensor) -> Tensor:
    """Return each frame's share of the similarity of keys T×L×C: T, sums to 1 but for rounding to 4 decimals.

    Each channel of a frame is normalized over its tokens, as published. Shares may be negative; all are 0 if nothing is
    similar.
    """
    unit_keys = F.normalize(keys.float(), dim=1).flatten(1)  # T×(L·C)
    similarity = (unit_keys @ unit_keys.T).fill_diagonal_(0)  # T×T
    total = similarity.sum()
    shares = similarity.sum(1) / torch.where(total == 0, 1, total)
    # Rounded in float32 as published: nearly equal frames tie, and the oldest is evicted.
    return (shares * 1e4).round() / 1e4


def build_policy(config: MemoryConfig, *, training: bool = False, length: int | None = None) -> MemoryPolicy:
    """Return a policy with its own state for one bank.

    In training every bounded policy evicts the oldest frame. ``length``: number of frames of the video, if known. A
    plug-in's policy is made by calling it with the settings, whose ``every`` is the interval to use.
    """
    every = config.every_in_training if training else config.every
    if not training and length is not None and config.max_stored is not None:
        every = max(round(length / config.max_stored), every)
    if training and config.is_bounded:
        return FIFO(every, config.frames, config.max_tracked)
    match config.policy:
        case "first_frame":
            return FIFO(math.inf)
        case "every_nth":
            return FIFO(every)
        case "bounded_fifo":
            return FIFO(every, config.frames, config.max_tracked)
        case "rmem":
            return RMem(every, config.frames, config.score_early)
        case "ermu":
            return ERMU(
                every,
                config.frames,
                config.score_early,
                weight=config.relevance_weight,
                slope=config.redundancy_slope,
                threshold=config.redundancy_threshold,
            )
    policy: MemoryPolicy = find_plugin(POLICY_PLUGINS, config.policy)(config.replace(every=every))
    return policy
