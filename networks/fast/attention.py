"""Global attention on CPUs as two products for some queries at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from aotlab.networks.attention import Attention
from aotlab.networks.fast.linear import onednn_linear

QUERY_CHUNK = 512
"""queries whose weights are computed together, so that they stay in the cache"""


class SplitAttention(Attention):
    """`Attention` as plain products, head by head, some queries at a time."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """B×L×C, B×S×C and B×S×D to B×L×D; see `Attention.forward`."""
        query = query * (query.shape[2] // self.heads) ** -0.5
        output = query.new_empty(*query.shape[:2], value.shape[2])
        for item in zip(query, key, value, output, strict=True):
            heads = zip(*(x.chunk(self.heads, dim=1) for x in item), strict=True)
            for head_q, head_k, head_v, head_o in heads:
                keys, values = head_k.contiguous(), head_v.contiguous().mT
                queries = head_q.contiguous().split(QUERY_CHUNK)
                parts = [onednn_linear(onednn_linear(part, keys).softmax(1), values) for part in queries]
                head_o.copy_(torch.cat(parts))
        return output
