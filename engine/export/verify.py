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
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.synthetic_clip import draw_clip
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
    video: tuple[int, int],
    frames: int = 12,
    provider: str = "cpu",
) -> Agreement:
    """Track the drawn clip of ``frames`` ≥ 2 frames by exported graphs and by their model; compare from the second on.

    Args:
        config: the export's.
        video: (height, width) of the frames in pixels.
        provider: see `aotlab_runtime.Tracker.from_export`.

    Raises:
        InputError: the graphs cannot be loaded, or the provider is not available.
    """
    import aotlab_runtime

    try:
        exported = aotlab_runtime.Tracker.from_export(
            folder, provider=provider, threads=torch.get_num_threads()
        )
    except aotlab_runtime.InputError as error:
        raise InputError(str(error)) from error
    plain = Tracker(model, config)
    images, masks = draw_clip(frames, *video, seed=0)
    exported.step(images[0], masks[0])
    plain.step(images[0], masks[0])
    differences, equal, seconds = [], [], []
    for image in tqdm(images[1:], desc="verify", unit="frame", disable=None):
        begin = time.perf_counter()
        prediction = exported.step(image)
        middle = time.perf_counter()
        expected = plain.step(image)
        seconds.append((middle - begin, time.perf_counter() - middle))
        logits = expected.logits.numpy()
        differences.append(float(np.abs(prediction.logits - logits).max() / logits.std()))
        equal.append(float((prediction.channels == expected.channels.numpy()).mean()))
    medians = [statistics.median(times) for times in zip(*seconds, strict=True)]
    return Agreement(max(differences), statistics.mean(equal), *medians)
