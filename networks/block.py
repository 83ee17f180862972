"""What a propagation block is: the contract between stages and kinds of blocks."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from aotlab.configs.schema import StageConfig
from aotlab.networks.temporal import TemporalEmbedding

Size = tuple[int, int]
"""(height, width) of a map in tokens"""


class KeyValue(NamedTuple):
    """What one block remembers of one or more frames: key B×L×C and value B×L×D."""

    key: Tensor
    value: Tensor


class BlockMemory(NamedTuple):
    """What one block reads: long-term memory of all its frames, short-term memory of one or a few (L tokens each).

    Of a single frame it is what `Block.memorize` makes for each of the two.
    """

    long: KeyValue
    short: KeyValue


class Block(nn.Module):
    """Tokens in, tokens out, and this frame's key and unlabelled value for the memory."""

    branches = 1
    """embeddings of the stage's width that an output holds, concatenated"""
    heads = 1
    """of long-term attention"""
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
        """Norms of the stage's outputs, those of its last blocks; ``last``: these go to the decoder.

        A LayerNorm for each block, unless a kind of block says otherwise.
        """
        return [nn.LayerNorm(dim) for _ in range(depth)]

    @staticmethod
    def identity_norm(dim: int) -> nn.Module:
        """Norm of the identity embedding; none, unless a kind of block says otherwise."""
        return nn.Identity()

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: BlockMemory | None,
        identity: Tensor | None,
        temporal: TemporalEmbedding | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """Propagate memory to the current frame.

        Args:
            x: B×L×(branches·C); B×L×C in the model's first block.
            size: of the map.
            memory: what to read; None on a reference frame, which reads itself.
            identity: B×L×C, the reference frame's identity embedding; None on all other frames.
            temporal: goes into queries and keys of long-term attention.

        Returns:
            B×L×(branches·C), and this frame's key (its query as well) and value without identities, for `memorize`.
        """
        raise NotImplementedError

    def memorize(self, current: KeyValue, identity: Tensor | None) -> BlockMemory:
        """Label this frame's memory with the identity embedding B×L×C."""
        raise NotImplementedError
