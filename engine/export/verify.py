"""Comparison of exported graphs with their model."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from aotlab.configs.schema import Config
from aotlab.engine.export.quantize import Clip
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.metrics import region_similarity
from aotlab.networks.model import VOSModel
from aotlab.utils.errors import InputError

TOLERANCE = 1e-3
"""largest accepted difference of logits, relative to their standard deviation"""


class Agreement(NamedTuple):
    """Agreement of exported graphs with their model on a clip."""

    difference: float
    """largest difference of logits, relative to the standard deviation of PyTorch's on that frame"""
    equal: float
    """fraction of pixels with the same label"""
    exported_region: float
    """mean region similarity J of the graphs' objects, in [0, 1]"""
    pytorch_region: float
    exported_seconds: float
    """median seconds per frame of the graphs"""
    pytorch_seconds: float
    """median seconds per frame of PyTorch"""


def require_provider(name: str) -> None:
    """Raise `InputError` unless the runtime has this execution provider."""
    from aotlab_runtime import graphs

    try:
        graphs.find_provider(name)
    except graphs.InputError as error:
        raise InputError(str(error)) from error


def verify_export(
    model: VOSModel,
    config: Config,
    folder: Path,
    *,
    clip: Clip,
    provider: str = "cpu",
) -> Agreement:
    """Track a clip of at least 2 frames with exported graphs and with their model; compare from the second frame on.

    Args:
        config: the export's.
        clip: frames with masks; the first mask has an object.
        provider: see `require_provider`.
    """
    import aotlab_runtime

    exported = aotlab_runtime.Tracker.from_export(folder, provider=provider, threads=torch.get_num_threads())
    plain = Tracker(model, config)
    frame, mask = clip[0]
    ids = [object_id for object_id in np.unique(mask) if object_id]
    exported.step(frame, mask)
    plain.step(frame, mask)
    differences, equal, seconds = [], [], []
    regions: list[list[float]] = []
    for frame, mask in tqdm(clip[1:], desc="verify", unit="frame", disable=None):
        begin = time.perf_counter()
        prediction = exported.step(frame)
        middle = time.perf_counter()
        expected = plain.step(frame)
        seconds.append((middle - begin, time.perf_counter() - middle))
        logits = expected.logits.numpy()
        differences.append(float(np.abs(prediction.logits - logits).max() / logits.std()))
        labels = prediction.labels, np.asarray(expected.labels)
        equal.append(float((labels[0] == labels[1]).mean()))
        regions.extend([region_similarity(mask == i, found == i) for found in labels] for i in ids)
    medians = [statistics.median(times) for times in zip(*seconds, strict=True)]
    return Agreement(max(differences), statistics.mean(equal), *np.mean(regions, axis=0).tolist(), *medians)
