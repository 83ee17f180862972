"""Dry run: build everything and run two steps of each phase without writing."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from aotlab.configs.schema import Config
from aotlab.dataloaders.training.mixture import Mixture, describe_mixture
from aotlab.engine.training.build import build_training_model, open_data, resolve_training
from aotlab.engine.training.optimization import list_trained
from aotlab.engine.training.printer import print_line
from aotlab.engine.training.state import TrainState
from aotlab.engine.training.trainer import build_batches, train_step, wrap_ddp
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.networks.model import VOSModel
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import RunStopped
from aotlab.utils.files import require_writable
from aotlab.utils.text import format_bytes, format_count

CLIPS = 8
"""Number of clips made to time the data pipeline."""
STEPS = 2
"""Number of steps of each phase; the last one is timed."""


def dry_run(config: Config, world: Distributed) -> str:
    """Run two steps of each phase and return a forecast of the whole run; arguments and errors as `train`."""
    with world.share_errors():
        config = resolve_training(config)
        output = require_writable(Path(str(config.train.output)))
        data = open_data(config, world)
        model = build_training_model(config, world.device)
    lines = [_model_line(config, model, world)]
    for mixture in data.mixtures.values():
        lines += [f"{mixture.phase.name}: {line}" for line in describe_mixture(mixture)]
    total = 0.0
    for mixture in data.mixtures.values():
        phase = mixture.phase
        print_line(f"{phase.name}: making {CLIPS} clips, then {STEPS} steps of {format_count(phase.batch, 'clip')}")
        rate = measure_clip_rate(mixture)
        state = TrainState(config, world, model, replace(mixture, phase=phase.replace(steps=max(phase.steps, STEPS))))
        metrics = run_steps(state)
        seconds = metrics["step_seconds"]
        total += phase.steps * seconds
        steps = f"{format_count(phase.steps, 'step')} of {format_count(phase.batch, 'clip')}"
        lines += [
            f"{phase.name}: {steps}, {seconds:.2f} s a step "
            f"({metrics['data_seconds']:.2f} s waiting for data), {_format_time(phase.steps * seconds)}; "
            f"loss {metrics['loss']:.3f}",
            f"{phase.name}: each rank needs {phase.batch / world.world_size / seconds:.1f} clips/s; "
            f"one worker produces {rate:.1f}, data.workers is {mixture.data.workers}",
        ]
    validation_frames = format_count(sum(len(video.frames) for video in data.validation), "frame")
    on_gpu = world.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated(world.device) if on_gpu else _peak_resident_bytes()
    # weights, their average, and two moments per trained weight
    state_bytes = sum(tensor.nbytes for tensor in model.state_dict().values())
    state_bytes += 3 * sum(tensor.nbytes for tensor in list_trained(model).values())
    lines += [
        f"validation: {format_count(len(data.validation), 'video')}, {validation_frames} each time",
        f"memory: {format_bytes(peak)} at most on a rank",
        f"disk: {format_bytes(state_bytes * config.train.keep)} of saved states in {output}",
        f"time: {_format_time(total)} without validation",
    ]
    return "\n".join(lines) + "\n"


def _format_time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def run_steps(state: TrainState) -> dict[str, float]:
    """Run a few steps; return the metrics of the last one."""
    batches, clip_module, metrics = build_batches(state), wrap_ddp(state), dict[str, float]()
    for _ in range(STEPS):
        result = train_step(state, clip_module, batches)
        if result.skipped:
            raise RunStopped(result.skipped)
        metrics = result.metrics
    return metrics


def measure_clip_rate(mixture: Mixture) -> float:
    """Return the clips per second that one worker process produces."""
    begin = time.perf_counter()
    for index in range(CLIPS):
        mixture[index]
    return CLIPS / (time.perf_counter() - begin)


def _model_line(config: Config, model: VOSModel, world: Distributed) -> str:
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad) / 1e6
    total = sum(weight.numel() for weight in model.parameters()) / 1e6
    precision = resolve_precision(config.train.precision, world.device)
    return (
        f"{config.name}: {total:.2f} M parameters, {trained:.2f} M trained, {precision} on "
        f"{world.device.type}, {format_count(world.world_size, 'rank')}, "
        f"{format_count(config.train.accumulate, 'micro-batch')} each"
    )


def _peak_resident_bytes() -> int:
    """Return the peak resident memory of this process in bytes; 0 if unknown (Windows)."""
    try:
        import resource
    except ModuleNotFoundError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux reports KiB
