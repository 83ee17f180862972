"""Memory bank: long-term and short-term memory of a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.policies import MemoryPolicy, ask_policy, build_policy
from aotlab.engine.memory.relevance import FrameRelevance
from aotlab.networks.model import BlockMemory, KeyValue, Memory


def concat_frames(frames: Sequence[KeyValue]) -> KeyValue:
    """Concatenate the tokens of frames, oldest first."""
    if len(frames) == 1:
        return frames[0]
    keys, values = zip(*frames, strict=True)
    return KeyValue(torch.cat(keys, 1), torch.cat(values, 1))


class FrameList:
    """Long-term memory of a block in training: a list of frames."""

    def __init__(self) -> None:
        self._frames: list[KeyValue] = []

    def append(self, frame: KeyValue) -> None:
        """Store a frame after the others."""
        self._frames.append(frame)

    def evict(self, position: int) -> None:
        """Remove a frame."""
        del self._frames[position]

    def read(self) -> KeyValue:
        """Return all frames, tokens concatenated in order."""
        return concat_frames(self._frames)


class FrameBuffer:
    """Long-term memory of a block in tracking: preallocated tensors that frames are copied to.

    They are written in place, so the result of an earlier `read` may change.
    """

    def __init__(self, capacity: int | None) -> None:
        """``capacity``: largest number of frames; None if unbounded. A full buffer grows by half."""
        self._capacity = capacity
        self._stores: list[Tensor] = []  # keys and values, B×T×L×C
        self._count, self._allocated = 0, 0

    def append(self, frame: KeyValue) -> None:
        """Copy a frame after the others."""
        if self._count == self._allocated:
            self._grow(frame)
        for store, x in zip(self._stores, frame, strict=True):
            store[:, self._count] = x
        self._count += 1

    def evict(self, position: int) -> None:
        """Remove a frame; later frames shift down."""
        for store in self._stores:
            for index in range(position + 1, self._count):
                store[:, index - 1] = store[:, index]
        self._count -= 1

    def read(self) -> KeyValue:
        """Return views of all frames, tokens in order."""
        key, value = self._stores
        return KeyValue(key[:, : self._count].flatten(1, 2), value[:, : self._count].flatten(1, 2))

    def _grow(self, frame: KeyValue) -> None:
        """Copy the frames to tensors with more room; ``frame`` gives shapes and types."""
        self._allocated += 1 + self._allocated // 2
        if self._capacity is not None:
            self._allocated = min(self._allocated, self._capacity)
        new_stores = [x.new_empty(len(x), self._allocated, *x.shape[1:]) for x in frame]
        for new, old in zip(new_stores, self._stores, strict=False):  # the first time, there are no old ones
            new[:, : self._count] = old[:, : self._count]
        self._stores = new_stores


class MemoryBank:
    """Long-term and short-term memory of a group of objects, or in training of a batch of clips.

    Frames have indices, which count from the bank's first frame.
    """

    def __init__(
        self, policy: MemoryPolicy, short_term_lag: int = 1, short_term_frames: int = 1, *, training: bool = False
    ) -> None:
        """``training``: store long-term memory in `FrameList`s, through which gradients flow, not in `FrameBuffer`s."""
        self.policy = policy
        self.frames: list[int] = []
        """Indices of the frames in long-term memory, oldest first."""
        self.references: list[int] = []
        """Indices of the reference frames among them."""
        self.last_index = -1
        """Index of the last frame, stored or not."""
        self._lag = short_term_lag
        self._last_decision = 0  # index of the last frame that was considered for long-term memory
        self._training = training
        self._long: list[list[FrameList | FrameBuffer]] = []  # by stage and block
        self._indices = torch.empty(0, dtype=torch.long)  # `frames` on the device, so that reading copies nothing to it
        # by frame, stage and block
        self._short: deque[list[list[KeyValue]]] = deque(maxlen=short_term_lag + short_term_frames - 1)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def evictable(self) -> list[int]:
        """Positions in `frames` of tracked frames, oldest first."""
        return [position for position, frame in enumerate(self.frames) if frame not in self.references]

    def read(self, *, short_term: bool = True) -> list[list[BlockMemory]]:
        """Return the memory that the next frame reads, ``memory[stage][block]``.

        ``short_term``: False returns zeros instead of short-term memory.
        """
        # skip the newest short_term_lag − 1 frames
        recent = list(self._short)[: max(1, len(self._short) - self._lag + 1)]
        memory: list[list[BlockMemory]] = []
        ages = self.last_index + 1 - self._indices
        for stage, blocks in enumerate(self._long):
            memory.append([])
            for block, long in enumerate(blocks):
                short = concat_frames([frame[stage][block] for frame in recent])
                if not short_term:
                    short = KeyValue(*map(torch.zeros_like, short))
                memory[stage].append(BlockMemory(long.read(), short, ages))
        return memory

    def add_reference(self, memory: Memory) -> None:
        """Store a reference frame in long-term memory, and reset short-term memory to it.

        A full bank evicts its oldest tracked frame, or else the oldest reference frame after the first.
        """
        self.last_index += 1
        self.clear_short_term()
        self._append_short(memory)
        if self.policy.capacity is not None and len(self) >= self.policy.capacity:
            self._evict_for_reference()
        self.references.append(self.last_index)
        self._last_decision = self.last_index
        self._store(memory)

    def clear_short_term(self) -> None:
        """Empty short-term memory, before the first frame after a cut is added."""
        self._short.clear()

    @property
    def keys(self) -> Tensor:
        """Keys B×(T·L)×C of the first block in long-term memory."""
        return self._long[0][0].read().key

    @property
    def is_due(self) -> bool:
        """Whether the next tracked frame may enter long-term memory."""
        return self.last_index + 1 - self._last_decision >= self.policy.every

    @property
    def needs_relevance(self) -> bool:
        """Whether the policy reads the relevance of long-term memory to the next tracked frame."""
        return self.is_due and self.policy.needs_relevance(len(self))

    def add(self, memory: Memory, relevance: FrameRelevance | None = None) -> None:
        """Store a tracked frame in short-term memory, and in long-term memory if the policy wants it.

        ``relevance``: relevance of long-term memory to this frame, if `needs_relevance`.
        """
        due = self.is_due
        self.last_index += 1
        self._append_short(memory)
        if not due:
            return
        store, evicted = ask_policy(self.policy, self.frames, self.evictable, self.last_index, relevance)
        self._last_decision = self.last_index
        if store:
            if evicted is not None:
                self.evict(evicted)
            self._store(memory)

    def evict(self, position: int) -> None:
        """Remove a frame from all blocks by its position in `frames`."""
        for blocks in self._long:
            for block in blocks:
                block.evict(position)
        del self.frames[position]
        self._indices = torch.cat([self._indices[:position], self._indices[position + 1 :]])

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state, in containers, numbers and tensors."""
        return {
            "frames": [*self.frames],
            "references": [*self.references],
            "last_index": self.last_index,
            "last_decision": self._last_decision,
            "policy": self.policy.state_dict(),
            "long": [[[x.clone() for x in block.read()] for block in blocks] for blocks in self._long],
            "short": [[[[x.clone() for x in block] for block in blocks] for blocks in frame] for frame in self._short],
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue on a device from the state of a tracking bank of the same settings.

        Raises an exception if the state does not fit; the bank must then be discarded.
        """
        self.frames, self.references = [*state["frames"]], [*state["references"]]
        self.last_index, self._last_decision = state["last_index"], state["last_decision"]
        self.policy.load_state_dict(state["policy"])
        self._long = [[self._load_frames(block, device) for block in blocks] for blocks in state["long"]]
        self._indices = torch.tensor(self.frames, device=device)
        for frame in state["short"]:
            self._short.append(
                [[KeyValue(*(x.to(device, copy=True) for x in block)) for block in blocks] for blocks in frame]
            )

    def _load_frames(self, frames: Sequence[Tensor], device: torch.device) -> FrameBuffer:
        """Copy the keys and values of a block, B×(T·L)×C, to a buffer on a device."""
        keys, values = (x.to(device).unflatten(1, (len(self), -1)).unbind(1) for x in frames)
        buffer = FrameBuffer(self.policy.capacity)
        for frame in zip(keys, values, strict=True):
            buffer.append(KeyValue(*frame))
        return buffer

    def _append_short(self, memory: Memory) -> None:
        """Append the newest frame to short-term memory."""
        self._short.append([[block.short for block in blocks] for blocks in memory])

    def _evict_for_reference(self) -> None:
        """Evict a frame for a new reference frame, the first one only if there is no other."""
        if self.evictable:
            self.evict(self.evictable[0])
        else:
            position = min(1, len(self.references) - 1)
            self.evict(position)
            del self.references[position]

    def _store(self, memory: Memory) -> None:
        """Append the newest frame to long-term memory."""
        key = memory[0][0].long.key
        if not self._long:
            self._indices = torch.empty(0, dtype=torch.long, device=key.device)
            self._long = [
                [FrameList() if self._training else FrameBuffer(self.policy.capacity) for _ in blocks]
                for blocks in memory
            ]
        self.frames.append(self.last_index)
        newest = torch.full((1,), self.last_index, device=key.device)
        self._indices = torch.cat([self._indices, newest])
        for stage_storage, blocks in zip(self._long, memory, strict=True):
            for storage, block in zip(stage_storage, blocks, strict=True):
                storage.append(block.long)


def build_bank(config: MemoryConfig, *, training: bool = False, length: int | None = None) -> MemoryBank:
    """Return an empty bank; arguments as `build_policy`."""
    policy = build_policy(config, training=training, length=length)
    return MemoryBank(policy, config.short_term_lag, config.short_term_frames, training=training)
