"""Interface of models, computed by PyTorch or by exported graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from typing_extensions import Self

from aotlab.configs.schema import ModelConfig
from aotlab.networks.block import BlockMemory, Memory
from aotlab.networks.vos_model import Features, Propagated


class Model(Protocol):
    """The five verbs of `VOSModel`, and what trackers and memory policies read; documented there."""

    @property
    def config(self) -> ModelConfig:
        """All settings."""

    @property
    def heads(self) -> int:
        """Heads of long-term attention in the first block of the first stage."""

    def to(self, device: torch.device) -> Self:
        """Move to a device."""

    def eval(self) -> Self:
        """Switch to inference."""

    def state_dict(self) -> Mapping[str, Any]:
        """Weights by name."""

    def compile_parts(self, *, dynamic: bool | None = None) -> None:
        """Compile parts by torch.compile."""

    def encode(self, image: Tensor) -> Features:
        """Maps of a normalised image B×3×H×W."""

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Identity embedding B×L×C of each stage, of masks B×(m+1)×H×W."""

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> Propagated:
        """Carry identities from memory to a frame."""

    def memorize(self, propagated: Propagated, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """A frame's memory per stage and block."""

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Logits B×(M+1)×h×w."""

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of the first stage as long-term attention compares them."""
