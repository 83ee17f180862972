"""Forecast of GPU memory: training steps and frames run on tensors that have shapes but no values.

Not counted: CUDA's context, workspaces of cuDNN and gaps between tensors, for which `RESERVED` is left.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aotlab.configs.protocol import resolve_training
from aotlab.configs.schema import BOUNDED_POLICIES, Config, ModelConfig
from aotlab.configs.training import PhaseConfig
from aotlab.engine.tracker import Tracker
from aotlab.engine.training.build import prepare
from aotlab.engine.training.clip import ClipBatch, ClipLearner, ClipPlan
from aotlab.engine.training.schedule import EMA
from aotlab.networks.kernels import OPERATIONS
from aotlab.networks.operations import PLAIN, by_rule, use
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.devices import autocast
from aotlab.utils.processes import worker_pool
from aotlab.utils.text import counted

RESERVED = 2**30
"""bytes of a GPU left free"""
GB = 1e9
Forecast = TypeVar("Forecast")


@dataclass(frozen=True)
class StepForecast:
    """Peak memory of a training step in bytes."""

    fixed: int
    """weights, their average, gradients and moments"""
    per_clip: int

    def peak(self, clips: int) -> int:
        """Return the peak with ``clips`` clips in a part of a batch."""
        return self.fixed + clips * self.per_clip

    def parts(self, batch: int, memory: int) -> int | None:
        """Return the smallest ``train.accumulate`` with which a batch fits into ``memory`` bytes; None: none fits."""
        parts = (count for count in range(1, batch + 1) if batch % count == 0)
        return next((n for n in parts if self.peak(batch // n) + RESERVED <= memory), None)


@dataclass(frozen=True)
class FrameForecast:
    """Memory of tracking in bytes, with long-term memory at its bound."""

    peak: int
    weights: int
    memory: int
    """long-term memory"""


def training_forecast(config: Config, memory: int | None = None) -> str:
    """Describe the memory of a step of each phase on one GPU.

    Args:
        config: the recipe.
        memory: bytes of the GPU; None: no advice.
    """
    config, lines, known = resolve_training(config), [], dict[tuple[int, int], StepForecast]()
    for phase in config.train.phases:
        step = phase.clip_length, phase.crop  # phases with the same step are run once
        known[step] = forecast = known.get(step) or step_forecast(config, phase)
        clips = phase.batch // config.train.accumulate
        lines.append(
            f"{phase.name}: {forecast.peak(clips) / GB:.1f} GB for {counted(clips, 'clip')} of {phase.clip_length} "
            f"frames of {phase.crop}×{phase.crop} pixels in {_precision(config.train.precision)} "
            f"({forecast.per_clip / GB:.2f} GB for each clip)"
        )
        if memory is not None:
            lines.append(f"{phase.name}: {_advice(config, phase, forecast, memory)}")
    return "\n".join(lines) + "\n"


def _advice(config: Config, phase: PhaseConfig, forecast: StepForecast, memory: int) -> str:
    """Name the settings with which a step fits into ``memory`` bytes."""
    parts, card = forecast.parts(phase.batch, memory), f"{memory / GB:g} GB"
    if parts is not None and parts <= config.train.accumulate:
        return f"fits {card}"
    if parts is not None:
        return f"fits {card} with train.accumulate={parts}, or with batches of {phase.batch // parts}"
    train = replace(config.train, checkpoint_activations=True, accumulate=phase.batch)
    parts = step_forecast(replace(config, train=train), phase).parts(phase.batch, memory)
    if parts is not None:
        return f"fits {card} with train.checkpoint_activations=true train.accumulate={parts}"
    return f"does not fit {card}; use a smaller crop or clip_length"


def tracking_forecast(config: Config, size: tuple[int, int], objects: int, memory: int | None = None) -> str:
    """Describe the memory of tracking on one GPU; arguments as `frame_forecast`, ``memory`` as `training_forecast`."""
    forecast = frame_forecast(config, size, objects)
    text = (
        f"a frame of {size[1]}×{size[0]} with {counted(objects, 'object')}: {forecast.peak / GB:.2f} GB in "
        f"{_precision(config.compute.precision)}; weights {forecast.weights / GB:.2f} GB, "
        f"long-term memory at its bound {forecast.memory / GB:.2f} GB\n"
    )
    if memory is None:
        return text
    card, fits = f"{memory / GB:g} GB", forecast.peak + RESERVED <= memory
    return text + (
        f"fits {card}\n" if fits else f"does not fit {card}; use a smaller input.scale or memory.frames\n"
    )


def step_forecast(config: Config, phase: PhaseConfig, *, cpu: bool = False) -> StepForecast:
    """Forecast a training step of a phase, in a separate process; every clip has ``model.max_objects`` objects.

    Args:
        config: the recipe, resolved; ``train.checkpoint_activations`` and ``train.precision`` count.
        phase: its clip length and crop count.
        cpu: forecast the kernels of CPUs instead of those of GPUs.
    """
    return _apart(_steps, config, phase, cpu)


def frame_forecast(config: Config, size: tuple[int, int], objects: int) -> FrameForecast:
    """Forecast the frames of a video, in a separate process.

    Args:
        config: settings of model, memory (bounded) and input.
        size: (height, width) of the video in pixels.
        objects: number of tracked objects, at least 1.
    """
    return _apart(_frames, config, size, objects)


def _apart(forecast: Callable[..., Forecast], *args: object) -> Forecast:
    """Call a function in a separate process, as it leaves tensors without values in caches."""
    with worker_pool(1, __name__) as pool:
        return pool.submit(forecast, *args).result()


def _steps(config: Config, phase: PhaseConfig, cpu: bool) -> StepForecast:
    """Run steps with one clip and with two."""
    crop, objects, peaks = phase.crop, config.model.max_objects, []
    with _without_values(cpu=cpu) as live:
        model = empty_model(config.model).train()
        prepare(model, config.train)
        learner, average = ClipLearner(model, config.memory), EMA(model, phase.steps, config.train.ema)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(trained)
        for weight in trained:
            weight.grad = torch.zeros_like(weight)
        optimiser.step()  # makes the moments
        for clips in (1, 2):
            if config.train.accumulate == 1:
                optimiser.zero_grad(set_to_none=True)
            live.peak = live.live
            images = torch.empty(phase.clip_length, clips, 3, crop, crop)
            labels = torch.zeros(phase.clip_length, clips, crop, crop, dtype=torch.long)
            plan = ClipPlan(torch.arange(objects + 1).expand(clips, -1), crop**2, feed_predictions=False)
            with autocast(torch.device("cpu"), _precision(config.train.precision)):
                loss, losses = learner(ClipBatch(images, labels, [objects] * clips), plan, 0.5)
            loss.backward()
            del loss, losses, images, labels
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            average.update(model, 1)
            peaks.append(live.peak)
    one, two = peaks
    return StepForecast(2 * one - two, two - one)


def _frames(config: Config, size: tuple[int, int], objects: int) -> FrameForecast:
    """Fill the memory and track another frame."""
    memory = config.memory
    frames = memory.frames if memory.policy in BOUNDED_POLICIES else 1
    # other policies judge frames by their values
    kept = replace(memory, policy="bounded_fifo", every=1, frames=frames)
    compute = replace(config.compute, precision=_precision(config.compute.precision), compile=False)
    with _without_values(cpu=False) as live:
        model = empty_model(config.model)
        tracker = Tracker(model, replace(config, memory=kept, compute=compute))
        weights = live.live
        mask = np.zeros(size, int)
        mask.flat[:objects] = np.arange(1, objects + 1)  # small objects: the largest input
        for index in range(frames + 2):
            live.peak = live.live
            tracker.step(np.zeros((*size, 3), np.uint8), mask if index == 0 else None)
        return FrameForecast(live.peak, weights, sum(bank.nbytes for bank in tracker.banks))


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made while it is active, each storage once."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count its results."""
        result = func(*args, **(kwargs or {}))
        for storage in (each.untyped_storage() for each in tree_leaves(result) if isinstance(each, Tensor)):
            key, size = storage._cdata, storage.nbytes()
            if key not in self._known:
                self._known.add(key)
                self.live += size
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._drop, key, size)
        return result

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def empty_model(config: ModelConfig) -> VOSModel:
    """Return a model with weights without values; call it inside `_without_values`."""
    with unset_fake_temporarily(), torch.device("meta"):
        model = VOSModel(config)
    for module in model.modules():
        tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for tensors in tables:
            for name, meta in tensors.items():
                if meta is not None:
                    tensor = torch.empty_strided(meta.shape, meta.stride(), dtype=meta.dtype)
                    trained = isinstance(meta, nn.Parameter)
                    tensors[name] = nn.Parameter(tensor, meta.requires_grad) if trained else tensor
    model.to = lambda *_, **__: model  # type: ignore[method-assign]  # PyTorch cannot move such weights
    return model


@contextmanager
def _without_values(*, cpu: bool) -> Iterator[LiveBytes]:
    """Make tensors without values, and count their bytes; operations take the kernels of GPUs."""
    kernels = {"attention": "fused"}
    if not cpu:
        kernels |= dict.fromkeys(OPERATIONS.keys() - {"attention", "local_attention"}, PLAIN)
    with use(by_rule), use(kernels), FakeTensorMode(), LiveBytes() as live:
        yield live


def _precision(setting: str) -> str:
    """Return the precision on a GPU: ``auto`` is bfloat16 there."""
    return "bfloat16" if setting == "auto" else setting
