"""Stages: propagation blocks at one stride, the transition from the coarser stage, and the identity bank."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.aost import AOSTBlock, PyramidBlock
from aotlab.networks.block import Block, BlockMemory, KeyValue, TemporalEmbedding, Unlabelled
from aotlab.networks.decoder import ConvGN
from aotlab.networks.gpm import GPMBlock
from aotlab.networks.layers import initialise
from aotlab.networks.lstt import LSTTBlock
from aotlab.networks.recurrent import RecurrentLSTTBlock
from aotlab.utils.errors import InputError

BLOCKS: dict[str, type[Block]] = {
    "lstt": LSTTBlock,
    "lstt_recurrent": RecurrentLSTTBlock,
    "gpm": GPMBlock,
    "aost": AOSTBlock,
    "pyramid": PyramidBlock,
}

SHORTCUTS = {4: 0, 8: 1, 16: 2}
"""index of the encoder's map of each stride"""


class StageOutput(NamedTuple):
    """Output of a stage for a frame."""

    embeddings: list[Tensor]
    """the maps B×C×H×W for the next stage or the decoder"""
    current: list[Unlabelled]
    """each block's memory of the frame without identities"""


class Stage(nn.Module):
    """Blocks at one stride, with transition, norms and identity bank.

    It outputs its blocks' outputs, or its input if it has no blocks; with ``decode_all_blocks`` its input as well.
    """

    def __init__(
        self, model: ModelConfig, number: int, channels: Sequence[int], before: Stage | None
    ) -> None:
        """Make stage ``number`` of a model.

        Args:
            model: all settings.
            number: index in ``model.stages``.
            channels: of the encoder's maps, finest first.
            before: the stage whose outputs this one refines; None for the first.

        Raises:
            InputError: unknown kind of block, or one that cannot follow another.
        """
        super().__init__()
        config = model.stages[number]
        if config.block not in BLOCKS:
            raise InputError(f"model.stages.block must be one of {', '.join(BLOCKS)}, got {config.block}")
        block, dim = BLOCKS[config.block], model.dim if config.dim is None else config.dim
        first, last = before is None, number == len(model.stages) - 1
        self.memory_stride, self.shortcut = config.memory_stride, SHORTCUTS[config.stride]
        self.stride, self.output_dim = config.stride, block.branches * dim
        self.transition = (
            None if before is None else before.transition_to(model, dim, channels[self.shortcut])
        )
        self.depth, self.shared = model.depths[number], config.shared
        count = 1 if config.shared else config.depth
        blocks = nn.ModuleList(block(dim, config, first and index == 0) for index in range(count))
        self.blocks: Sequence[Block] = blocks  # type: ignore[assignment]
        self.norms = nn.ModuleList(block.output_norms(dim, count, last) or [nn.Identity()])
        self.outputs_input = model.decode_all_blocks and config.depth > 0
        self.input_dim = dim if first else self.output_dim
        if block.has_mask_token:
            # Never used; published checkpoints and optimiser states hold it.
            self.mask_token = nn.Parameter(torch.randn(1, 1, dim))
        self.temporal = (
            TemporalEmbedding(config.temporal_slots, block.key_dim(dim)) if config.temporal_slots else None
        )
        self.identity_bank = _identity_bank(model, config, dim) if config.depth else None
        self.identity_norm = block.identity_norm(dim) if config.depth else None

    def forward(
        self,
        x: Tensor | Sequence[Tensor],
        features: Sequence[Tensor],
        memory: Sequence[BlockMemory] | None,
        identity: Tensor | None,
    ) -> StageOutput:
        """Propagate memory to the current frame.

        Args:
            x: B×C×H×W, the projected map, for the first stage; the embeddings of the stage before for all others.
            features: the encoder's maps, finest first, of batch B, or 1 shared by all.
            memory: what each block reads; None on a reference frame.
            identity: B×L×C of the reference frame; None on all other frames.
        """
        x = x if isinstance(x, Tensor) else self.transition(x, features[self.shortcut])  # type: ignore[misc]
        size = (x.shape[2], x.shape[3])
        outputs, current = [x.permute(0, 2, 3, 1).flatten(1, 2)], []  # B×L×C
        for index in range(self.depth):
            block = self.blocks[index % len(self.blocks)]  # a shared one each time
            read = None if memory is None else memory[index]
            output, unlabelled = block(outputs[-1], size, read, identity, self.temporal)
            outputs.append(output)
            current.append(unlabelled)
        embeddings = [x] if self.outputs_input else []
        norms = [*self.norms][: max(self.depth, 1)]
        if self.shared:  # as published: the last output is normed, those before it are not
            norms = [nn.Identity()] * (self.depth - 1) + norms
        for norm, output in zip(norms, outputs[-len(norms) :], strict=True):
            embeddings.append(norm(output).unflatten(1, size).permute(0, 3, 1, 2))  # B×C×H×W
        return StageOutput(embeddings, current)

    def assign_identities(self, masks: Tensor) -> Tensor:
        """Embed masks B×(m+1)×H×W as B×L×C; B×0×0 from a stage without blocks, which remembers nothing."""
        bank, norm = self.identity_bank, self.identity_norm
        if bank is None or norm is None:
            return masks.new_empty(len(masks), 0, 0)
        kernel = bank.weight[:, : masks.shape[1]]  # unused identities are not convolved
        embedding = F.conv2d(masks, kernel, bank.bias, bank.stride, bank.padding)
        if bank.stride[0] > self.stride:
            size = [-(-side // self.stride) for side in masks.shape[2:]]
            embedding = F.interpolate(embedding, size, mode="nearest")
        return norm(embedding.permute(0, 2, 3, 1).flatten(1, 2))

    def memorize(
        self, current: Sequence[Unlabelled], size: Sequence[int], identity: Tensor
    ) -> list[BlockMemory]:
        """Each block's memory of a frame, labelled with its ``identity`` B×L×C; ``size``: of its map in tokens.

        Short-term memory has all tokens, long-term memory one in ``memory_stride`` along each axis.
        """
        memories, stride = [], self.memory_stride
        for index, unlabelled in enumerate(current):
            long, short = self.blocks[index % len(self.blocks)].memorize(unlabelled, identity)
            if stride > 1:
                maps = (x.unflatten(1, size)[:, ::stride, ::stride] for x in long)
                long = KeyValue(*(x.flatten(1, 2) for x in maps))
            memories.append(BlockMemory(long, short))
        return memories

    def at_depth(self, depth: int) -> Stage:
        """This stage with only its first ``depth`` blocks in use; weights are shared."""
        stage = copy(self)
        stage.depth = depth
        return stage

    @property
    def embeddings_dim(self) -> int:
        """Channels of all embeddings together."""
        return len(self.norms) * self.output_dim + self.outputs_input * self.input_dim

    def transition_to(self, model: ModelConfig, dim: int, shortcut: int) -> Transition:
        """The transition from this stage to a finer one of width ``dim``, with ``shortcut`` encoder channels.

        Raises:
            InputError: the input of this stage does not fit beside its outputs.
        """
        branches = BLOCKS[model.stages[0].block].branches
        if self.outputs_input and self.input_dim != self.output_dim:
            raise InputError(
                "model.decode_all_blocks must be false for several stages of blocks with two branches, got true"
            )
        inputs = self.embeddings_dim // branches
        return Transition(inputs, shortcut, dim, branches=branches, align_corners=model.align_corners)

    def train_identities(self, learn: bool) -> None:
        """Whether identity embeddings are trained or frozen."""
        for module in (self.identity_bank, self.identity_norm):
            if module is not None:
                module.requires_grad_(learn)


def _identity_bank(model: ModelConfig, config: StageConfig, dim: int) -> nn.Conv2d:
    stride = config.stride if config.identity_stride is None else config.identity_stride
    # A kernel of one pixel more centres each patch on its token when sizes are 16k+1.
    kernel = stride + 1 if model.align_corners else stride
    padding = kernel % 2 * stride // 2
    planes = model.max_objects + 1 + model.ignore_plane
    bank = nn.Conv2d(planes, dim, kernel, stride, padding=padding)
    # Rows have norm 1 before the gain, so embeddings of a patch of one object have the same norm at every stride.
    nn.init.orthogonal_(bank.weight.view(dim, -1), gain=(17 if model.align_corners else 16) ** -2)
    return bank


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
    """Hands the embeddings of a stage on to the next; every branch on its own, the encoder's map shared."""

    def __init__(self, inputs: int, shortcut: int, dim: int, *, branches: int, align_corners: bool) -> None:
        """Make the convolutions of all branches.

        Args:
            inputs: channels that a branch gets from the coarser stage.
            shortcut: channels of the encoder's map at the finer stride.
            dim: channels of a branch at the finer stage.
            branches: 1, or 2 for a visual and an identity branch.
            align_corners: how maps are resized.
        """
        super().__init__()
        self.align_corners = align_corners
        self.adapter = nn.Conv2d(shortcut, dim, 1)
        self.enter = nn.ModuleList(ConvGN(inputs, dim, 1) for _ in range(branches))
        self.leave = nn.ModuleList(
            nn.Sequential(OrderedDict(res1=Residual(dim), res2=Residual(dim))) for _ in range(branches)
        )
        initialise(self)

    def forward(self, coarse: Sequence[Tensor], shortcut: Tensor) -> Tensor:
        """Refine what a stage hands on.

        Args:
            coarse: maps B×(branches·C)×h×w, branches side by side, C summing up to ``inputs``.
            shortcut: the encoder's map at the finer stride, of batch B, or 1 shared by all.

        Returns:
            B×(branches·dim)×H×W, as large as the encoder's map.
        """
        added = self.adapter(shortcut)
        parts = zip(*(x.chunk(len(self.enter), dim=1) for x in coarse), strict=True)
        branches = []
        for enter, leave, part in zip(self.enter, self.leave, parts, strict=True):
            x = F.relu(enter(torch.cat(part, dim=1)))
            x = F.interpolate(x, added.shape[2:], mode="bilinear", align_corners=self.align_corners)
            branches.append(F.relu(leave(added + x)))
        return torch.cat(branches, dim=1)
