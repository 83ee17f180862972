"""Propagation blocks: the contract between stages and kinds of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from aotlab.configs.schema import StageConfig
from aotlab.networks.positions import Size


class KeyValue(NamedTuple):
    """Memory of one block: key B×L×C and value B×L×D, of one or more frames."""

    key: Tensor
    value: Tensor


class BlockMemory(NamedTuple):
    """Memory that one block reads: long-term of all its frames, short-term of one or a few (L tokens each).

    `Block.memorize` makes both of a single frame.
    """

    long: KeyValue
    short: KeyValue


Memory = Sequence[Sequence[BlockMemory]]
"""per stage and block: what all of them read, or one frame's share of it"""


class Unlabelled(Protocol):
    """A frame in one block before `Block.memorize` labels it: a NamedTuple that the kind of block defines.

    Its fields are tensors, or None if the block has no such part.
    """

    @property
    def key(self) -> Tensor:
        """B×L×C, the frame's query as well."""

    def _asdict(self) -> dict[str, Any]: ...


class Block(nn.Module):
    """Tokens in, tokens out, and this frame's memory before identities label it.

    A kind of block is a module with a subclass, a line in `stage.BLOCKS`, and a YAML file that names it.
    """

    unlabelled: type[Any]
    """type of the frame that `forward` returns for `memorize`"""
    branches = 1
    """embeddings of the stage's width that an output holds, concatenated"""
    heads = 1
    """heads of long-term attention"""
    has_mask_token = False
    """whether published checkpoints hold a mask token, which nothing reads"""

    def __init__(self, dim: int, config: StageConfig, first: bool) -> None:
        """A block of width ``dim``; ``first`` says whether it is the model's first."""
        super().__init__()

    @staticmethod
    def key_dim(dim: int) -> int:
        """Width of queries and keys of a block of width ``dim``."""
        return dim

    @staticmethod
    def output_norms(dim: int, depth: int, last: bool) -> list[nn.Module]:
        """Norms of the stage's outputs, those of its last blocks: by default a LayerNorm for each block.

        ``last``: the outputs go to the decoder.
        """
        return [nn.LayerNorm(dim) for _ in range(depth)]

    @staticmethod
    def identity_norm(dim: int) -> nn.Module:
        """Norm of the identity embedding: by default none."""
        return nn.Identity()

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, Unlabelled]:
        """Propagate memory to the current frame.

        Args:
            x: B×L×(branches·C); B×L×C in the model's first block.
            size: of the map.
            memory: what to read; None on a reference frame, which reads itself.
            identity: B×L×C, the reference frame's identity embedding; None on all other frames.
            temporal: goes into queries and keys of long-term attention.

        Returns:
            B×L×(branches·C), and this frame's memory without identities, for `memorize`.
        """
        raise NotImplementedError

    def memorize(self, current: Any, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory, an `unlabelled`, with the identity embedding B×L×C."""
        raise NotImplementedError


class TemporalEmbedding(nn.Module):
    """One vector is added to queries, and one of a few, by the age of its frame, to the keys of each memory frame."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, dim))
        self.memory = nn.Parameter(torch.empty(count, dim))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.05)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Query B×L×C and keys B×(T·L)×C, oldest frame first, with their embeddings added."""
        frames = key.shape[1] // query.shape[1]
        added = self.memory[embedding_indices(frames, len(self.memory), key.device)]  # T×C
        key = key.unflatten(1, (frames, -1)) + added[:, None]  # B×T×L×C
        return query + self.query, key.flatten(1, 2)


def embedding_indices(frames: int, count: int, device: torch.device | None = None) -> Tensor:
    """Indices of the embedding of each frame, below ``count``, oldest frame first.

    Each frame has its own while there are enough; then they are shared evenly, counted from the newest.
    """
    age = torch.arange(frames - 1, -1, -1, device=device)
    return count - 1 - age * count // frames if frames > count else frames - 1 - age
