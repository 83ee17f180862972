"""Memory bank: long-term and short-term memory of a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aotlab.configs.schema import MemoryConfig
from aotlab.engine.policies import MemoryPolicy, RelevanceOf, build_policy
from aotlab.networks.block import BlockMemory, KeyValue, Memory
from aotlab.utils.errors import InputError

CHANGING = (
    "tracker: its memory is being changed by another thread, or a step failed while changing it; use one tracker per "
    "thread (fresh()), and after a failure call reset(), or load_state_dict() with an earlier state"
)


class MemoryBank:
    """Long-term and short-term memory of groups of objects that were first seen on the same frame.

    The groups (in training: the clips of a batch) are the batch axis of every tensor. They hold equally many frames,
    but a policy may keep different ones for each group. Without gradients long-term memory is stored in tensors with
    room for more frames (under a bounded policy for all), so later frames overwrite what `read` returned.
    """

    def __init__(self, policy: MemoryPolicy, short_term_skip: int = 1, short_term_frames: int = 1) -> None:
        self.policy = policy
        self._skip = short_term_skip
        self.kept: list[list[int]] = []
        """indices of the frames in long-term memory by group, oldest first, counted from the bank's first frame"""
        self.references: list[int] = []
        """indices of the reference frames in long-term memory"""
        self.newest = -1
        """index of the newest frame"""
        self.changing = False
        """whether `remember` is changing this bank, or failed while changing it"""
        self._inserted = 0
        self._long: list[list[KeyValue]] = []
        self._room = 0  # number of frames that fit the tensors of long-term memory
        self._short: deque[Memory] = deque(maxlen=short_term_skip + short_term_frames - 1)

    @property
    def frames(self) -> list[int]:
        """Indices of the first group's frames in long-term memory."""
        return self.kept[0] if self.kept else []

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Bytes of long-term memory, including room for further frames."""
        return sum(x.numel() * x.element_size() for stage in self._long for kv in stage for x in kv)

    def tracked(self, group: int) -> list[int]:
        """Return the positions in `kept` of a group's tracked frames, oldest first; only these are evicted."""
        return [index for index, frame in enumerate(self.kept[group]) if frame not in self.references]

    def read(self) -> list[list[BlockMemory]]:
        """Return the memory that each block of each stage reads on the next frame."""
        reading = []
        several = len(self._short) - self._skip  # frames of short-term memory beyond the oldest
        recent = _concatenated(list(self._short)[: several + 1]) if several > 0 else self._short[0]
        for long, short in zip(self._long, recent, strict=True):
            blocks = []
            for (key, value), newest in zip(long, short, strict=True):
                used = key.shape[1] // self._room * len(self.kept[0])
                blocks.append(BlockMemory(KeyValue(key[:, :used], value[:, :used]), newest.short))
            reading.append(blocks)
        return reading

    def add_reference(self, memory: Memory) -> None:
        """Store a reference frame in long-term memory, and restart short-term memory with it.

        A full bank evicts its oldest tracked frame, or else the oldest reference frame after the first.
        """
        self.newest += 1
        self._short.clear()
        self._short.append(memory)
        if self.policy.capacity is not None and len(self) >= self.policy.capacity:
            self._drop_for_reference()
        self.references.append(self.newest)
        self._inserted = self.newest
        self._extend(memory)

    def add(self, memory: Memory, relevance_of: RelevanceOf | None = None) -> None:
        """Store a tracked frame in short-term memory, and in long-term memory if the policy wants it.

        ``relevance_of``: returns the relevance of long-term memory to this frame, for policies that need it.
        """
        self.newest += 1
        self._short.append(memory)
        if self.newest - self._inserted < self.policy.every:
            return
        evicted = self.policy.evict(self, relevance_of)
        self._inserted = self.newest
        if evicted is not None and evicted[0] == len(self):
            return
        if evicted is not None:
            self.drop(evicted)
        self._extend(memory)

    def drop(self, frames: int | Sequence[int]) -> None:
        """Drop a frame from all blocks by its position in `kept`, one per group or the same for all."""
        indices = [frames] * len(self.kept) if isinstance(frames, int) else frames
        count, room = len(self), self._room
        for kept, index in zip(self.kept, indices, strict=True):
            del kept[index]
        for stage in self._long:
            for number, block in enumerate(stage):
                stage[number] = KeyValue(*(_without(x, indices, x.shape[1] // room, count) for x in block))
        if torch.is_grad_enabled():
            self._room = count - 1

    def state_dict(self, *, views: bool = False) -> dict[str, Any]:
        """Return the state with which a bank of the same settings continues, with copies or ``views`` of its memory.

        Raises:
            InputError: the bank is changing.
        """
        if self.changing:
            raise InputError(CHANGING)
        count, room = len(self), self._room
        used = [
            [tuple(x[:, : x.shape[1] // room * count] for x in kv) for kv in stage] for stage in self._long
        ]
        if not views:
            used = [[tuple(x.clone() for x in kv) for kv in stage] for stage in used]
        short = [[[tuple(block.short) for block in stage] for stage in frame] for frame in self._short]
        numbers = {
            "kept": [list(frames) for frames in self.kept],
            "references": list(self.references),
            "newest": self.newest,
            "inserted": self._inserted,
        }
        return {**numbers, "room": room, "long": used, "short": short, "policy": self.policy.state_dict()}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue from a state; later frames do not change it."""
        self.kept = [list(frames) for frames in state["kept"]]
        self.references, self.newest = list(state["references"]), state["newest"]
        self._inserted, self._room = state["inserted"], state["room"]
        self.policy.load_state_dict(state["policy"])
        count, room = len(self), self._room
        self._long = [
            [KeyValue(*(_roomy(x.to(device), count, room) for x in kv)) for kv in stage]
            for stage in state["long"]
        ]
        self._short.clear()
        for frame in state["short"]:
            pairs = [[KeyValue(*(x.to(device) for x in kv)) for kv in stage] for stage in frame]
            # the long-term part is in long-term memory already
            self._short.append([[BlockMemory(kv, kv) for kv in stage] for stage in pairs])

    def _drop_for_reference(self) -> None:
        """Evict a frame for a new reference frame, but never the first one."""
        tracked = [self.tracked(group) for group in range(len(self.kept))]
        if tracked[0]:
            self.drop([indices[0] for indices in tracked])
        elif len(self.references) > 1:
            self.drop(1)
            del self.references[1]

    def _extend(self, memory: Memory) -> None:
        """Append one frame to long-term memory."""
        count = len(self)
        if not self._long:
            self._long = [[block.long for block in stage] for stage in memory]
            self.kept = [[self.newest] for _ in range(len(memory[0][0].long.key))]
            self._room = 1
            return
        for frames in self.kept:
            frames.append(self.newest)
        if torch.is_grad_enabled():
            room = count + 1
        elif self._room > count:
            room = self._room
        else:
            room = max(self.policy.capacity or 0, count + 1 + count // 2)
        for stage, new_stage in zip(self._long, memory, strict=True):
            for index, (new, _) in enumerate(new_stage):
                pairs = zip(stage[index], new, strict=True)
                stage[index] = KeyValue(*(_appended(store, x, count, room) for store, x in pairs))
        self._room = room


def _appended(store: Tensor, new: Tensor, frames: int, room: int) -> Tensor:
    """Append the tokens of a frame to those of ``frames`` in a store, enlarged for ``room`` frames if needed."""
    tokens = new.shape[1]
    start, stop = frames * tokens, (frames + 1) * tokens
    if torch.is_grad_enabled():  # autograd may need what is stored as it is
        return torch.cat([store[:, :start], new], 1)
    if store.shape[1] < room * tokens:
        wider = store.new_empty(len(store), room * tokens, store.shape[2])
        wider[:, :start] = store[:, :start]
        store = wider
    store[:, start:stop] = new
    return store


def _roomy(used: Tensor, frames: int, room: int) -> Tensor:
    """Copy the tokens of ``frames`` to a store with room for ``room`` frames."""
    store = used.new_empty(len(used), used.shape[1] // frames * room, used.shape[2])
    store[:, : used.shape[1]] = used
    return store


def _without(store: Tensor, indices: Sequence[int], tokens: int, frames: int) -> Tensor:
    """Remove one frame per row from a store B×(T·L)×C of T frames with L tokens each."""
    if torch.is_grad_enabled():
        rows = []
        for row, index in zip(store, indices, strict=True):
            rows.append(torch.cat([row[: index * tokens], row[(index + 1) * tokens : frames * tokens]]))
        return torch.stack(rows)
    for row, index in zip(store, indices, strict=True):
        for start in range(index * tokens, (frames - 1) * tokens, tokens):
            row[start : start + tokens] = row[start + tokens : start + 2 * tokens]
    return store


def _concatenated(frames: Sequence[Memory]) -> Memory:
    """Concatenate the short-term memory of several frames, oldest first; the rest is the newest frame's."""
    stages = []
    for same_stage in zip(*frames, strict=True):
        blocks = []
        for same_block in zip(*same_stage, strict=True):
            parts = zip(*(block.short for block in same_block), strict=True)
            short = KeyValue(*(torch.cat(part, 1) for part in parts))
            blocks.append(same_block[-1]._replace(short=short))
        stages.append(blocks)
    return stages


def build_bank(config: MemoryConfig, *, training: bool = False, length: int | None = None) -> MemoryBank:
    """Return an empty bank; arguments as `build_policy`."""
    policy = build_policy(config, training=training, length=length)
    return MemoryBank(policy, config.short_term_skip, config.short_term_frames)
