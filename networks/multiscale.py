"""Stages of multi-scale models: blocks at one stride, refined from the embeddings of the coarser stage."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.layers import ConvGN, init_xavier, map_to_tokens, tokens_to_map
from aotlab.networks.model import (
    BlockMemory,
    Features,
    KeyValue,
    Memory,
    PropagatedFrame,
    VOSModel,
    batch_size,
)

ENCODER_MAPS = {4: 0, 8: 1, 16: 2}
"""index in `Features` of the encoder's map of each stride"""


class Residual(nn.Module):
    """Two 3×3 convolutions with GroupNorm of 8 groups on a residual branch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1, self.gn1 = nn.Conv2d(dim, dim, 3, padding=1), nn.GroupNorm(8, dim)
        self.conv2, self.gn2 = nn.Conv2d(dim, dim, 3, padding=1), nn.GroupNorm(8, dim)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w to the same."""
        hidden = self.gn1(self.conv1(F.relu(x)))
        return x + self.gn2(self.conv2(F.relu(hidden)))


class Transition(nn.Module):
    """Upsamples the embeddings of a stage and refines them with the encoder's finer map, branch by branch."""

    def __init__(self, inputs: int, shortcut: int, dim: int, *, branches: int, align_corners: bool) -> None:
        """Create the convolutions.

        Args:
            inputs: channels of a branch of all embeddings of the coarser stage.
            shortcut: channels of the encoder's map at the finer stride.
            dim: channels of a branch at the finer stage.
            branches: 1, or 2 for a visual and an identity branch.
            align_corners: how maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.adapter = nn.Conv2d(shortcut, dim, 1)
        self.proj_in = nn.ModuleList(ConvGN(inputs, dim, 1) for _ in range(branches))
        self.refine = nn.ModuleList(
            nn.Sequential(OrderedDict(res1=Residual(dim), res2=Residual(dim))) for _ in range(branches)
        )
        init_xavier(self)

    def forward(self, coarse: Sequence[Tensor], shortcut: Tensor) -> Tensor:
        """Refine the embeddings of a stage.

        Args:
            coarse: maps B×(branches·C)×h×w, branches side by side, C summing up to ``inputs``.
            shortcut: the encoder's map at the finer stride, of batch B, or 1 shared by all.

        Returns:
            B×(branches·dim)×H×W, as large as the encoder's map.
        """
        added = self.adapter(shortcut)
        parts = zip(*(x.chunk(len(self.proj_in), dim=1) for x in coarse), strict=True)
        branches = []
        for proj_in, refine, part in zip(self.proj_in, self.refine, parts, strict=True):
            x = F.relu(proj_in(torch.cat(part, dim=1)))
            x = F.interpolate(x, added.shape[2:], mode="bilinear", align_corners=self.align_corners)
            branches.append(F.relu(refine(added + x)))
        return torch.cat(branches, dim=1)


class Stage(nn.Module):
    """Blocks at one stride with their identity bank; the last stage may only refine and has neither."""

    def __init__(
        self,
        *,
        stride: int,
        transition: Transition | None,
        blocks: Iterable[nn.Module],
        norms: Iterable[nn.Module],
        identity_bank: IdentityBank | None,
        identity_norm: nn.Module | None,
        memory_stride: int = 1,
        keep_input: bool = False,
    ) -> None:
        """Combine the parts of a stage.

        Args:
            transition: from the coarser stage; None for the first.
            norms: of the last outputs, one per embedding besides the input.
            memory_stride: long-term memory keeps one token in this many along each axis.
            keep_input: the input is an embedding too.
        """
        super().__init__()
        self.encoder_map, self.memory_stride, self.keep_input = (
            ENCODER_MAPS[stride],
            memory_stride,
            keep_input,
        )
        self.transition = transition
        self.blocks, self.norms = nn.ModuleList(blocks), nn.ModuleList(norms)
        self.identity_bank, self.identity_norm = identity_bank, identity_norm

    def forward(
        self, x: Tensor, memory: Sequence[BlockMemory] | None, identities: Tensor | None
    ) -> tuple[list[Tensor], list[Any]]:
        """Map B×C×h×w to the stage's embeddings, maps, and the states of its blocks."""
        size = (x.shape[2], x.shape[3])
        outputs, states = [map_to_tokens(x)], []
        for index, block in enumerate(self.blocks):
            tokens, state = block(outputs[-1], size, memory and memory[index], identities)
            outputs.append(tokens)
            states.append(state)
        normed = zip(self.norms, outputs[-len(self.norms) :], strict=True)
        embeddings = [tokens_to_map(norm(tokens), size) for norm, tokens in normed]
        return [x, *embeddings] if self.keep_input else embeddings, states

    def assign_identities(self, masks: Tensor) -> Tensor:
        """Masks B×(m+1)×H×W to B×L×C; B×0×0 without blocks, which remember nothing."""
        if self.identity_bank is None or self.identity_norm is None:
            return masks.new_empty(len(masks), 0, 0)
        return self.identity_norm(self.identity_bank(masks))

    def memorize(self, states: Sequence[Any], size: Sequence[int], identities: Tensor) -> list[BlockMemory]:
        """Return the memory of each block; short-term memory has all tokens of the map, ``size`` = (H, W)."""
        memories, stride = [], self.memory_stride
        for block, state in zip(self.blocks, states, strict=True):
            long, short = block.memorize(state, identities)  # type: ignore[operator]
            if stride > 1:
                long = KeyValue(*(x.unflatten(1, size)[:, ::stride, ::stride].flatten(1, 2) for x in long))
            memories.append(BlockMemory(long, short))
        return memories


class MultiScaleModel(VOSModel):
    """Stages from coarse to fine, each refining the embeddings of the one before; a subclass creates them."""

    stages: nn.ModuleList
    decoder: nn.Module

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Masks B×(m+1)×H×W to B×L×C of each stage."""
        return [stage.assign_identities(masks) for stage in self.stages]  # type: ignore[operator]

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Run the stages; see `VOSModel.propagate`."""
        embeddings: list[list[Tensor]] = []
        states: list[list[Any]] = []
        for number, stage in enumerate(self.stages):
            if stage.transition is None:
                x = features.projected.expand(batch_size(memory, identities), -1, -1, -1)
            else:
                x = stage.transition(embeddings[-1], features[stage.encoder_map])  # type: ignore[operator, index]
            output, state = stage(x, memory and memory[number], identities and identities[number])
            embeddings.append(output)
            states.append(state)
        return PropagatedFrame(embeddings, states)

    def memorize(self, propagated: PropagatedFrame, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return the frame's memory of each stage and block; see `VOSModel.memorize`."""
        memory = []
        for number, stage in enumerate(self.stages):
            size = propagated.embeddings[number][0].shape[2:]
            memory.append(stage.memorize(propagated.states[number], size, identities[number]))  # type: ignore[operator]
        return memory

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(M+1)×h×w at the stride of the last stage."""
        return self.decoder(torch.cat(propagated.embeddings[-1], dim=1))
