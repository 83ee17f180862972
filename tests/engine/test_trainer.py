"""Training on a tiny drawn data set: what is written, what resuming means, and that it learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from configs.load import load_config
from dataloaders.drawing import draw_clip
from engine import trainer
from engine.clip_training import ClipLosses
from networks.checkpoints import load_checkpoint
from utils.errors import InputError
from utils.masks import write_mask


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two drawn videos of three frames."""
    root = tmp_path_factory.mktemp("sets")
    for seed, name in enumerate(("one", "two")):
        frames, masks = draw_clip(3, 80, 96, seed)
        folder = root / "drawn" / "JPEGImages" / name
        folder.mkdir(parents=True)
        for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
            Image.fromarray(frame).save(folder / f"{index:05d}.png")
            write_mask(root / "drawn" / "Annotations" / name / f"{index:05d}.png", mask)
    return root


def phase(name="video", **options):
    return {"name": name, "steps": 2, "batch": 1, "clip_length": 3, "crop": 65, "short_edge": 72, "merge": 0.5,
            "lr": 4e-4, "sources": [{"path": "drawn", "max_gap": 1}], **options}  # fmt: skip


@pytest.fixture
def recipe(tmp_path, data):
    """Makes the settings of a run that writes to a folder of its own."""

    def make(output, *phases, overrides=()):
        settings = {
            "base": "aott",
            "name": "tiny",
            "model": {"stages": [{"window": 7, "drop_path": 0.5}]},
            "data": {"root": str(data), "workers": 0},
            "train": {"output": str(tmp_path / output), "log_every": 1, "phases": list(phases)},
        }
        file = tmp_path / f"{output}.yaml"
        file.write_text(json.dumps(settings))  # JSON is YAML
        return load_config(str(file), overrides)

    return make


def log_lines(config):
    with open(f"{config.train.output}/log.jsonl") as file:
        return [json.loads(line) for line in file]


def interrupt_after(steps, monkeypatch):
    """Makes training stop, as by Ctrl-C, before the step of this number."""
    original, count = trainer.train_step, iter(range(steps))

    def train_step(*args):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(trainer, "train_step", train_step)


def test_a_phase_writes_its_averaged_weights_with_the_settings_inside(recipe):
    config = recipe("run", phase())
    final = trainer.train(config)
    assert final.name == "video.safetensors"
    model, settings = load_checkpoint(final)
    assert settings == config
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    with safe_open(final, framework="pt") as file:
        assert "tiny" in file.metadata()["config"]


def test_a_run_logs_loss_learning_rate_and_waiting(recipe):
    config = recipe("run", phase(steps=3))
    trainer.train(config)
    lines = log_lines(config)
    assert [(line["phase"], line["step"]) for line in lines] == [("video", 1), ("video", 2), ("video", 3)]
    assert all(line["loss"] > 0 and line["data_seconds"] >= 0 for line in lines)
    assert lines[0]["lr"] == pytest.approx(2e-5)  # warm-up begins at the final rate


def test_phases_follow_one_another_from_the_averaged_weights(recipe, monkeypatch):
    begun = []
    original = trainer.start_phase

    def start_phase(config, phase, model, device):
        begun.append({key: tensor.clone() for key, tensor in model.state_dict().items()})
        return original(config, phase, model, device)

    monkeypatch.setattr(trainer, "start_phase", start_phase)
    config = recipe("run", phase("first", steps=1), phase("second", steps=1))
    assert trainer.train(config).name == "second.safetensors"
    first = load_file(f"{config.train.output}/first.safetensors")
    assert all(torch.equal(tensor, begun[1][key]) for key, tensor in first.items())
    assert any(not torch.equal(tensor, begun[0][key]) for key, tensor in first.items())


@pytest.mark.parametrize("stop", [1, 3])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(recipe, monkeypatch, stop):
    phases = phase("first", steps=2, own_predictions_from=0.5), phase("second", steps=3)
    whole = recipe("whole", *phases, overrides=["train.save_every=1"])
    expected = load_file(trainer.train(whole))
    parts = recipe("parts", *phases, overrides=["train.save_every=1"])
    with monkeypatch.context() as patch:
        interrupt_after(stop, patch)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(parts)
    resumed = load_file(trainer.train(parts, resume=True))
    assert [key for key, tensor in expected.items() if not torch.equal(tensor, resumed[key])] == []
    assert [line["loss"] for line in log_lines(whole)] == [line["loss"] for line in log_lines(parts)]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(recipe):
    first, again, other = (
        load_file(trainer.train(recipe(f"run{index}", phase(steps=1), overrides=[f"train.seed={seed}"])))
        for index, seed in enumerate((0, 0, 1))
    )
    assert all(torch.equal(tensor, again[key]) for key, tensor in first.items())
    assert not all(torch.equal(tensor, other[key]) for key, tensor in first.items())


