"""Stopping and going on: a resumed run is the run that was never stopped, and nothing that was done is lost."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from aotlab.engine.training import phase_loop
from aotlab.engine.training.phase_state import saved_states
from aotlab.utils.errors import InputError, RunStopped
from tests.altered import altered
from tests.engine.training.tiny_recipes import draw_sets, log_lines, phase, run, tiny_recipe

EVERY = ["train.save_every=1", "train.keep=9"]


def end_before(step, monkeypatch, error=KeyboardInterrupt):
    """Makes training end, as if killed, before the step of this number, counted over all phases."""
    original, count = phase_loop.train_step, iter(range(step))

    def train_step(*args):
        if next(count, None) is None:
            raise error
        return original(*args)

    monkeypatch.setattr(phase_loop, "train_step", train_step)


def states(config):
    return saved_states(Path(config.train.output))


PHASES = phase("first", steps=2, own_predictions_from=0.5), phase("second", steps=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """Settings and weights of a run of `PHASES` that was never stopped."""
    config = tiny_recipe(tmp_path_factory.mktemp("whole"), data, "whole", *PHASES, overrides=EVERY)
    return config, load_file(run(config).checkpoint)


@pytest.mark.parametrize("stop", [1, 3])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(recipe, monkeypatch, whole, stop):
    config, expected = whole
    parts = recipe("parts", *PHASES, overrides=EVERY)
    with monkeypatch.context() as patch:
        end_before(stop, patch)
        with pytest.raises(KeyboardInterrupt):
            run(parts)
    resumed = load_file(run(parts).checkpoint)
    assert [key for key, tensor in expected.items() if not torch.equal(tensor, resumed[key])] == []
    assert [line["loss"] for line in log_lines(config)] == [line["loss"] for line in log_lines(parts)]


def test_resuming_from_an_older_state_repeats_the_lost_steps_exactly(recipe, monkeypatch):
    phases = (phase(steps=4),)
    whole = recipe("whole", *phases)
    expected = load_file(run(whole).checkpoint)
    parts = recipe("parts", *phases, overrides=["train.save_every=2"])
    with monkeypatch.context() as patch:
        end_before(3, patch)
        with pytest.raises(KeyboardInterrupt):
            run(parts)
    resumed = load_file(run(parts).checkpoint)
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in expected.items())
    assert [line["step"] for line in log_lines(parts)] == [1, 2, 3, 4]


def test_a_finished_run_is_resumed_unless_it_is_started_over(recipe):
    config = recipe("run", phase(steps=1))
    first = load_file(run(config).checkpoint)
    again = load_file(run(config).checkpoint)
    assert all(torch.equal(tensor, again[key]) for key, tensor in first.items())
    assert [line["step"] for line in log_lines(config)] == [1]
    run(config, restart=True)
    assert [line["step"] for line in log_lines(config)] == [1]


def test_the_newest_states_are_kept(recipe):
    config = recipe("run", phase(steps=3), overrides=["train.save_every=1", "train.keep=2"])
    run(config)
    assert [path.name for path in states(config)] == ["0_video_000003.pt", "0_video_000002.pt"]


def test_a_truncated_newest_state_falls_back_to_the_one_before(recipe, caplog):
    config = recipe("run", phase(steps=2), overrides=EVERY)
    expected = load_file(run(config).checkpoint)
    newest = states(config)[0]
    newest.write_bytes(newest.read_bytes()[:1000])
    resumed = load_file(run(config).checkpoint)
    assert f"{newest}: not a usable training state" in caplog.text
    assert all(torch.equal(tensor, resumed[key]) for key, tensor in expected.items())


def test_settings_that_a_run_cannot_change_are_named(recipe):
    run(recipe("run", phase(steps=1)))
    for before, now in (
        ("train.freeze_encoder_stages=2", "train.freeze_encoder_stages=1"),
        ("train.encoder_lr_ratio=0.1", "train.encoder_lr_ratio=1.0"),
        ("train.phases.0.weight_decay=0.07", "train.phases.0.weight_decay=0.0"),
        ("train.precision=float32", "train.precision=float16"),
    ):
        with pytest.raises(InputError, match=f"was saved with {before}; resume with the same"):
            run(recipe("run", phase(steps=2), overrides=[now]))
    with pytest.raises(InputError, match="another architecture"):
        run(recipe("run", phase(steps=1), overrides=["model.stages.0.depth=2"]))
    with pytest.raises(InputError, match="phase 0 of this recipe is another one"):
        run(recipe("run", phase("other", steps=1)))


def test_a_state_with_any_field_changed_is_refused_in_one_sentence(recipe):
    config = recipe("run", phase(steps=1))
    run(config)
    (newest,) = states(config)
    kept, random = torch.load(newest, weights_only=True), Random(0)
    for _ in range(10):
        torch.save(altered(kept, random), newest)
        with suppress(InputError, RunStopped):
            run(config)
            assert torch.load(states(config)[0], weights_only=True)["step"] == 1
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # in the middle of a tensor
    newest.write_bytes(content)
    with pytest.raises(InputError, match="none of the saved states"):
        run(config)


def test_a_loss_that_is_not_finite_ends_the_run_with_its_state_and_the_names_of_its_clips(
    recipe, monkeypatch
):
    config, count = recipe("run", phase(steps=4)), iter(range(2))
    original = phase_loop.ClipLearner.forward

    def forward(self, *args):
        loss, losses = original(self, *args)
        return (loss, losses) if next(count, None) is not None else (loss * float("nan"), losses)

    monkeypatch.setattr(phase_loop.ClipLearner, "forward", forward)
    with pytest.raises(
        RunStopped, match=r"the loss of step 3 is not finite on clips of (one|two).*the same command resumes"
    ):
        run(config)
    saved = torch.load(states(config)[0], weights_only=True)
    assert saved["step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())
    assert [line["step"] for line in log_lines(config)] == [1, 2]


def test_the_best_validation_keeps_its_weights(recipe, monkeypatch):
    config = recipe(
        "run", phase(steps=3), overrides=["data.validation=[{path: drawn}]", "train.validate_every=1"]
    )
    scores = iter([5.0, 9.0, 7.0])
    kept = []

    def validate(model, *_):
        kept.append({key: tensor.clone() for key, tensor in model.state_dict().items()})
        value = next(scores)
        return {"J&F": value, "J": value, "F": value}

    monkeypatch.setattr(phase_loop, "validate", validate)
    run(config)
    best = load_file(f"{config.train.output}/best.safetensors")
    assert all(torch.equal(tensor, kept[1][key]) for key, tensor in best.items())
    with open(f"{config.train.output}/log.jsonl") as file:
        lines = [json.loads(line) for line in file]
    assert [line["J&F"] for line in lines if "J&F" in line] == [5.0, 9.0, 7.0]


def test_an_unreadable_item_is_replaced_counted_and_listed(recipe, tmp_path):
    root = draw_sets(tmp_path / "broken")
    image = root / "drawn" / "JPEGImages" / "two" / "00001.jpg"
    image.write_bytes(image.read_bytes()[:200])
    config = recipe("run", phase(steps=6), overrides=[f"data.root={root}"])
    trained = run(config)
    assert len(trained.replaced) == 1
    ((sentence, count),) = trained.replaced.items()
    assert str(image) in sentence
    assert count >= 1
