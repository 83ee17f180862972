"""Seconds of a training step, ours and the slow twin's in turn, and the memory that a clip takes."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from aotlab.configs.load import load_config
from aotlab.configs.schema import Config
from aotlab.engine.training.build import build_model
from aotlab.engine.training.clip_training import ClipBatch, ClipLearner, ClipPlan, shuffled_identities
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.utils.devices import autocast, pick_device
from aotlab.utils.progress import progress_bar
from benchmarks.baseline import slow_training
from benchmarks.comparison import Comparison
from benchmarks.machine import describe_machine, forget_peak, peak_bytes
from benchmarks.settings import Setting

OBJECTS, PATCH = 2, 16
"""objects of a drawn clip, and the side in pixels of the squares of one label"""


class StepShape(NamedTuple):
    """What a training step runs on."""

    clips: int
    frames: int
    """of each clip"""
    crop: int
    """side in pixels"""


class TrainingComparison(NamedTuple):
    """The twin's steps and ours."""

    steps: Comparison
    """A is the twin"""
    peak_bytes: int
    """of our steps beyond the weights: activations, gradients and the optimiser's state"""


def compare_training(
    setting: Setting, shape: StepShape, pairs: int, *, progress: bool = False
) -> TrainingComparison:
    """Time steps of forward, backward and optimiser on drawn clips, in the order A B B A A B ...; A is the twin.

    The twin computes in float32, as the published code does on a CPU; ours in the setting's precision.

    Raises:
        InputError: no such model or device.
    """
    config, device = load_config(setting.config or "aott", setting.overrides), pick_device(setting.device)
    precision = fastest_precision(setting.precision, device)
    step = TrainingSteps(config, device, shape)

    def seconds_of(ours: bool) -> float:
        if ours:
            return step.run(nullcontext(), precision)
        return step.run(slow_training(step.model), "float32")

    forget_peak(device)
    before = peak_bytes(device)
    seconds_of(ours=True)  # the first, as freed memory is kept
    memory = peak_bytes(device) - before
    seconds_of(ours=False)
    seconds: tuple[list[float], list[float]] = ([], [])
    with progress_bar(pairs, unit="pair", shown=progress) as bar:
        for index in range(pairs):
            for which in (False, True) if index % 2 == 0 else (True, False):
                seconds[which].append(seconds_of(ours=which))
            bar.update()
    title = f"{setting.title}, {shape.clips} clips of {shape.frames} frames of {shape.crop}x{shape.crop}"
    machine = describe_machine(device)
    ours, slow = f"{title}, {precision}", f"{title}, float32, slow"
    steps = Comparison(slow, ours, tuple(seconds[0]), tuple(seconds[1]), (machine, machine))
    return TrainingComparison(steps, memory)


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
        """One step in a context and a precision; returns its seconds."""
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
