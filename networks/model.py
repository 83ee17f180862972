"""Base class of all models: encoder and stateless methods, and the types that they exchange.

``docs/concepts/frame.md`` runs two frames through a model, method by method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple, cast

from torch import Tensor, nn
from typing_extensions import Self

from aotlab.configs.schema import ModelConfig
from aotlab.networks.attention import Attention, MapSize
from aotlab.networks.encoders import ENCODER_CLASSES, Encoder


class Features(NamedTuple):
    """An encoded image."""

    f4: Tensor
    """B×C4×h×w, the encoder's map at stride 4; sides of maps are rounded up, h = ceil(H/4)."""
    f8: Tensor
    """B×C8×h×w at stride 8."""
    f16: Tensor
    """B×C16×h×w at stride 16."""
    projected: Tensor
    """B×C×h×w at stride 16, the encoder's last map, projected to the model's width C.

    The last map is f16, except for MobileNetV2, which computes a fourth map of 1280 channels.
    """


class KeyValue(NamedTuple):
    """Keys and values of T frames of L tokens each, oldest first; T = 1 for a single frame.

    Keys have K channels: C in AOT, C/2 in DeAOT; values have D: C in AOT, 4C in DeAOT.
    """

    key: Tensor
    """B×(T·L)×K."""
    value: Tensor
    """B×(T·L)×D."""


class BlockMemory(NamedTuple):
    """Memory that a block reads, or one frame's part of it (T = 1)."""

    long: KeyValue
    """Keys and values of all frames in long-term memory."""
    short: KeyValue
    """Keys and values of the last frame, or of the last few."""


Memory = Sequence[BlockMemory]
"""Memory of each block, in the order in which blocks run."""
Tokens = Any
"""Tokens B×L×C of a frame between blocks; both branches in DeAOT (`aotlab.networks.deaot.GPMBlock`)."""
BlockState = Any
"""A frame in a block before its identities are known: a NamedTuple of tensors, such as `LSTTState`, one of them its
``key`` B×L×K, which is also the query."""


class Block(nn.Module, ABC):
    """Base of propagation blocks."""

    long_attention: Attention
    """Attention of queries B×L×K over keys B×(T·L)×K and values B×(T·L)×D of long-term memory: B×L×D."""

    @abstractmethod
    def forward(self, x: Tokens, size: MapSize, memory: BlockMemory | Tensor) -> tuple[Tokens, BlockState]:
        """Propagate identities to the current frame.

        Args:
            x: tokens of the frame.
            size: (h, w) of its map, L = h·w.
            memory: memory that the block reads; on a reference frame its identity embedding B×L×C, from which
                `memorize` builds that memory.

        Returns:
            The input of the next block, and the state of the frame, for `memorize`.
        """

    @abstractmethod
    def memorize(self, state: BlockState, id_embedding: Tensor) -> BlockMemory:
        """Build a frame's memory from its state and the identity embedding B×L×C."""


class PropagatedFrame(NamedTuple):
    """A frame after propagation."""

    embeddings: list[Tensor]
    """Maps for the decoder: B×C×h×w, or B×2C×h×w with both branches of DeAOT."""
    states: Sequence[BlockState]
    """State of each block, for `memorize` of the same model."""
    sizes: list[MapSize]
    """(h, w) of each block's map in tokens."""


class VOSModel(nn.Module, ABC):
    """Base of all models: encoder and projection. Models are stateless; memory is passed in.

    Axes: B batch (clips in training, 1 in tracking), M identities of a group, H×W pixels, h×w tokens
    or pixels of a map, L = h·w tokens.
    """

    blocks: nn.ModuleList
    decoder: nn.Module
    fused = False
    """Whether the model is a copy from `aotlab.networks.fast.optimize`, whose weights are fused and cannot be saved."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        self.projector = nn.Conv2d(self.encoder.channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)

    @property
    def active_blocks(self) -> list[Block]:
        """Blocks in use, in the order in which they run; all ``blocks`` by default."""
        return cast(list[Block], list(self.blocks))

    def at_depth(self, depth: int) -> Self:
        """Return this model with its first ``depth`` blocks in use; weights are shared.

        Raises:
            InputError: the model is not scalable (`AOST` is), or has fewer blocks.
        """
        model = copy(self)
        model.config = replace(self.config, depth=depth)
        return model

    def encode(self, image: Tensor) -> Features:
        """Encode a normalized image B×3×H×W in the precision of the weights, once for all groups of objects."""
        f4, f8, f16, last = self.encoder(image.to(self.projector.weight.dtype))
        return Features(f4, f8, f16, self.projector(last))

    @abstractmethod
    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the identity embedding of masks (E in AOT).

        Args:
            masks: B×(m+1)×H×W, one-hot or soft, background first, m ≤ M. If m = M, one more channel, for ignored
                pixels, may follow.

        Returns:
            B×L×C of each stage with blocks.
        """

    @abstractmethod
    def propagate(self, features: Features, memory: Sequence[BlockMemory | Tensor]) -> PropagatedFrame:
        """Propagate identities from memory to a frame.

        ``memory``: memory of each block, or on a reference frame its identity embedding B×L×C (`propagate_reference`).
        """

    def propagate_reference(self, features: Features, id_embeddings: Sequence[Tensor]) -> PropagatedFrame:
        """Propagate a reference frame's own identities, by attention to itself.

        ``id_embeddings``: identity embeddings of its masks, by `assign_identities`.
        """
        return self.propagate(features, [id_embeddings[stage] for stage in self.config.block_stages])

    def memorize(self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]) -> list[BlockMemory]:
        """Return this frame's memory of each block; its values carry ``id_embeddings``."""
        memory, stages = [], self.config.block_stages
        for block, stage, state, size in zip(
            self.active_blocks, stages, propagated.states, propagated.sizes, strict=True
        ):
            block_memory = block.memorize(state, id_embeddings[stage])
            stride = self.config.stages[stage].memory_stride
            memory.append(block_memory if stride == 1 else subsample_long_term(block_memory, size, stride))
        return memory

    @abstractmethod
    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×h×w of background and identities, at the stride of the decoder."""


def run_blocks(
    blocks: Sequence[Block], x: Tokens, size: MapSize, memory: Sequence[BlockMemory | Tensor]
) -> tuple[list[Tokens], list[BlockState]]:
    """Run the blocks of a stage one after another; return the output and the state of each.

    Args:
        x: input of the first block.
        size: (h, w) of its map.
        memory: memory of each block, or identity embeddings, as `Block.forward`.
    """
    outputs, states = [], []
    for block, block_memory in zip(blocks, memory, strict=True):
        x, state = block(x, size, block_memory)
        outputs.append(x)
        states.append(state)
    return outputs, states


def subsample_long_term(memory: BlockMemory, size: MapSize, stride: int) -> BlockMemory:
    """Keep every ``stride``-th token of a frame's long-term memory along each axis of its map of ``size`` (h, w)."""
    long = KeyValue(*(x.unflatten(1, size)[:, ::stride, ::stride].flatten(1, 2) for x in memory.long))
    return memory._replace(long=long)


def build_encoder(name: str) -> Encoder:
    """Return an encoder with random weights."""
    if name == "swin_base":  # timm is slow to import
        from aotlab.networks.swin import SwinBase

        return SwinBase()
    return ENCODER_CLASSES[name]()
