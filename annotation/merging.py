"""Merging of both tracking directions between given masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aotlab.engine.video.scores import disagreement


@dataclass(frozen=True)
class TrackedFrame:
    """Tracking result on one frame."""

    index: int
    labels: np.ndarray
    """H×W ids"""
    confidence: Mapping[int, float]
    """by id of each tracked object"""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 minus the IoU of both directions, where both were tracked"""
    gone: frozenset[int] = frozenset()
    """objects stated to be absent, which are not tracked any more"""
    reached: int | None = None
    """frame that the tracker has reached, if it is not this one"""


@dataclass(frozen=True)
class Opinion:
    """Prediction of one direction."""

    ids: tuple[int, ...]
    probabilities: Tensor
    """(1+n)×H×W, background first, then the objects in the order of ``ids``"""
    gone: frozenset[int] = frozenset()
    """see `TrackedFrame`"""


def merge_directions(
    index: int, forward: Opinion, backward: Opinion, weights: Mapping[int, float]
) -> TrackedFrame:
    """Return the weighted mean of both directions, object by object.

    Args:
        forward: from the given masks before it.
        backward: from the given masks after it.
        weights: of ``backward`` by object id, from 0 at the given mask before to 1 at the one after; 0 or 1 if only
            masks on one side describe the object, so that only this direction counts.
    """
    ids = forward.ids + tuple(each for each in backward.ids if each not in forward.ids)
    total = torch.zeros(1 + len(ids), *forward.probabilities.shape[1:])
    for channel, object_id in enumerate(ids, start=1):
        weight = weights[object_id]
        for share, opinion in ((1 - weight, forward), (weight, backward)):
            if share and object_id in opinion.ids:
                total[channel] += share * opinion.probabilities[1 + opinion.ids.index(object_id)].cpu()
    total[0] = (1 - total[1:].sum(0)).clamp(min=0)
    sure, channels = total.max(0)
    confidence = {}
    for channel, object_id in enumerate(ids, start=1):
        pixels = sure[channels == channel]
        confidence[object_id] = float(pixels.mean()) if len(pixels) else 0.0
    both = [object_id for object_id in ids if 0 < weights[object_id] < 1]
    first, second = (_labels(opinion.ids, opinion.probabilities) for opinion in (forward, backward))
    gone = (forward.gone | backward.gone) - set(ids)
    return TrackedFrame(index, _labels(ids, total), confidence, disagreement(both, first, second), gone)


def _labels(ids: tuple[int, ...], probabilities: Tensor) -> np.ndarray:
    channels = probabilities.max(0).indices.cpu().numpy()
    return np.asarray(np.array([0, *ids], dtype=np.uint16)[channels])
