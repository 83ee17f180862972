"""Memory policies: which frames become long-term memory, and which of them goes when there is no room."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.schema import MemoryConfig
from aotlab.engine.relevance import FrameRelevance
from aotlab.networks.block import BlockMemory

RelevanceOf = Callable[[Tensor, int], FrameRelevance]
"""from the first block's keys B×(T·L)×C of T frames to their relevance to the newest frame"""
MOMENTUM = 0.8
"""weight of the newest relevance in its running mean (RMem)"""


class Bank(Protocol):
    """What a policy sees of a `MemoryBank`."""

    kept: list[list[int]]
    newest: int

    def __len__(self) -> int: ...

    def tracked(self, group: int) -> list[int]: ...

    def read(self) -> list[list[BlockMemory]]: ...


class MemoryPolicy:
    """Decides which frames long-term memory keeps.

    A policy that learns of its frames has ``state_dict`` and ``load_state_dict``, which tracker states store.
    """

    capacity: int | None
    """largest number of frames in long-term memory; None: unbounded"""
    every: float
    """frames from one that is stored to the next"""

    def evict(self, bank: Bank, relevance_of: RelevanceOf | None) -> list[int] | None:
        """Per group the index of the frame that makes room for the newest one; ``len(bank)`` is the newest itself.

        None if there is room. Policies that need ``relevance_of`` drop the oldest without it.
        """
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return what the policy has learnt of its frames: dictionaries, lists and numbers."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state, of which nothing is shared afterwards.

        Raises:
            ValueError: a state of another policy, or damaged; what reading a damaged one raises may be another error.
        """
        if state:
            raise ValueError(f"policy: {sorted(state)}")


@dataclass(frozen=True)
class FirstFrame(MemoryPolicy):
    """Reference frames are the only long-term memory (AOT-T, -S, -B)."""

    capacity = None
    every = math.inf


@dataclass(frozen=True)
class EveryNthFrame(MemoryPolicy):
    """One frame in ``every`` is remembered besides the reference frames, and all are kept (AOT-L)."""

    every: int
    capacity = None


@dataclass(frozen=True)
class BoundedFIFO(MemoryPolicy):
    """One frame in ``every`` is remembered, and the oldest that is no reference frame makes room for it.

    ``newest``: so many frames are kept besides the reference frames at most.
    """

    capacity: int
    every: int
    newest: int | None = None

    def evict(self, bank: Bank, relevance_of: RelevanceOf | None) -> list[int] | None:
        """The oldest tracked frame."""
        full = len(bank) >= self.capacity
        if self.newest is not None:
            full = full or len(bank.tracked(0)) >= self.newest
        return oldest(bank) if full else None


def oldest(bank: Bank) -> list[int]:
    """Index of every group's oldest tracked frame; ``len(bank)``, the newest frame's, where there is none."""
    return [next(iter(bank.tracked(group)), len(bank)) for group in range(len(bank.kept))]


@dataclass
class _ByRelevance(MemoryPolicy):
    """One frame in ``every`` is remembered, and the tracked frame of the lowest score makes room for it.

    The newest frame, which no frame has read yet, has no score and stays. Every group of objects decides for itself.
    ``early``: relevance is also updated while there is room, as in the published DeAOT models.
    """

    capacity: int
    every: int
    early: bool = False
    running: dict[int, dict[int, float]] = field(default_factory=dict)
    """running relevance by group and frame number"""
    counts: dict[int, dict[int, float]] = field(default_factory=dict)
    """how many updates a frame was part of, that of its own insertion included, by group and frame number"""

    def evict(self, bank: Bank, relevance_of: RelevanceOf | None) -> list[int] | None:
        """The tracked frame of the lowest score, the oldest of several, or of all if there was no foreground."""
        full = len(bank) >= self.capacity
        if relevance_of is None or not (full or self.early):
            return oldest(bank) if full else None
        found = relevance_of(bank.read()[0][0].long.key, len(bank))
        measured = torch.stack([found.relevance.double(), self.redundancies(found).double()], 1)
        evicted = []
        for group, (shares, redundancies) in enumerate(on_host(measured)):
            scores = self._scores(group, bank.kept[group], bank.newest, shares.tolist(), redundancies)
            candidates = bank.tracked(group)
            lowest = int(np.argmin(scores[candidates])) if candidates and any(shares) else 0
            evicted.append(candidates[lowest] if candidates else len(bank))
        return evicted if full else None

    def state_dict(self) -> dict[str, Any]:
        """Running relevance and numbers of updates."""
        return deepcopy({"running": self.running, "counts": self.counts})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from these."""
        self.running, self.counts = (
            {
                group: {frame: float(value) for frame, value in frames.items()}
                for group, frames in state[name].items()
            }
            for name in ("running", "counts")
        )

    def _scores(
        self, group: int, frames: Sequence[int], newest: int, shares: list[float], redundancies: np.ndarray
    ) -> np.ndarray:
        """Update the running relevance of a group's frames, and score them: T."""
        if not any(shares):
            shares = [1 / len(shares)] * len(shares)
        before, counts = self.running.get(group, {}), self.counts.get(group, {})
        self.running[group] = {
            frame: MOMENTUM * share + (1 - MOMENTUM) * before[frame] if frame in before else share
            for frame, share in zip(frames, shares, strict=True)
        }
        self.counts[group] = {frame: counts.get(frame, 0) + 1 for frame in (*frames, newest)}
        running = np.array(list(self.running[group].values()))
        return self.score(running, [self.counts[group][frame] for frame in frames], redundancies)

    def redundancies(self, found: FrameRelevance) -> Tensor:
        """Redundancy of each group's frames, B×T; zeros if `score` does not need it."""
        return torch.zeros_like(found.relevance)

    def score(self, running: np.ndarray, counts: Sequence[float], redundancies: np.ndarray) -> np.ndarray:
        """Scores of T frames by running relevance, counts and redundancy, T each."""
        raise NotImplementedError


