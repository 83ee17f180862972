"""Layers of Swin-B up to stride 16, from timm's parts, for images of any size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock, window_partition, window_reverse
from torch import Tensor, nn

from aotlab.networks.cache import cache_table

WINDOW = 7
DEPTHS = (2, 2, 18)
HEADS = (4, 8, 16)
# The fourth stage (2 blocks) is not built, but it counts in the drop-path schedule. The default device may be meta.
DROP_PATH = torch.linspace(0, 0.3, sum(DEPTHS) + 2, device="cpu").tolist()


@cache_table
def _shift_mask(height: int, width: int, shift: int, device: torch.device) -> Tensor:
    """Return windows×49×49: 0 for pairs of tokens from one region of the map, -100 for others."""
    regions = torch.zeros(1, height, width, 1, dtype=torch.float32, device=device)
    edges = (slice(0, -WINDOW), slice(-WINDOW, -shift), slice(-shift, None))
    for index, (rows, columns) in enumerate((r, c) for r in edges for c in edges):
        regions[:, rows, columns] = index
    windows = window_partition(regions, (WINDOW, WINDOW)).flatten(1)
    different = windows[:, None, :] != windows[:, :, None]
    return different.float() * -100.0


class PaddedBlock(SwinTransformerBlock):
    """A Swin block that pads to whole windows before it shifts (timm shifts first, which differs at borders)."""

    def _attn(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map B×H×W×C to the same shape; ``mask`` is part of timm's signature and unused."""
        height, width, dim = x.shape[1:]
        x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        padded_height, padded_width = x.shape[1:3]
        shift = self.shift_size[0]
        mask = None
        if shift:
            x = torch.roll(x, (-shift, -shift), dims=(1, 2))
            mask = _shift_mask(padded_height, padded_width, shift, x.device).to(x.dtype)
        windows = window_partition(x, (WINDOW, WINDOW)).view(-1, WINDOW * WINDOW, dim)
        windows = self.attn(windows, mask=mask).view(-1, WINDOW, WINDOW, dim)
        x = window_reverse(windows, (WINDOW, WINDOW), padded_height, padded_width)
        if shift:
            x = torch.roll(x, (shift, shift), dims=(1, 2))
        return x[:, :height, :width].contiguous()


def build_layers(channels: Sequence[int]) -> tuple[PatchEmbed, nn.ModuleList, nn.ModuleList]:
    """Return the patch embedding, the stages of blocks of C channels each, and the layers between stages."""
    patch_embed = PatchEmbed(
        img_size=None, patch_size=4, embed_dim=channels[0], norm_layer=nn.LayerNorm, flatten=False,
        output_fmt="NHWC", strict_img_size=False, dynamic_img_pad=True,
    )  # fmt: skip
    layers, downsamples, drops = nn.ModuleList(), nn.ModuleList(), iter(DROP_PATH)
    for stage, (depth, heads, dim) in enumerate(zip(DEPTHS, HEADS, channels, strict=True)):
        layers.append(nn.Sequential(*(build_block(dim, heads, index, next(drops)) for index in range(depth))))
        if stage < len(DEPTHS) - 1:
            downsamples.append(PatchMerging(dim, out_dim=2 * dim))
    return patch_embed, layers, downsamples


def build_block(dim: int, heads: int, index: int, drop: float) -> PaddedBlock:
    """Return the block of an index in its stage."""
    # any resolution above a window will do; up to a window, timm drops the shift
    return PaddedBlock(
        dim, (4 * WINDOW, 4 * WINDOW), num_heads=heads, window_size=WINDOW,
        shift_size=0 if index % 2 == 0 else WINDOW // 2, drop_path=drop,
    )  # fmt: skip
