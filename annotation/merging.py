"""Between two given masks a video is tracked from both; what the two directions say of each object is merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Found:
    """What was found on one frame."""

    index: int
    labels: np.ndarray
    """H×W ids"""
    confidence: Mapping[int, float]
    """of every object that was looked for"""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 minus the IoU of both directions, where both were tracked"""


@dataclass(frozen=True)
class Opinion:
    """What one direction says of a frame."""

    ids: tuple[int, ...]
    probabilities: Tensor
    """(1+n)×H×W, background and then the objects in the order of ``ids``"""
    silent: frozenset[int] = frozenset()
    """objects of which the mask it began with says nothing, so that the other direction alone decides"""


def merge(index: int, forward: Opinion, backward: Opinion, weight: float) -> Found:
    """The weighted mean of both directions, object by object.

    Args:
        index: the frame.
        forward: from the given mask before it.
        backward: from the given mask after it.
        weight: of ``backward``, from 0 at the mask before to 1 at the mask after.
    """
    numbers = forward.ids + tuple(number for number in backward.ids if number not in forward.ids)
    shape = forward.probabilities.shape[1:]
    total = torch.zeros(1 + len(numbers), *shape)
    for channel, number in enumerate(numbers, start=1):
        shares = {
            side: share
            for side, share, opinion in (("f", 1 - weight, forward), ("b", weight, backward))
            if number in opinion.ids or number not in opinion.silent
        }
        whole = sum(shares.values()) or 1.0
        for side, opinion in (("f", forward), ("b", backward)):
            if side in shares and number in opinion.ids:
                row = opinion.probabilities[1 + opinion.ids.index(number)].cpu()
                total[channel] += shares[side] / whole * row
    total[0] = (1 - total[1:].sum(0)).clamp(min=0)
    sure, channels = total.max(0)
    labels = np.array([0, *numbers], dtype=np.uint16)[channels.numpy()]
    differ = disagreement(numbers, labels_of(forward), labels_of(backward))
    return Found(index, labels, _confidence(numbers, channels, sure), differ)


def labels_of(opinion: Opinion) -> np.ndarray:
    """H×W ids."""
    channels = opinion.probabilities.max(0).indices.cpu().numpy()
    return np.asarray(np.array([0, *opinion.ids], dtype=np.uint16)[channels])


def disagreement(numbers: Sequence[int], first: np.ndarray, second: np.ndarray) -> dict[int, float]:
    """1 minus the IoU of each object in two label maps; 0 where neither has it."""
    found = {}
    for number in numbers:
        one, other = first == number, second == number
        union = int((one | other).sum())
        found[number] = 1 - int((one & other).sum()) / union if union else 0.0
    return found


def _confidence(numbers: Sequence[int], channels: Tensor, sure: Tensor) -> dict[int, float]:
    """Mean probability of each object over its own pixels; 0 where it has none."""
    found = {}
    for channel, number in enumerate(numbers, start=1):
        pixels = sure[channels == channel]
        found[number] = float(pixels.mean()) if len(pixels) else 0.0
    return found