def test_resuming_without_a_saved_state_starts_at_the_beginning(recipe):
    config = recipe("run", phase(steps=1))
    trainer.train(config, resume=True)
    assert [line["step"] for line in log_lines(config)] == [1]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_state_before_it(recipe, monkeypatch):
    config, original, count = recipe("run", phase(steps=4)), trainer.clip_losses, iter(range(2))

    def clip_losses(*args, **kwargs):
        losses = original(*args, **kwargs)
        if next(count, None) is not None:
            return losses
        return ClipLosses(losses.reference, losses.tracked * float("nan"), losses.predictions)

    monkeypatch.setattr(trainer, "clip_losses", clip_losses)
    with pytest.raises(RuntimeError, match=r"the loss of step 2 is nan; .*last\.pt"):
        trainer.train(config)
    saved = torch.load(f"{config.train.output}/last.pt", weights_only=True)
    assert saved["step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())
    assert [line["step"] for line in log_lines(config)] == [1, 2]


def test_the_identity_bank_rests_while_the_model_feeds_on_its_own_masks_and_learns_before(recipe):
    def weight(config):
        return load_file(trainer.train(config))["stages.0.identity_bank.weight"]

    torch.manual_seed(0)
    begin = trainer.build_model(recipe("begin", phase())).state_dict()["stages.0.identity_bank.weight"]
    assert torch.equal(weight(recipe("own", phase(steps=1, own_predictions_from=0.0))), begin)
    assert not torch.equal(weight(recipe("true", phase(steps=1, own_predictions_from=1.0))), begin)


def test_a_phase_after_one_with_own_masks_trains_the_identity_bank_again(recipe):
    own, true = (
        phase("own", steps=1, own_predictions_from=0.0),
        phase("true", steps=1, own_predictions_from=1.0),
    )
    config = recipe("run", own, true)
    final = load_file(trainer.train(config))["stages.0.identity_bank.weight"]
    assert not torch.equal(
        final, load_file(f"{config.train.output}/own.safetensors")["stages.0.identity_bank.weight"]
    )


def test_frozen_encoder_stages_do_not_change(recipe):
    config = recipe("run", phase(steps=1))
    torch.manual_seed(0)
    begin = trainer.build_model(config).state_dict()
    final = load_file(trainer.train(config))
    changed = {key for key, tensor in final.items() if not torch.equal(tensor, begin[key])}
    assert not [
        key for key in changed if key.startswith(tuple(f"encoder.features.{index}." for index in range(4)))
    ]
    assert any(key.startswith("encoder.features.4.") for key in changed)


def test_a_run_starts_from_a_checkpoint(recipe):
    final = trainer.train(recipe("first", phase(steps=1)))
    config = recipe("second", phase(steps=1), overrides=[f"train.start_from={final}"])
    start = trainer.build_model(config).state_dict()
    assert all(torch.equal(tensor, start[key]) for key, tensor in load_file(final).items())


def test_a_checkpoint_of_another_architecture_is_no_start(recipe):
    final = trainer.train(recipe("first", phase(steps=1)))
    config = recipe("second", phase(), overrides=[f"train.start_from={final}", "model.stages.0.window=9"])
    with pytest.raises(InputError, match=r"start_from=.*another architecture"):
        trainer.train(config)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.root=null"], r"data\.root: not set"),
        (["train.phases=[]"], "names no phase"),
        (["train.encoder_weights=/nowhere.pth"], r"encoder_weights=/nowhere\.pth: cannot be loaded"),
        (["train.start_from=/nowhere.safetensors"], "no such checkpoint"),
        (["train.phases.0.sources.0.path=gone"], "gone: no training data here"),
    ],
)
def test_bad_settings_are_one_sentence(recipe, overrides, words):
    with pytest.raises(InputError, match=words) as error:
        trainer.train(recipe("run", phase(), overrides=overrides))
    assert "\n" not in str(error.value)


def test_bfloat16_trains_too(recipe):
    config = recipe("run", phase(steps=1), overrides=["train.precision=bfloat16"])
    final = load_file(trainer.train(config))
    assert all(tensor.dtype == torch.float32 for tensor in final.values() if tensor.is_floating_point())
    assert np.isfinite(log_lines(config)[0]["loss"])


def test_a_short_run_lowers_the_loss(recipe):
    config = recipe("run", phase(steps=24, merge=0.0, own_predictions_from=1.0, lr=1e-3),
                    overrides=["model.stages.0.drop_path=0"])  # fmt: skip
    trainer.train(config)
    losses = [line["loss"] for line in log_lines(config)]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
