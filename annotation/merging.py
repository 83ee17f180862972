"""Between given masks a video is tracked from both; what the two directions say of each object is merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aotlab.engine.video.scores import disagreement


@dataclass(frozen=True)
class TrackedFrame:
    """What was found on one frame."""

    index: int
    labels: np.ndarray
    """H×W ids"""
    confidence: Mapping[int, float]
    """of every object that was looked for"""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 minus the IoU of both directions, where both were tracked"""
    gone: frozenset[int] = frozenset()
    """objects that a given mask said are not there, and that were not looked for since"""


@dataclass(frozen=True)
class Opinion:
    """What one direction says of a frame."""

    ids: tuple[int, ...]
    probabilities: Tensor
    """(1+n)×H×W, background and then the objects in the order of ``ids``"""
    gone: frozenset[int] = frozenset()
    """as of `TrackedFrame`"""


def merge_directions(
    index: int, forward: Opinion, backward: Opinion, weights: Mapping[int, float]
) -> TrackedFrame:
    """The weighted mean of both directions, object by object.

    Args:
        index: the frame.
        forward: from the given masks before it.
        backward: from the given masks after it.
        weights: of ``backward`` by object, from 0 at the given mask before to 1 at the one after; 0 or 1 where only
            masks on one side say anything of the object, so that this direction alone decides.
    """
    object_ids = forward.ids + tuple(object_id for object_id in backward.ids if object_id not in forward.ids)
    shape = forward.probabilities.shape[1:]
    total = torch.zeros(1 + len(object_ids), *shape)
    for channel, object_id in enumerate(object_ids, start=1):
        weight = weights[object_id]
        for share, opinion in ((1 - weight, forward), (weight, backward)):
            if share and object_id in opinion.ids:
                total[channel] += share * opinion.probabilities[1 + opinion.ids.index(object_id)].cpu()
    total[0] = (1 - total[1:].sum(0)).clamp(min=0)
    sure, channels = total.max(0)
    labels = np.array([0, *object_ids], dtype=np.uint16)[channels.numpy()]
    both = [object_id for object_id in object_ids if 0 < weights[object_id] < 1]
    differ = disagreement(both, _labels_of(forward), _labels_of(backward))
    gone = (forward.gone | backward.gone) - set(object_ids)
    return TrackedFrame(index, labels, _confidence(object_ids, channels, sure), differ, gone)


def _labels_of(opinion: Opinion) -> np.ndarray:
    """H×W ids."""
    channels = opinion.probabilities.max(0).indices.cpu().numpy()
    return np.asarray(np.array([0, *opinion.ids], dtype=np.uint16)[channels])


def _confidence(object_ids: Sequence[int], channels: Tensor, sure: Tensor) -> dict[int, float]:
    """Mean probability of each object over its own pixels; 0 where it has none."""
    found = {}
    for channel, object_id in enumerate(object_ids, start=1):
        pixels = sure[channels == channel]
        found[object_id] = float(pixels.mean()) if len(pixels) else 0.0
    return found