@dataclass
class Restricted(_ByRelevance):
    """Relevance, and a bonus for frames that were part of few updates (RMem, section 3.2)."""

    bonus: float = 1.5
    prior: float = 8.0
    """updates that every frame is taken to have had before"""

    def score(self, running: np.ndarray, counts: Sequence[float], redundancies: np.ndarray) -> np.ndarray:
        """Upper confidence bound of relevance; the reference frame counts as updated once for each frame."""
        updates = np.array([len(counts), *counts[1:]], float)
        return running + self.bonus * np.sqrt(math.log(updates.sum()) / (updates + self.prior))


@dataclass
class RelevanceRedundancy(_ByRelevance):
    """Relevance, and a penalty for frames that are like the others (ERMU)."""

    weight: float = 4.0
    slope: float = 10.0
    threshold: float = 0.4

    def score(self, running: np.ndarray, counts: Sequence[float], redundancies: np.ndarray) -> np.ndarray:
        """Weighted relevance and a sigmoid that falls with redundancy."""
        return self.weight * running + 1 / (1 + np.exp(self.slope * (redundancies - self.threshold)))

    def redundancies(self, found: FrameRelevance) -> Tensor:
        """Redundancy of each group's frames, B×T."""
        return torch.stack([redundancy(keys) for keys in found.keys])


def on_host(tensor: Tensor) -> np.ndarray:
    """Copy to the host, which waits for the device: at most once per frame that a bank stores."""
    return tensor.cpu().numpy()


def redundancy(keys: Tensor) -> Tensor:
    """Each frame's share in the similarity of T×L×C keys: T, adds up to 1 but for rounding to 4 decimals.

    Zeros where nothing is similar. Shares may be negative.
    """
    flat = F.normalize(keys.float(), dim=1).flatten(1)  # T×(L·C)
    similarity = (flat @ flat.T).fill_diagonal_(0)  # T×T
    total = similarity.sum()
    shares = similarity.sum(1) / torch.where(total == 0, 1, total)
    # The published code rounds, in float32: frames that are as good as equal tie, and of these the oldest goes.
    return (shares * 1e4).round() / 1e4


def build_policy(config: MemoryConfig, *, training: bool = False, length: int | None = None) -> MemoryPolicy:
    """The policy that ``config`` names, with a memory of its own for one bank.

    In training every bounded policy drops the oldest. ``length``: frames of the video, if known.
    """
    every = config.every_in_training if training else config.every
    if not training and length is not None and config.insertions is not None:
        every = max(round(length / config.insertions), every)
    if config.policy == "first_frame":
        return FirstFrame()
    if config.policy == "every_nth":
        return EveryNthFrame(every)
    if training or config.policy == "bounded_fifo":
        return BoundedFIFO(config.frames, every, config.newest)
    if config.policy == "restricted":
        return Restricted(config.frames, every, config.score_early)
    return RelevanceRedundancy(
        config.frames, every, config.score_early,
        weight=config.relevance_weight, slope=config.redundancy_slope, threshold=config.redundancy_threshold,
    )  # fmt: skip
