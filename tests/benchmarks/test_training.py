"""Training steps of ours and of the slow twin."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from aotlab.configs.load import load_config
from benchmarks import training
from benchmarks.baseline import slow_training
from benchmarks.settings import Setting
from benchmarks.training import StepShape, TrainingSteps, compare_training


@pytest.mark.parametrize("preset", ["aott", "deaott"])
def test_the_twin_learns_what_ours_learns(preset):
    config = load_config(preset, ["model.max_objects=3"])
    steps = TrainingSteps(config, torch.device("cpu"), StepShape(1, 3, 65))
    steps.model.eval()  # nothing is dropped at random
    losses, gradients = [], []
    for context in (nullcontext(), slow_training(steps.model)):
        with context:
            losses.append(steps.differentiate("float32").item())
        gradients.append(
            torch.cat([x.grad.flatten() for x in steps.model.parameters() if x.grad is not None])
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # Orders of sums of float32 differ, and a rectifier near 0 passes on or stops what comes back through it.
    torch.testing.assert_close(
        gradients[0], gradients[1], atol=1e-3 * gradients[1].abs().max().item(), rtol=0
    )


def test_steps_are_timed_in_pairs_and_their_memory_is_told(monkeypatch):
    peaks = iter([100, 350])  # the process's own holds what earlier tests took
    monkeypatch.setattr(training, "peak_bytes", lambda device: next(peaks))
    found = compare_training(Setting(config="deaott", frames=2), StepShape(2, 2, 65), 2)
    assert [len(x) for x in (found.steps.first_seconds, found.steps.second_seconds)] == [2, 2]
    assert found.steps.first.endswith("2 clips of 2 frames of 65x65, float32, slow")
    assert min(found.steps.first_seconds + found.steps.second_seconds) > 0
    assert found.peak_bytes == 250


def test_the_twin_stays_in_float32_beside_ours_in_another_precision(monkeypatch):
    run = []
    monkeypatch.setattr(TrainingSteps, "run", lambda self, context, precision: run.append(precision) or 1.0)
    found = compare_training(Setting(config="aott", precision="bfloat16"), StepShape(2, 2, 65), 1)
    assert run[-2:] == ["float32", "bfloat16"]
    assert found.steps.second.endswith("65x65, bfloat16")
