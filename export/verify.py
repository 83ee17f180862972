"""Comparison of exported graphs, as ``aotlab-runtime`` runs them, with their model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from aotlab.configs.schema import Config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.export.clip import CALIBRATION_FRAMES, Clip
from aotlab.export.synthetic_clip import draw_clip
from aotlab.networks.model import VOSModel
from aotlab.utils.errors import InputError, RunStopped, require

VERIFIED_FRAMES = 12
"""Largest number of frames to verify on."""
TOLERANCE = 1e-3
"""Largest accepted difference of logits, relative to their standard deviation."""
MIN_EQUAL_HALF = 0.99
"""Smallest accepted share of equal labels with weights in float16."""


class Agreement(NamedTuple):
    """Agreement of exported graphs with their model on a clip."""

    difference: float
    """Largest difference of logits, relative to the standard deviation of PyTorch's on that frame."""
    equal: float
    """Fraction of pixels with the same label."""
    exported_j: float
    """Mean region similarity J of the graphs' objects, in [0, 1]."""
    pytorch_j: float
    exported_seconds: float
    """Median seconds per frame of the graphs."""
    pytorch_seconds: float
    """Median seconds per frame of PyTorch."""

    def __str__(self) -> str:
        return (
            f"largest difference of logits {self.difference:.1e} standard deviations, {self.equal:.4%} of the pixels "
            f"equal; J {100 * self.exported_j:.1f}, PyTorch {100 * self.pytorch_j:.1f}; {self.exported_seconds:.3f} s "
            f"per frame, PyTorch {self.pytorch_seconds:.3f} ({torch.get_num_threads()} threads)"
        )


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the framework's `InputError` in place of that of ``aotlab-runtime``."""
    import aotlab_runtime

    try:
        yield
    except aotlab_runtime.InputError as error:
        raise InputError(str(error)) from error


def select_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """Return the frames after those used for calibration.

    If too few remain, these are the first frames; without a clip, a drawn one of (height, width).

    Raises:
        InputError: the synthetic frames are too small to show an object.
    """
    later = clip[CALIBRATION_FRAMES:]
    clip = later if len(later) >= VERIFIED_FRAMES and later[0][1].any() else clip
    selected = clip[:VERIFIED_FRAMES] or list(zip(*draw_clip(VERIFIED_FRAMES, *size, seed=0), strict=True))
    require(
        selected[0][1].any(),
        "too small for the clip of --verify",
        subject=f"{size[1]}x{size[0]}",
        remedy="give a larger --size",
    )
    return selected


@translate_errors()
def verify_export(model: VOSModel, config: Config, folder: Path, *, clip: Clip, provider: str = "cpu") -> Agreement:
    """Track a clip of at least 2 frames with exported graphs and with their model.

    The first frame, whose mask is given, does not count.

    Args:
        config: the export's.
        clip: frames with masks; the first mask has an object.
        provider: one of the runtime's execution providers.

    Raises:
        InputError: the runtime cannot load the export with this provider.
    """
    from tqdm import tqdm

    import aotlab_runtime
    from aotlab.evaluation.metrics import region_similarity

    exported = aotlab_runtime.Tracker.from_export(folder, provider=provider, threads=torch.get_num_threads())
    tracker = Tracker(model, config)
    frame, mask = clip[0]
    ids = [object_id for object_id in np.unique(mask) if object_id]
    exported.step(frame, mask)
    tracker.step(frame, mask)
    differences, equal, seconds = [], [], []
    regions: list[list[float]] = []
    for frame, mask in tqdm(clip[1:], desc="verify", unit="frame", disable=None):
        start = time.perf_counter()
        prediction = exported.step(frame)
        middle = time.perf_counter()
        expected = tracker.step(frame)
        seconds.append((middle - start, time.perf_counter() - middle))
        logits = expected.logits.numpy()
        differences.append(float(np.abs(prediction.logits - logits).max() / logits.std()))
        labels = prediction.labels, expected.labels
        equal.append(float((labels[0] == labels[1]).mean()))
        regions.extend([region_similarity(mask == i, predicted == i) for predicted in labels] for i in ids)
    exported_j, pytorch_j = np.mean(regions, axis=0).tolist()
    exported_seconds, pytorch_seconds = np.median(seconds, axis=0).tolist()
    difference, equal_share = float(np.max(differences)), float(np.mean(equal))
    return Agreement(difference, equal_share, exported_j, pytorch_j, exported_seconds, pytorch_seconds)


def require_agreement(agreement: Agreement, *, half: bool, max_loss: float | None) -> None:
    """Raise `RunStopped` if graphs and their model differ.

    Args:
        half: the weights are in float16: labels are compared instead of logits.
        max_loss: accepted loss of J in points, instead of equal logits or labels.
    """
    loss = 100 * (agreement.pytorch_j - agreement.exported_j)
    if (half or max_loss is not None) and agreement.pytorch_j == 0:
        raise RunStopped("PyTorch tracks no object of the clip of --verify; give another clip or a larger --size")
    if max_loss is not None:
        is_accepted = loss <= max_loss
        problem = f"J of the graphs is {loss:.1f} points below PyTorch's, expected at most {max_loss:g}"
        remedy = "calibrate with a clip like your videos, or export in float32"
    elif half:
        is_accepted = agreement.equal >= MIN_EQUAL_HALF
        problem = f"{agreement.equal:.2%} of the pixels equal PyTorch's, expected at least {MIN_EQUAL_HALF:.0%}"
        remedy = "export with weights in float32"
    else:
        is_accepted = agreement.difference <= TOLERANCE
        difference = f"{agreement.difference:.1e} standard deviations, expected at most {TOLERANCE}"
        problem = f"logits of the graphs differ from PyTorch's by {difference}"
        remedy = "nothing was exported; please report it"
    if not is_accepted:  # also if a value is not a number
        raise RunStopped(f"{problem}; {remedy}")
