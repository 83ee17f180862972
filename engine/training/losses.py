"""Training loss of a frame: the mean of bootstrapped cross-entropy and soft Jaccard loss (AOT, section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
"""label of ignored pixels"""


def hardest_count(pixels: int, step: int, total: int, *, part: float = 0.15, reached_at: float = 0.5) -> int:
    """Return the number of pixels in the bootstrapped cross-entropy at ``step``: all at first, ``part`` later."""
    ratio = min(1.0, step / (reached_at * total + 1e-5))
    return int((ratio * part + (1 - ratio)) * pixels)


def bootstrapped_cross_entropy(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the mean cross-entropy of the ``count`` hardest pixels; ignored pixels count as 0.

    logits: C×H×W; labels: H×W integers below C, or 255. Returns a scalar.
    """
    losses = F.cross_entropy(logits[None], labels[None], ignore_index=IGNORE, reduction="none").flatten()
    return (losses if count >= losses.numel() else losses.topk(count, sorted=False).values).mean()


def soft_jaccard(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of 1 - soft IoU over the classes present, including background.

    logits: C×H×W; labels: H×W integers below C, or 255 (ignored). Returns a scalar, 0 if all pixels are ignored.
    """
    probabilities = logits.softmax(0) * (labels != IGNORE)
    classes = torch.arange(len(logits), device=labels.device)
    masks = (labels == classes[:, None, None]).to(probabilities.dtype)
    pixels = masks.sum((1, 2))
    intersection = (probabilities * masks).sum((1, 2))
    union = probabilities.sum((1, 2)) + pixels - intersection
    losses = 1 - intersection / (union + 1e-6)
    present = pixels > 0
    return (losses * present).sum() / present.sum().clamp(min=1)


def frame_loss(logits: Tensor, labels: Tensor, count: int, *, align_corners: bool) -> Tensor:
    """Return the loss of one frame of a sample.

    logits: C×H/4×W/4 of background and the sample's objects; labels: H×W. Returns a scalar.
    """
    size = (labels.shape[-2], labels.shape[-1])
    logits = F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=align_corners)[0]
    return 0.5 * bootstrapped_cross_entropy(logits, labels, count) + 0.5 * soft_jaccard(logits, labels)


def weighted_by_depth(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of losses at depths 1, 2, ..., each weighted twice as much as the one before (AOST)."""
    weighted = [2**index * loss for index, loss in enumerate(losses)]
    return torch.stack(weighted).sum(0) / (2 ** len(losses) - 1)
