"""Seconds of a training step, ours and the baseline's in turn, and the memory that a clip takes."""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from aotlab.configs.load import load_config
from aotlab.configs.schema import Config
from aotlab.engine.training.build import build_model
from aotlab.engine.training.clip import ClipBatch, ClipLearner, ClipPlan, shuffled_identities
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.utils.devices import autocast, pick_device
from benchmarks.baseline import training_as_published
from benchmarks.machine import describe_machine, forget_peak, peak_bytes
from benchmarks.settings import Setting
from benchmarks.timed_tracker import Comparison, in_turn

OBJECTS, PATCH = 2, 16
"""objects of a drawn clip, and the side in pixels of its squares of one label"""


class StepShape(NamedTuple):
    """Input of a training step."""

    clips: int
    frames: int
    """frames per clip"""
    crop: int
    """side in pixels"""


def step_shape(text: str) -> StepShape:
    """Read "4x5x289".

    Raises:
        ValueError: another form.
    """
    match = re.fullmatch(r"(\d{1,3})x(\d{1,3})x(\d{1,4})", text)
    shape = StepShape(*map(int, match.groups())) if match else StepShape(0, 0, 0)
    if shape.clips < 1 or shape.frames < 2 or shape.crop < 33:
        raise ValueError(
            f"{text}: must be CLIPSxFRAMESxCROP of at least 1 clip, 2 frames and 33 pixels, such as 4x5x289"
        )
    return shape


def compare_training(setting: Setting, shape: StepShape, *, progress: bool = False) -> tuple[Comparison, int]:
    """Time steps of forward, backward and optimiser on drawn clips in turn; A is the baseline.

    The baseline computes in float32, as the published code does on a CPU; ours in the setting's precision.

    Returns:
        The comparison, and the peak of our steps in bytes beyond the weights: activations, gradients and the
        optimiser's state.

    Raises:
        InputError: no such model or device.
    """
    config, device = load_config(setting.config or "aott", setting.overrides), pick_device(setting.device)
    precision = fastest_precision(setting.precision, device)
    steps = TrainingSteps(config, device, shape)

    def ours(index: int) -> float:
        return steps.run(nullcontext(), precision)

    def baseline(index: int) -> float:
        return steps.run(training_as_published(steps.model), "float32")

    forget_peak(device)
    before = peak_bytes(device)
    ours(0)  # the first, as freed memory is kept
    memory = peak_bytes(device) - before
    baseline(0)
    seconds = in_turn(baseline, ours, setting.frames, progress=progress)
    title = f"{setting.title}, {shape.clips} clips of {shape.frames} frames of {shape.crop}x{shape.crop}"
    titles = f"{title}, float32, baseline", f"{title}, {precision}"
    return Comparison(*titles, *seconds, describe_machine(device)), memory


class TrainingSteps:
    """A model with its optimiser and one batch of drawn clips."""

    def __init__(self, config: Config, device: torch.device, shape: StepShape) -> None:
        model = build_model(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self.device = model.train(), device
        self.learner = ClipLearner(self.model, config.memory)
        self.optimizer = torch.optim.AdamW((x for x in model.parameters() if x.requires_grad), lr=1e-5)
        draw = torch.Generator().manual_seed(0)
        clips, frames, crop = shape
        squares = -(-crop // PATCH)
        labels = torch.randint(OBJECTS + 1, (frames, clips, squares, squares), generator=draw)
        labels = labels.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)[..., :crop, :crop]
        images = torch.randn(frames, clips, 3, crop, crop, generator=draw)
        self.clip = ClipBatch(images.to(device), labels.contiguous().to(device), [OBJECTS] * clips)
        identities = shuffled_identities(clips, config.model.max_objects, draw)
        self.plan = ClipPlan(identities.to(device), crop**2, feed_predictions=True)

    def run(self, context: AbstractContextManager[None], precision: str) -> float:
        """Run one step in a context and a precision; returns its seconds."""
        begin = time.perf_counter()
        with context:
            loss = self.differentiate(precision)
            self.optimizer.step()
            loss.item()  # waits for a GPU
        return time.perf_counter() - begin

    def differentiate(self, precision: str) -> Tensor:
        """Leave the gradients of the loss in the model; returns the loss, a scalar."""
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, precision):
            loss, _ = self.learner(self.clip, self.plan, 1.0)
        loss.backward()
        return loss
