"""Sine positions of self-attention."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from aotlab.networks.attention import Size


def sine_position(size: Size, tokens: Tensor) -> Tensor:
    """Return the sine embedding 1×L×C of the positions of ``tokens`` B×L×C: first half for y, second half for x."""
    return _sine_position(size, tokens.shape[2], tokens.dtype, tokens.device)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # training may save for its gradients what tracking has cached
def _sine_position(size: Size, dim: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    half = dim // 2
    channel = torch.arange(half, device=device)
    period = 10000 ** ((2 * (channel // 2)).float() / half)
    axes = []
    for length in size:
        position = (
            torch.arange(length, dtype=torch.float32, device=device) / (length - 1 + 1e-6) * (2 * math.pi)
        )
        angle = position[:, None] / period
        axes.append(torch.where(channel % 2 == 0, angle.sin(), angle.cos()))
    height, width = size
    rows = axes[0][:, None].expand(height, width, half)
    columns = axes[1][None].expand(height, width, half)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[None].to(dtype)  # 1×(h·w)×dim
