"""Comparison of exported graphs with their model on a drawn clip."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from aotlab.engine.export.runtime import CPU, ExportedModel
from aotlab.engine.prediction import Prediction
from aotlab.engine.tracker import Tracker
from aotlab.media.drawn_clip import draw_clip
from aotlab.networks.vos_model import VOSModel

TOLERANCE = 1e-3
"""largest accepted difference of logits, relative to their standard deviation"""


@dataclass(frozen=True)
class Agreement:
    """Agreement of two trackers on a clip."""

    difference: float
    """largest difference of logits, relative to the standard deviation of PyTorch's on that frame"""
    equal: float
    """fraction of pixels with the same label"""
    exported: float
    """median seconds per frame of the graphs"""
    pytorch: float
    """median seconds per frame of PyTorch"""


def verify(model: VOSModel, folder: Path, *, frames: int = 12, provider: str = CPU) -> Agreement:
    """Track the drawn clip, four objects, by exported graphs and by their model.

    Each stores its own masks. Logits are compared from the second frame on.

    Args:
        frames: number of frames, at least 2.
        provider: execution provider of onnxruntime.

    Raises:
        InputError: as `exported_tracker`.
    """
    graphs = ExportedModel(folder, provider=provider)
    description = graphs.description
    exported = Tracker(graphs, description.config)
    plain = Tracker(model, exported.config)
    height, width = description.video_size
    images, masks = draw_clip(frames, height, width, seed=0)
    exported.step(images[0], masks[0])
    plain.step(images[0], masks[0])
    differences, equal, times = [], [], []
    for image in images[1:]:
        seconds, both = [], []
        for tracker in (exported, plain):
            begin = time.perf_counter()
            both.append(tracker.step(image))
            seconds.append(time.perf_counter() - begin)
        times.append(seconds)
        differences.append(difference(*both))
        equal.append((both[0].channels == both[1].channels).double().mean().item())
    medians = [statistics.median(seconds) for seconds in zip(*times, strict=True)]
    return Agreement(max(differences), statistics.mean(equal), *medians)


def difference(one: Prediction, other: Prediction) -> float:
    """Return the largest difference of two predictions' logits, relative to the second's standard deviation."""
    return float((one.logits - other.logits).abs().max() / torch.std(other.logits))
