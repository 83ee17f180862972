"""Training steps of ours and of the baseline."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from aotlab.configs.load import load_config
from benchmarks import training
from benchmarks.baseline import training_as_published
from benchmarks.settings import parse_setting
from benchmarks.training import StepShape, TrainingSteps, compare_training


@pytest.mark.parametrize("preset", ["aott", "deaott"])
def test_both_have_the_same_loss_and_gradients(preset):
    config = load_config(preset, ["model.max_objects=3"])
    steps = TrainingSteps(config, torch.device("cpu"), StepShape(1, 3, 65))
    steps.model.eval()  # no dropout
    losses, gradients = [], []
    for context in (nullcontext(), training_as_published(steps.model)):
        with context:
            losses.append(steps.differentiate("float32").item())
        gradients.append(
            torch.cat([x.grad.flatten() for x in steps.model.parameters() if x.grad is not None])
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    # Orders of sums of float32 differ, and a rectifier near 0 passes or stops gradients.
    torch.testing.assert_close(
        gradients[0], gradients[1], atol=1e-3 * gradients[1].abs().max().item(), rtol=0
    )


def test_steps_are_timed_in_pairs_with_their_memory(monkeypatch):
    peaks = iter([100, 350])  # the process's own includes that of earlier tests
    monkeypatch.setattr(training, "peak_bytes", lambda device: next(peaks))
    run, original = [], TrainingSteps.run
    monkeypatch.setattr(TrainingSteps, "run", lambda self, *how: run.append(how[1]) or original(self, *how))
    steps, peak = compare_training(parse_setting("deaott,frames=1,precision=bfloat16"), StepShape(2, 2, 65))
    assert run == ["bfloat16", "float32", "float32", "bfloat16"]
    assert steps.first.endswith("2 clips of 2 frames of 65x65, float32, baseline")
    assert min(steps.first_seconds + steps.second_seconds) > 0
    assert peak == 250
