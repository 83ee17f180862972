"""Base class of all models: five methods without state, and the types that pass between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from aotlab.configs.schema import ModelConfig
from aotlab.networks.encoders import build_encoder


class Features(NamedTuple):
    """An encoded image: maps at strides 4, 8 and 16, and the last map projected to the model's width."""

    f4: Tensor
    f8: Tensor
    f16: Tensor
    projected: Tensor


class KeyValue(NamedTuple):
    """Memory of one block: key B×L×C and value B×L×D, of one or more frames."""

    key: Tensor
    value: Tensor


class BlockMemory(NamedTuple):
    """Memory that one block reads: long-term of all its frames, short-term of one or a few (L tokens each)."""

    long: KeyValue
    short: KeyValue


Memory = Sequence[Sequence[BlockMemory]]
"""per stage and block: what all of them read, or one frame's share of it"""


class PropagatedFrame(NamedTuple):
    """A frame after propagation."""

    embeddings: list[list[Tensor]]
    """maps B×C×h×w for the decoder or the next stage, per stage"""
    states: list[list[Any]]
    """per stage and block, what `VOSModel.memorize` needs: a NamedTuple of the block's, whose first field is its key"""


class Model(Protocol):
    """The five methods of `VOSModel`, as trackers use them: of the model, its optimised copy, or exported graphs."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def heads(self) -> int: ...
    def state_dict(self) -> Mapping[str, Any]: ...
    def encode(self, image: Tensor) -> Features: ...
    def assign_identities(self, masks: Tensor) -> list[Tensor]: ...
    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame: ...
    def memorize(
        self, propagated: PropagatedFrame, identities: Sequence[Tensor]
    ) -> list[list[BlockMemory]]: ...
    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor: ...
    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]: ...


class VOSModel(nn.Module):
    """Base of all methods: encoder and projection. Everything from the past is an argument.

    Axes: B batch (clips in training, groups of objects in tracking), M identities of a group.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Raise `InputError` for an unknown encoder."""
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)
        self.channels: tuple[int, int, int, int] = self.encoder.channels  # type: ignore[assignment]
        self.projector = nn.Conv2d(self.channels[3], config.dim, 1)
        nn.init.xavier_uniform_(self.projector.weight)
        self.prompts: nn.Module | None = None  # network that turns clicks and boxes into masks

    @property
    def heads(self) -> int:
        """Heads of long-term attention in the first block."""
        return self.config.stages[0].heads

    def encode(self, image: Tensor) -> Features:
        """Encode a normalised image B×3×H×W, once for all groups of objects."""
        f4, f8, f16, last = self.encoder(image)
        return Features(f4, f8, f16, self.projector(last))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Embed masks B×(m+1)×H×W (one-hot or soft, background first, m ≤ M; the plane to ignore may follow M).

        Returns:
            B×L×C per stage.
        """
        raise NotImplementedError

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Carry identities from memory to a frame, or on a reference frame from its own ``identities``.

        Args:
            features: of batch B, or 1 shared by all groups.
            memory: what each block reads; None on a reference frame.
            identities: of the reference frame, from `assign_identities`; None on all other frames.
        """
        raise NotImplementedError

    def memorize(self, propagated: PropagatedFrame, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return this frame's memory per stage and block: its keys, and values that carry ``identities``."""
        raise NotImplementedError

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits B×(M+1)×h×w of background and identities, at the stride of the decoder."""
        raise NotImplementedError

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries B×L×C and keys B×(T·L)×C of the first stage as long-term attention compares them."""
        return query, key


def batch_size(memory: Memory | None, identities: Sequence[Tensor] | None) -> int:
    """Return B of a frame's memory, or else of its identities."""
    if memory is not None:
        return len(memory[0][0].long.key)
    assert identities is not None
    return len(identities[0])
