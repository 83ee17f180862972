"""`VOSModel`: a network without time. All it needs of the past comes in as an argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from configs.schema import ModelConfig, StageConfig
from networks.decoder import FPNDecoder
from networks.encoders import build_encoder
from networks.gpm import GPMBlock
from networks.lstt import BlockMemory, KeyValue, LSTTBlock

Block = LSTTBlock | GPMBlock

BLOCKS: dict[str, type[Block]] = {"lstt": LSTTBlock, "gpm": GPMBlock}


class Features(NamedTuple):
    """An encoded image: maps at strides 4, 8 and 16, and the last map projected to the model's width."""

    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    projected: Tensor


class Propagated(NamedTuple):
    """What came of a frame: per stage the embeddings B×C×h×w to decode, and each block's unlabelled memory."""

    embeddings: list[list[Tensor]]
    current: list[list[KeyValue]]


StageMemory = Sequence[Sequence[BlockMemory]]
"""what every block of every stage reads"""


class Stage(nn.Module):
    """Blocks at one stride, their output norms, and the identity bank that labels their memory."""

    def __init__(self, config: StageConfig, model: ModelConfig) -> None:
        super().__init__()
        dim, stride, block = model.dim, config.stride, BLOCKS[config.block]
        blocks = nn.ModuleList(block(dim, config, index) for index in range(config.depth))
        self.blocks: Sequence[Block] = blocks  # type: ignore[assignment]
        self.norms = block.output_norms(dim, config.depth)
        self.output_dim = block.output_dim(dim)
        if block.has_mask_token:
            # Never used; published checkpoints and optimiser states hold it.
            self.mask_token = nn.Parameter(torch.randn(1, 1, dim))
        # Kernel 17 centres each patch on its token when sizes are 16k+1.
        kernel = stride + 1 if model.align_corners else stride
        self.identity_bank = nn.Conv2d(
            model.max_objects + 1, dim, kernel, stride, padding=kernel % 2 * stride // 2
        )
        nn.init.orthogonal_(self.identity_bank.weight.view(dim, -1), gain=kernel**-2)
        self.identity_norm = block.identity_norm(dim)

    def train_identities(self, learn: bool) -> None:
        """Whether identity embeddings are learned or stay as they are."""
        self.identity_bank.requires_grad_(learn)
        self.identity_norm.requires_grad_(learn)


class VOSModel(nn.Module):
    """Encoder, stages of propagation blocks with their identity banks, and decoder.

    Axes: B batch (clips in training, groups of objects in tracking), M identities of a group.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Raises ValueError for an unknown encoder."""
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.projector = nn.Conv2d(channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)
        stages = nn.ModuleList(Stage(stage, config) for stage in config.stages)
        self.stages: Sequence[Stage] = stages  # type: ignore[assignment]
        last = self.stages[-1]
        inputs = (
            config.dim + len(last.norms) * last.output_dim if config.decode_all_blocks else last.output_dim
        )
        self.decoder = FPNDecoder(
            inputs, channels[:3], config.max_objects + 1, dim=config.dim, align_corners=config.align_corners
        )

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image B×3×H×W, once for all groups of objects."""
        quarter, eighth, sixteenth, last = self.encoder(image)
        return Features(quarter, eighth, sixteenth, self.projector(last))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Embed masks B×(m+1)×H×W (one-hot or soft, background first, m ≤ M); B×L×C per stage."""
        identities = []
        for stage in self.stages:
            bank = stage.identity_bank
            kernel = bank.weight[:, : masks.shape[1]]  # planes of identities nobody has are not computed
            embedding = F.conv2d(masks, kernel, bank.bias, bank.stride, bank.padding)
            identities.append(stage.identity_norm(embedding.flatten(2).mT))
        return identities

    def propagate(
        self,
        features: Features,
        memory: StageMemory | None = None,
        identities: Sequence[Tensor] | None = None,
    ) -> Propagated:
        """Carry identities from memory to a frame, or on a reference frame from its own ``identities``.

        Args:
            features: of batch B, or 1 shared by all groups.
            memory: what each block reads; None on a reference frame.
            identities: of the reference frame, from `assign_identities`; None on all other frames.
        """
        given = identities[0] if memory is None and identities is not None else memory[0][0].long.key  # type: ignore[index]
        size = (features.projected.shape[2], features.projected.shape[3])
        x = features.projected.flatten(2).mT.expand(given.shape[0], -1, -1)
        outputs: list[Tensor] = []
        current: list[KeyValue] = []
        stage = self.stages[0]
        for index, block in enumerate(stage.blocks):
            read = None if memory is None else memory[0][index]
            x, remembered = block(x, size, read, None if identities is None else identities[0])
            current.append(remembered)
            if index >= len(stage.blocks) - len(stage.norms):
                outputs.append(stage.norms[len(outputs)](x).mT.unflatten(2, size))
        return Propagated([outputs], [current])

    def memorize(self, propagated: Propagated, identities: Sequence[Tensor]) -> list[list[KeyValue]]:
        """This frame's memory per stage and block: its keys, and values that carry ``identities``."""
        memories = []
        for stage, current, identity in zip(self.stages, propagated.current, identities, strict=True):
            memory = []
            for block, unlabelled in zip(stage.blocks, current, strict=True):
                memory.append(block.memorize(unlabelled, identity))
            memories.append(memory)
        return memories

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Logits B×(M+1)×H/4×W/4 of background and identities."""
        outputs = propagated.embeddings[-1]
        if self.config.decode_all_blocks:
            outputs = [features.projected.expand(len(outputs[0]), -1, -1, -1), *outputs]
        else:
            outputs = outputs[-1:]
        return self.decoder(torch.cat(outputs, dim=1), features.quarter, features.eighth, features.sixteenth)
