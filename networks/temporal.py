"""The temporal embedding: the age of a frame in long-term memory (RMem, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
