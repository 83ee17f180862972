"""`VOSModel`: a network without time. All it needs of the past is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig
from aotlab.networks.block import BlockMemory, Memory, Unlabelled
from aotlab.networks.decoder import ConvDecoder, FPNDecoder
from aotlab.networks.encoders import build_encoder
from aotlab.networks.prompts import PromptNetwork
from aotlab.networks.stage import Stage
from aotlab.utils.environment import announce_compilation
from aotlab.utils.errors import InputError


class Features(NamedTuple):
    """An encoded image: maps at strides 4, 8 and 16, and the last map projected to the model's width."""

    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    projected: Tensor


class Propagated(NamedTuple):
    """A frame after propagation: per stage its embeddings B×C×h×w, and each block's memory without identities."""

    embeddings: list[list[Tensor]]
    current: list[list[Unlabelled]]


class VOSModel(nn.Module):
    """Encoder, stages of propagation blocks with their identity banks, and decoder.

    Axes: B batch (clips in training, groups of objects in tracking), M identities of a group.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Raises InputError for stages that cannot follow one another, ValueError for an unknown encoder."""
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.projector = nn.Conv2d(channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)
        stages: list[Stage] = []
        for number in range(len(config.stages)):
            stages.append(Stage(config, number, channels, stages[-1] if stages else None))
        self.stages: Sequence[Stage] = nn.ModuleList(stages)  # type: ignore[assignment]
        self.depth = config.depths[-1]
        last, every = stages[-1], config.decode_all_blocks
        inputs = [last.embeddings_dim if every else last.output_dim]
        if config.scalable:
            unused = reversed(range(config.stages[-1].depth))
            inputs = [inputs[0] - every * last.output_dim * count for count in unused]
        identities = config.max_objects + 1
        self.decoder: FPNDecoder | ConvDecoder
        if len(stages) == 1:
            self.decoder = FPNDecoder(
                inputs, channels[:3], identities, dim=config.dim, align_corners=config.align_corners
            )
        else:
            self.decoder = ConvDecoder(inputs[0], config.dim // 2, identities)
        self.prompts = PromptNetwork(config) if config.prompt_blocks else None
        # The fastest layout for convolutions; tokens are then views of maps, and maps of tokens.
        self.to(memory_format=torch.channels_last)

    @property
    def heads(self) -> int:
        """Heads of long-term attention in the first block of the first stage."""
        return self.stages[0].blocks[0].heads

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Queries B×L×C and keys B×(T·L)×C of the first stage as long-term attention compares them."""
        temporal = self.stages[0].temporal
        return (query, key) if temporal is None else temporal(query, key)

    def compile_parts(self, *, dynamic: bool | None = None) -> None:
        """Give encoder, blocks and decoder to torch.compile, which does its work when they first run.

        ``dynamic``: whether sizes may change without compiling again; None: as torch.compile sees fit.
        """
        announce_compilation()
        blocks = [block for stage in self.stages for block in stage.blocks]
        for part in (self.encoder, *blocks, self.decoder):
            part.compile(dynamic=dynamic)

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image B×3×H×W, once for all groups of objects."""
        quarter, eighth, sixteenth, last = self.encoder(image)
        return Features(quarter, eighth, sixteenth, self.projector(last))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Embed masks B×(m+1)×H×W (one-hot or soft, background first, m ≤ M; the plane to ignore may follow M).

        Returns:
            B×L×C for every stage; B×0×0 for one without blocks, which remembers nothing.
        """
        identities = []
        for stage in self.stages:
            identities.append(stage.assign_identities(masks))
        return identities

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> Propagated:
        """Carry identities from memory to a frame, or on a reference frame from its own ``identities``.

        Args:
            features: of batch B, or 1 shared by all groups.
            memory: what each block reads; None on a reference frame.
            identities: of the reference frame, from `assign_identities`; None on all other frames.
        """
        batch = len(identities[0] if memory is None else memory[0][0].long.key)  # type: ignore[index]
        embeddings: list[list[Tensor]] = []
        current: list[list[Unlabelled]] = []
        for number, stage in enumerate(self.stages):
            # B×C×h×w, or the embeddings of the stage before
            x = embeddings[-1] if embeddings else features.projected.expand(batch, -1, -1, -1)
            read = None if memory is None else memory[number]
            identity = None if identities is None else identities[number]
            output = stage(x, features, read, identity)
            embeddings.append(output.embeddings)
            current.append(output.current)
        return Propagated(embeddings, current)

    def memorize(self, propagated: Propagated, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """This frame's memory per stage and block: its keys, and values that carry ``identities``.

        Long-term memory is subsampled at stages with a ``memory_stride``.
        """
        memory = []
        for number, stage in enumerate(self.stages):
            size = propagated.embeddings[number][0].shape[2:]
            memory.append(stage.memorize(propagated.current[number], size, identities[number]))
        return memory

    def at_depth(self, depth: int) -> VOSModel:
        """This scalable model with only its first ``depth`` blocks in use; weights are shared.

        Raises:
            InputError: more than its trained depth, or a model that is not scalable.
        """
        model = copy(self)
        try:
            model.config = replace(self.config, depth=depth)
        except ValueError as error:
            raise InputError(str(error)) from error
        model.depth = depth
        stages = nn.ModuleList(stage.at_depth(depth) for stage in self.stages)
        model._modules = {**self._modules, "stages": stages}
        return model

    def decode(self, propagated: Propagated, features: Features, depth: int | None = None) -> Tensor:
        """Logits B×(M+1)×h×w of background and identities, at stride 4 or that of the last of several stages.

        ``depth``: of a scalable model, to decode what fewer blocks gave than were computed; None: all of these.
        """
        embeddings, computed = propagated.embeddings[-1], self.depth
        if depth is not None:
            embeddings = embeddings[: len(embeddings) - computed + depth]
        if not self.config.decode_all_blocks:
            embeddings = embeddings[-1:]
        return self.decoder(torch.cat(embeddings, dim=1), *features[:3], depth or computed)
