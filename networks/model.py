"""Base class of all models: encoder and stateless methods, and the types that they exchange.

``docs/concepts/frame.md`` runs two frames through a model, method by method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from aotlab.configs.schema import ModelConfig
from aotlab.configs.settings import build
from aotlab.networks.attention import Attention, MapSize
from aotlab.networks.encoders import build_encoder, require_maps
from aotlab.utils.plugins import is_built_in


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
    ages: Tensor | None = None
    """T int64: number of frames since each frame in long-term memory, oldest first; 0 for a reference frame that reads
    itself; None in the result of `Block.memorize`. T is ``ages.shape[0]``: `len` would be a constant of an export."""


Memory = Sequence[Sequence[BlockMemory]]
"""``memory[stage][block]``, of stages with blocks, in the order in which they run."""


class BlockState(Protocol):
    """A frame in a block before its identities are known: a NamedTuple of tensors, such as `LSTTState`."""

    @property
    def key(self) -> Tensor:
        """B×L×K, also the frame's query: queries and keys have one projection."""


Tokens = TypeVar("Tokens")
"""Tokens of a frame between blocks: B×L×C, or both branches in DeAOT (`aotlab.networks.deaot.GPMBlock`)."""
State = TypeVar("State", bound=BlockState)


class Block(nn.Module, ABC, Generic[Tokens, State]):
    """Base of propagation blocks, such as ``Block[Tensor, LSTTState]``."""

    long_attention: Attention
    """Attention of queries B×L×K over keys B×(T·L)×K and values B×(T·L)×D of long-term memory: B×L×D."""

    @abstractmethod
    def forward(
        self, x: Tokens, size: MapSize, memory: BlockMemory | None = None, id_embedding: Tensor | None = None
    ) -> tuple[Tokens, State]:
        """Propagate identities to the current frame.

        Args:
            x: tokens of the frame.
            size: (h, w) of its map, L = h·w.
            memory: memory that the block reads; None on a reference frame, which reads `reference_memory`.
            id_embedding: identity embedding B×L×C of a reference frame; None on other frames.

        Returns:
            The input of the next block, and the state of the frame, for `memorize`.
        """

    @abstractmethod
    def memorize(self, state: State, id_embedding: Tensor) -> BlockMemory:
        """Build a frame's memory from its state and the identity embedding B×L×C."""

    def reference_memory(self, state: State, id_embedding: Tensor | None) -> BlockMemory:
        """Build the memory that a reference frame reads, its own; by default that of `memorize`."""
        assert id_embedding is not None
        return self.memorize(state, id_embedding)._replace(ages=id_embedding.new_zeros(1, dtype=torch.long))


class PropagatedFrame(NamedTuple):
    """A frame after propagation."""

    embeddings: Tensor
    """B×D×h×w, the input of `VOSModel.decode`; D depends on the method."""
    states: Sequence[Sequence[BlockState]]
    """``states[stage][block]``, for `memorize` of the same model."""
    sizes: Sequence[MapSize]
    """(h, w) of the map in tokens of each stage with blocks."""
    maps: Sequence[Tensor] = ()
    """B×C×h×w of the frame and of each block's output, for `decode_depths`; empty unless the model is scalable."""


class VOSModel(nn.Module, ABC):
    """Base of all models: encoder and projection. Models are stateless; memory is passed in.

    Axes: B batch (clips in training, 1 in tracking), M identities of a group, H×W pixels, h×w tokens
    or pixels of a map, L = h·w tokens.
    """

    decoder: nn.Module

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        if not is_built_in(type(self.encoder)):
            require_maps(self.encoder, align_corners=config.align_corners)
        self.projector = nn.Conv2d(self.encoder.channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)

    @property
    @abstractmethod
    def stage_blocks(self) -> list[list[Block]]:
        """Blocks in use of each stage with blocks, in the order in which they run."""

    def at_depth(self, depth: int) -> Self:
        """Return this model with its first ``depth`` blocks in use; weights are shared.

        Raises:
            InputError: the model is not scalable (`AOST` is), or has fewer blocks.
        """
        model = copy(self)
        model.config = build(ModelConfig, {**dict(self.config), "depth": depth})
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
    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Propagate identities to a frame.

        Args:
            memory: ``memory[stage][block]``; None on a reference frame, which attends to itself.
            id_embeddings: identity embeddings of a reference frame's masks, by `assign_identities`.
        """

    def run_blocks(
        self, stage: int, x: Any, size: MapSize, memory: Memory | None, id_embeddings: Sequence[Tensor] | None
    ) -> tuple[list[Any], list[BlockState]]:
        """Run the blocks of a stage one after another; return the output and the state of each.

        Args:
            stage: its index.
            x: input of the first block.
            size: (h, w) of its map.
            memory, id_embeddings: of all stages, see `propagate`.
        """
        blocks = self.stage_blocks[stage]
        stage_memory = [None] * len(blocks) if memory is None else memory[stage]
        id_embedding = None if id_embeddings is None else id_embeddings[stage]
        outputs, states = [], []
        for block, block_memory in zip(blocks, stage_memory, strict=True):
            x, state = block(x, size, block_memory, id_embedding)
            outputs.append(x)
            states.append(state)
        return outputs, states

    def memorize(self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return this frame's memory, ``memory[stage][block]``; its values carry ``id_embeddings``."""
        memory = []
        for stage, (blocks, states) in enumerate(zip(self.stage_blocks, propagated.states, strict=True)):
            size, stride = propagated.sizes[stage], self.config.stages[stage].long_term_stride
            memory.append(
                [
                    subsample_long_term(block.memorize(state, id_embeddings[stage]), size, stride)
                    for block, state in zip(blocks, states, strict=True)
                ]
            )
        return memory

    @abstractmethod
    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×h×w of background and identities, at the stride of the decoder."""

    def decode_depths(self, propagated: PropagatedFrame, features: Features) -> list[Tensor]:
        """Return the logits of `decode` with 1, 2, … blocks, fewer than in use, for training; empty unless scalable."""
        return []


def subsample_long_term(memory: BlockMemory, size: MapSize, stride: int) -> BlockMemory:
    """Keep every ``stride``-th token of a frame's long-term memory along each axis of its map of ``size`` (h, w)."""
    if stride == 1:
        return memory
    long = KeyValue(*(x.unflatten(1, size)[:, ::stride, ::stride].flatten(1, 2) for x in memory.long))
    return memory._replace(long=long)
