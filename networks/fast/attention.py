"""Global attention on CPUs as plain products."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.networks.attention import Attention

QUERY_CHUNK = 512
"""queries whose weights are computed together, so that they stay in the cache"""


class SplitAttention(Attention):
    """`Attention` as plain products, head by head, some queries at a time."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """B×L×C, B×S×C and B×S×D to B×L×D; see `Attention.forward`."""
        query = query * (query.shape[2] // self.heads) ** -0.5
        output = query.new_empty(*query.shape[:2], value.shape[2])
        for row in range(len(query)):
            rows = (x[row].chunk(self.heads, dim=1) for x in (query, key, value, output))  # a view per head
            for head_query, head_key, head_value, head_output in zip(*rows, strict=True):
                keys, values = head_key.contiguous(), head_value.contiguous().mT  # S×c, d×S
                queries = head_query.contiguous().split(QUERY_CHUNK)
                parts = [F.linear(F.linear(part, keys).softmax(1), values) for part in queries]
                head_output.copy_(torch.cat(parts))
        return output
