"""Forecasts of memory: counted bytes, and the peaks of real steps and frames."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.configs.training import PhaseConfig
from aotlab.engine import memory_forecast
from aotlab.engine.memory_forecast import (
    RESERVED,
    LiveBytes,
    StepForecast,
    frame_forecast,
    step_forecast,
    tracking_forecast,
    training_forecast,
)
from aotlab.tools.train import main

PHASE = PhaseConfig("video", batch=2, clip_length=3, crop=241)
REAL_STEP = """
import ctypes, gc, sys, torch
from pathlib import Path
from aotlab.configs.load import load_config
from aotlab.engine.training.build import prepare
from aotlab.engine.training.clip import ClipBatch, ClipLearner, ClipPlan
from aotlab.engine.training.schedule import EMA
from aotlab.networks import kernels
from aotlab.networks.vos_model import VOSModel

def step(config, clips, frames, crop):
    model = VOSModel(config.model).train()
    prepare(model, config.train)
    learner, average = ClipLearner(model, config.memory), EMA(model, 100, 0.1)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trained)
    objects = config.model.max_objects
    for _ in range(2):
        optimiser.zero_grad(set_to_none=True)
        images = torch.randn(frames, clips, 3, crop, crop)
        labels = torch.randint(0, objects + 1, (frames, clips, crop, crop))
        plan = ClipPlan(torch.arange(objects + 1).expand(clips, -1), crop**2, feed_predictions=False)
        loss, losses = learner(ClipBatch(images, labels, [objects] * clips), plan, 0.5)
        loss.backward()
        del loss, losses
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        average.update(model, 1)

def resident(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

config = load_config(sys.argv[1])
kernels.install()
step(config, 1, 3, 65)  # loads what all steps need
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
step(config, *map(int, sys.argv[2:]))
print(resident("VmHWM") - before)
"""


def test_a_storage_counts_once_and_as_long_as_it_lives():
    with LiveBytes() as live:
        first = torch.zeros(1000)
        view = first[:10].view(2, 5)
        second = first + 1
        assert live.live == 8000
        del first, view
        assert live.live == 4000
        del second
    assert (live.live, live.peak) == (0, 8000)


def test_the_smallest_number_of_equal_parts_that_fits_is_found():
    forecast = StepForecast(fixed=10, per_clip=100)
    assert forecast.peak(6) == 610
    fits = {memory: forecast.parts(6, RESERVED + memory) for memory in (610, 609, 310, 110, 109)}
    assert fits == {610: 1, 609: 2, 310: 2, 110: 6, 109: None}


@pytest.mark.slow
def test_accumulated_gradients_cost_memory_and_checkpoints_save_it():
    config = load_config("aott")
    plain = step_forecast(config, PHASE)
    parts = step_forecast(replace(config, train=replace(config.train, accumulate=2)), PHASE)
    saving = step_forecast(replace(config, train=replace(config.train, checkpoint_activations=True)), PHASE)
    assert plain.fixed < parts.fixed
    assert saving.per_clip < 0.9 * plain.per_clip


def test_reports_say_what_fits(monkeypatch):
    monkeypatch.setattr(
        memory_forecast, "step_forecast",
        lambda config, _: StepForecast(10**9, 10**9 if config.train.checkpoint_activations else 4 * 10**9),
    )  # fmt: skip
    config = load_config("aott", ["train.precision=auto"])
    config = replace(config, train=replace(config.train, phases=[replace(PHASE, batch=4)]))
    lines = training_forecast(config, 24 * 10**9).splitlines()
    assert lines[0].startswith("video: 17.0 GB for 4 clips of 3 frames of 241×241 pixels in bfloat16")
    assert lines[1] == "video: fits 24 GB"
    advice = [training_forecast(config, gb * 10**9).splitlines()[1] for gb in (12, 4, 2)]
    assert advice == [
        "video: fits 12 GB with train.accumulate=2, or with batches of 2",
        "video: fits 4 GB with train.checkpoint_activations=true train.accumulate=4",
        "video: does not fit 2 GB; use a smaller crop or clip_length",
    ]


def test_a_frame_holds_weights_and_memory_at_its_bound():
    config = load_config("aotl", ["memory.policy=restricted", "memory.frames=4"])
    small, large = (
        frame_forecast(replace(config, memory=replace(config.memory, frames=n)), (97, 161), 2) for n in (2, 4)
    )
    assert large.memory == 2 * small.memory
    assert large.peak - small.peak >= large.memory - small.memory
    assert large.peak > large.weights + large.memory
    assert "does not fit 1 GB" in tracking_forecast(config, (97, 161), 2, 10**9)


def test_train_forecasts_without_gpu_and_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(memory_forecast, "step_forecast", lambda config, phase: StepForecast(10**9, 10**9))
    assert main(["--dry-run", "--device", "cuda", "--config", "configs/recipes/static.yaml"]) == 0
    assert main(["--dry-run", "--gpu-memory", "12GB", "--config", "configs/recipes/static.yaml"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == out[1]
    assert out[2] == "static: fits 12 GB with train.accumulate=2, or with batches of 8"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("preset", "clips", "frames", "crop"), [
    ("aott", 2, 3, 321), ("deaott", 2, 3, 241), ("r50_aotl", 1, 4, 321),
])  # fmt: skip
def test_forecasts_are_within_15_percent_of_real_steps(preset, clips, frames, crop, monkeypatch):
    monkeypatch.setenv("AOTLAB_TUNE", "off")
    command = [sys.executable, "-c", REAL_STEP, preset, *map(str, (clips, frames, crop))]
    measured = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    phase = replace(PHASE, clip_length=frames, crop=crop)
    assert step_forecast(load_config(preset), phase, cpu=True).peak(clips) == pytest.approx(
        measured, rel=0.15
    )
