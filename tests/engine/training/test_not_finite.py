"""Losses, gradients and weights that are not finite: never learned from, never saved, never resumed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aotlab.engine.training import phase_loop
from aotlab.engine.training.phase_state import saved_states
from aotlab.utils.errors import InputError, RunStopped
from tests.engine.training.tiny_recipes import log_lines, phase, run

EVERY = ["train.save_every=1", "train.keep=2"]


def states(config):
    return saved_states(Path(config.train.output))


def events(config):
    with open(f"{config.train.output}/log.jsonl") as file:
        return [line for line in map(json.loads, file) if "event" in line]


@pytest.fixture
def spoil(monkeypatch):
    """Makes the gradient, but not the loss, of some steps (counted from 1) something that is no number."""

    def at(*steps):
        original, count = phase_loop.ClipLearner.forward, iter(range(1, 1000))

        def forward(self, *args):
            loss, losses = original(self, *args)
            if next(count) in steps:
                weight = next(self.model.decoder.parameters())
                loss = loss + (0 * weight.sum()).sqrt()  # 0, whose slope is infinite
            return loss, losses

        monkeypatch.setattr(phase_loop.ClipLearner, "forward", forward)

    return at


def test_a_gradient_that_is_not_finite_ends_the_run_before_it_spoils_the_weights(recipe, spoil, monkeypatch):
    whole = recipe("whole", phase(steps=4), overrides=EVERY)
    expected = load_file(run(whole).checkpoint)
    config = recipe("run", phase(steps=4), overrides=EVERY)
    spoil(3)
    with pytest.raises(
        RunStopped,
        match=r"gradient of step 3 is not finite on clips of (one|two).*skip_not_finite.*the same command resumes",
    ):
        run(config)
    saved = torch.load(states(config)[0], weights_only=True)
    assert saved["step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())
    monkeypatch.undo()
    resumed = load_file(run(config).checkpoint)
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in expected.items())


def test_such_steps_are_passed_over_when_asked_for(recipe, spoil, caplog):
    config = recipe("run", phase(steps=4), overrides=["train.skip_not_finite=1"])
    spoil(2, 4)
    with caplog.at_level(logging.WARNING):
        weights = load_file(run(config).checkpoint)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    assert [line["step"] for line in log_lines(config)] == [1, 3]
    assert [(line["event"], line["step"]) for line in events(config)] == [
        ("skipped", 2),
        ("skipped", 4),
    ]
    assert caplog.text.count("skipped") == 2


def test_a_run_goes_on_past_the_clip_it_stopped_at(recipe, spoil):
    config = recipe("run", phase(steps=3))
    spoil(2, 3)  # the second time it is the first step of the resumed run
    with pytest.raises(RunStopped, match="step 2"):
        run(config)
    past = recipe("run", phase(steps=3), overrides=["train.skip_not_finite=1"])
    assert run(past).checkpoint.is_file()
    assert [line["step"] for line in log_lines(config)] == [1, 3]


def test_weights_that_are_not_finite_are_not_saved(recipe, monkeypatch):
    config = recipe("run", phase(steps=4), overrides=EVERY)
    original, count = phase_loop.train_step, iter(range(2))

    def train_step(state, *args):
        result = original(state, *args)
        if next(count, None) is None:
            with torch.no_grad():
                next(state.model.decoder.parameters()).fill_(float("inf"))
        return result

    monkeypatch.setattr(phase_loop, "train_step", train_step)
    with pytest.raises(
        RunStopped, match=r"step 3 of video are not finite.*resumes from .*0_video_000002\.pt"
    ):
        run(config)
    assert [path.stem[-1] for path in states(config)] == ["2", "1"]


def test_a_state_with_weights_that_are_not_finite_is_passed_over(recipe, caplog):
    config = recipe("run", phase(steps=3), overrides=EVERY)
    run(config)
    newest, before = states(config)
    content = torch.load(newest, weights_only=True)
    next(iter(content["ema"].values())).fill_(float("nan"))
    torch.save(content, newest)
    with caplog.at_level(logging.WARNING):
        run(config)
    assert f"{newest}: not a usable" in caplog.text
    assert "weights that are not finite" in caplog.text
    for path in (newest, before):
        content["step"] = 3
        torch.save(content, path)
    with pytest.raises(InputError, match="none of the saved states"):
        run(config)


def test_float16_lowers_its_scale_instead_of_ending(recipe, spoil):
    config = recipe("run", phase(steps=2), overrides=["train.precision=float16"])
    spoil(1)
    weights = load_file(run(config).checkpoint)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    assert [line["step"] for line in log_lines(config)] == [1, 2]
    assert torch.load(states(config)[0], weights_only=True)["scaler"]["scale"] < 65536
