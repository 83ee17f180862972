"""Base class of all models: encoder and stateless methods, and the types that pass between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig
from aotlab.networks.encoders import build_encoder


class Features(NamedTuple):
    """An encoded image."""

    f4: Tensor
    """B×C4×H/4×W/4, the encoder's map at stride 4"""
    f8: Tensor
    """B×C8×H/8×W/8"""
    f16: Tensor
    """B×C16×H/16×W/16"""
    projected: Tensor
    """B×C×H/16×W/16, the encoder's last map projected to the model's width C"""


class KeyValue(NamedTuple):
    """Memory of T frames of L tokens each, oldest first."""

    key: Tensor
    """B×(T·L)×C"""
    value: Tensor
    """B×(T·L)×D"""


class BlockMemory(NamedTuple):
    """Memory of one block: what it reads, or the share of one frame (T = 1)."""

    long: KeyValue
    """keys and values of all frames in long-term memory"""
    short: KeyValue
    """keys and values of the last frame, or of the last few"""


Memory = Sequence[Sequence[BlockMemory]]
"""memory of each block of each stage, ``memory[stage][block]``; all models have one stage except MSDeAOT
and pyramid AOT"""


class PropagatedFrame(NamedTuple):
    """A frame after propagation."""

    embeddings: list[list[Tensor]]
    """maps B×C×h×w for the decoder or the next stage, per stage"""
    states: list[list[Any]]
    """per stage and block, what `VOSModel.memorize` needs: a NamedTuple of the block's with the field ``key``"""


class Model(Protocol):
    """Interface of models for `aotlab.engine`: a `VOSModel`, its optimised copy, or exported graphs."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def heads(self) -> int: ...
    def state_dict(self) -> Mapping[str, Any]: ...
    def encode(self, image: Tensor) -> Features: ...
    def assign_identities(self, masks: Tensor) -> list[Tensor]: ...
    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame: ...
    def memorize(
        self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]
    ) -> list[list[BlockMemory]]: ...
    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor: ...
    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]: ...


class VOSModel(nn.Module):
    """Base of all models: encoder and projection. Everything from the past is an argument.

    Axes: B batch (clips in training, groups of objects in tracking), M identities of a group, H×W pixels, h×w tokens
    or pixels of a map, L = h·w tokens.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Raise `InputError` for an unknown encoder."""
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        self.channels: tuple[int, int, int, int] = self.encoder.channels  # type: ignore[assignment]
        self.projector = nn.Conv2d(self.channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)
        self.prompts: nn.Module | None = None
        """network that turns clicks and boxes into masks (`aotlab.networks.prompts`); trackers run it"""

    @property
    def heads(self) -> int:
        """Heads of long-term attention in the first block, with which memory policies compute relevance."""
        return self.config.stages[0].heads

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image B×3×H×W, once for all groups of objects."""
        f4, f8, f16, last = self.encoder(image)
        return Features(f4, f8, f16, self.projector(last))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Return the identity embedding of masks (E in AOT).

        Args:
            masks: B×(m+1)×H×W, one-hot or soft, background first, m ≤ M; the plane to ignore may follow M.

        Returns:
            B×L×C of each stage with blocks.
        """
        raise NotImplementedError

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Carry identities from memory to a frame, or to a reference frame from its own ``id_embeddings``.

        Args:
            features: of batch B, or 1 shared by all groups.
            memory: what each block reads; None on a reference frame.
            id_embeddings: of the reference frame, from `assign_identities`; None on all other frames.
        """
        raise NotImplementedError

    def memorize(
        self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]
    ) -> list[list[BlockMemory]]:
        """Return this frame's memory per stage and block; its values carry ``id_embeddings``."""
        raise NotImplementedError

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(1+M)×h×w of background and identities, at the stride of the decoder."""
        raise NotImplementedError

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries B×L×C and keys B×(T·L)×C of long-term attention with RMem's temporal embedding.

        Without one, as in all models but RMem's, they are returned unchanged.
        """
        return query, key


def batch_size(memory: Memory | None, id_embeddings: Sequence[Tensor] | None) -> int:
    """Return B of a frame's memory, or else of its identity embeddings."""
    if memory is not None:
        return len(memory[0][0].long.key)
    assert id_embeddings is not None
    return len(id_embeddings[0])
