"""The temporal embedding: when a frame of long-term memory was (RMem, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TemporalEmbedding(nn.Module):
    """One vector added to queries, and one of a few slots to the keys of each remembered frame."""

    def __init__(self, slots: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, dim))
        self.memory = nn.Parameter(torch.empty(slots, dim))
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.05)

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Query B×L×C and keys B×(T·L)×C, oldest frame first, with their embeddings added."""
        frames = key.shape[1] // query.shape[1]
        moments = self.memory[slots_of(frames, len(self.memory), key.device)]
        placed = key.unflatten(1, (frames, -1)) + moments[:, None]
        return query + self.query, placed.flatten(1, 2)


def slots_of(frames: int, slots: int, device: torch.device | None = None) -> Tensor:
    """The slot of each frame, oldest first: one each while they last, then shared evenly, counted from the newest."""
    age = torch.arange(frames - 1, -1, -1, device=device)
    return slots - 1 - age * slots // frames if frames > slots else frames - 1 - age
