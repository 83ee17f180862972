"""What is remembered of a video: the bank that stores, and the policies that decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from configs.schema import MemoryConfig
from networks.block import BlockMemory, KeyValue

FrameMemory = Sequence[Sequence[BlockMemory]]
"""one frame's memory per stage and block: what long-term memory may keep of it, and what short-term memory takes in"""


class MemoryPolicy(Protocol):
    """Decides which frames become long-term memory, from frame numbers alone."""

    def wants(self, frame: int, last: int) -> bool:
        """Whether frame number ``frame`` is remembered, ``last`` being the newest one that is."""


@dataclass(frozen=True)
class FirstFrame:
    """Reference frames are the only long-term memory (AOT-T, -S, -B)."""

    def wants(self, frame: int, last: int) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class EveryNthFrame:
    """One frame in ``every`` is remembered besides the reference frames (AOT-L)."""

    every: int

    def wants(self, frame: int, last: int) -> bool:
        """When ``every`` frames have gone by."""
        return frame - last >= self.every


def build_policy(config: MemoryConfig, *, training: bool = False) -> MemoryPolicy:
    """The policy that ``config`` names."""
    if config.policy == "first_frame":
        return FirstFrame()
    return EveryNthFrame(config.every_in_training if training else config.every)


class MemoryBank:
    """Long-term and short-term memory of groups of objects that were first seen on the same frame.

    The groups (in training: the clips of a batch) are the batch axis of every tensor.
    """

    def __init__(self, policy: MemoryPolicy, short_term_skip: int = 1) -> None:
        self.policy = policy
        self.frames: list[int] = []
        """numbers of the frames in long-term memory, oldest first, counted from the bank's first frame"""
        self._frame = -1
        self._long: list[list[KeyValue]] = []
        self._short: deque[FrameMemory] = deque(maxlen=short_term_skip)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Bytes held by long-term memory."""
        return sum(x.numel() * x.element_size() for stage in self._long for kv in stage for x in kv)

    def read(self) -> list[list[BlockMemory]]:
        """What each block of each stage reads on the next frame."""
        reading = []
        for long, short in zip(self._long, self._short[0], strict=True):
            blocks = []
            for kept, newest in zip(long, short, strict=True):
                blocks.append(BlockMemory(kept, newest.short))
            reading.append(blocks)
        return reading

    def add_reference(self, memory: FrameMemory) -> None:
        """Take in a reference frame: always into long-term memory, and short-term memory restarts with it."""
        self._frame += 1
        self._short.clear()
        self._short.append(memory)
        self._extend(memory)

    def add(self, memory: FrameMemory) -> None:
        """Take in a tracked frame: short-term memory always, long-term memory when the policy wants it."""
        self._frame += 1
        self._short.append(memory)
        if self.policy.wants(self._frame, self.frames[-1]):
            self._extend(memory)

    def drop(self, place: int) -> None:
        """Forget the frame at ``place`` of `frames`, in all blocks; a frame has its own number of tokens per stage."""
        frames = len(self.frames)
        del self.frames[place]
        for stage in self._long:
            for index, block in enumerate(stage):
                tokens = block.key.shape[1] // frames
                start, stop = place * tokens, (place + 1) * tokens
                stage[index] = KeyValue(*(torch.cat([x[:, :start], x[:, stop:]], 1) for x in block))

    def _extend(self, memory: FrameMemory) -> None:
        """Append one frame to long-term memory."""
        self.frames.append(self._frame)
        if not self._long:
            self._long = [[block.long for block in stage] for stage in memory]
            return
        for stage, new_stage in zip(self._long, memory, strict=True):
            for index, (new, _) in enumerate(new_stage):
                old = stage[index]
                stage[index] = KeyValue(
                    torch.cat([old.key, new.key], 1), torch.cat([old.value, new.value], 1)
                )
