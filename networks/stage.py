"""A stage: propagation blocks at one stride, the way in from the stage before, and the bank that labels memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from aotlab.configs.schema import ModelConfig, StageConfig
from aotlab.networks.block import Block
from aotlab.networks.gpm import GPMBlock
from aotlab.networks.lstt import LSTTBlock
from aotlab.networks.pyramid import PyramidBlock
from aotlab.networks.recurrent import RecurrentLSTTBlock
from aotlab.networks.temporal import TemporalEmbedding
from aotlab.networks.transitions import Transition
from aotlab.utils.errors import InputError

BLOCKS: dict[str, type[Block]] = {
    "lstt": LSTTBlock,
    "lstt_recurrent": RecurrentLSTTBlock,
    "gpm": GPMBlock,
    "pyramid": PyramidBlock,
}

SHORTCUTS = {4: 0, 8: 1, 16: 2}
"""which of an encoder's maps has a stride"""


class Stage(nn.Module):
    """Blocks at one stride and what surrounds them.

    It hands on its blocks' outputs, or its input when it has no blocks; with ``decode_all_blocks`` its input as well.
    """

    def __init__(
        self, model: ModelConfig, number: int, channels: Sequence[int], before: Stage | None
    ) -> None:
        """Make stage ``number`` of a model.

        Args:
            model: all settings.
            number: place in ``model.stages``.
            channels: of the encoder's maps, finest first.
            before: the stage whose outputs this one refines; None for the first.

        Raises:
            InputError: unknown kind of block, or one that cannot follow another.
        """
        super().__init__()
        config = model.stages[number]
        if config.block not in BLOCKS:
            known = ", ".join(BLOCKS)
            raise InputError(f"model.stages.block must be one of {known}, got {config.block}")
        block, dim = BLOCKS[config.block], model.dim if config.dim is None else config.dim
        first, last = before is None, number == len(model.stages) - 1
        self.memory_stride, self.shortcut = config.memory_stride, SHORTCUTS[config.stride]
        self.stride, self.output_dim = config.stride, block.branches * dim
        self.transition = None if before is None else before.way_to(model, dim, channels[self.shortcut])
        blocks = nn.ModuleList(block(dim, config, first and index == 0) for index in range(config.depth))
        self.blocks: Sequence[Block] = blocks  # type: ignore[assignment]
        self.norms = nn.ModuleList(block.output_norms(dim, config.depth, last) or [nn.Identity()])
        self.hands_on_input = model.decode_all_blocks and config.depth > 0
        self.input_dim = dim if first else self.output_dim
        if block.has_mask_token:
            # Never used; published checkpoints and optimiser states hold it.
            self.mask_token = nn.Parameter(torch.randn(1, 1, dim))
        self.temporal = (
            TemporalEmbedding(config.temporal_slots, block.key_dim(dim)) if config.temporal_slots else None
        )
        self.identity_bank = _identity_bank(model, config, dim) if config.depth else None
        self.identity_norm = block.identity_norm(dim) if config.depth else None

    @property
    def handed_dim(self) -> int:
        """Channels of all that the stage hands on."""
        return len(self.norms) * self.output_dim + self.hands_on_input * self.input_dim

    def way_to(self, model: ModelConfig, dim: int, shortcut: int) -> Transition:
        """The transition from this stage to a finer one of width ``dim``, with ``shortcut`` encoder channels.

        Raises:
            InputError: the input of this stage cannot be handed on beside its outputs.
        """
        branches = BLOCKS[model.stages[0].block].branches
        if self.hands_on_input and self.input_dim != self.output_dim:
            raise InputError(
                "model.decode_all_blocks must be false for several stages of blocks with two branches, got true"
            )
        return Transition(
            self.handed_dim // branches, shortcut, dim, branches=branches, align_corners=model.align_corners
        )

    def train_identities(self, learn: bool) -> None:
        """Whether identity embeddings are learned or stay as they are."""
        for module in (self.identity_bank, self.identity_norm):
            if module is not None:
                module.requires_grad_(learn)


def _identity_bank(model: ModelConfig, config: StageConfig, dim: int) -> nn.Conv2d:
    """The convolution that embeds masks patch by patch."""
    stride = config.stride if config.identity_stride is None else config.identity_stride
    # A kernel of one pixel more centres each patch on its token when sizes are 16k+1.
    kernel = stride + 1 if model.align_corners else stride
    padding = kernel % 2 * stride // 2
    planes = model.max_objects + 1 + model.ignore_plane
    bank = nn.Conv2d(planes, dim, kernel, stride, padding=padding)
    # Rows have norm 1 before the gain, so a patch of one object is embedded as loudly at every stride.
    nn.init.orthogonal_(bank.weight.view(dim, -1), gain=(17 if model.align_corners else 16) ** -2)
    return bank
