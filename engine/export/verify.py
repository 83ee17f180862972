"""Whether exported graphs compute what the model computes: both track the drawn clip."""

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
"""largest difference of logits that counts as equal, as a share of their standard deviation"""


@dataclass(frozen=True)
class Agreement:
    """How closely two trackers agree over a clip."""

    difference: float
    """the largest of logits, as a share of the standard deviation of PyTorch's on that frame"""
    equal: float
    """share of the pixels that have the same label"""
    exported: float
    """median seconds a frame"""
    pytorch: float
    """the same for PyTorch"""


def verify(model: VOSModel, folder: Path, *, frames: int = 12, provider: str = CPU) -> Agreement:
    """Track the drawn clip, four objects, by exported graphs and by the model they were made of, frame by frame.

    Each remembers its own masks. Logits are compared from the second frame on: those of the first are its given mask.

    Args:
        model: that was exported.
        folder: of the graphs.
        frames: of the clip, at least 2.
        provider: of onnxruntime.

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
    """Largest difference of the logits of two predictions, as a share of the second's standard deviation."""
    return float((one.logits - other.logits).abs().max() / torch.std(other.logits))
