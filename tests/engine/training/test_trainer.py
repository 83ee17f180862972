"""Training on a tiny drawn data set: files, phases, and how steps are split and weighted."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from aotlab.configs.load import load_config
from aotlab.configs.schema import ModelConfig
from aotlab.dataloaders.training.phases import open_phases
from aotlab.engine.training import trainer
from aotlab.engine.training.build import build_training_model, resolve_training
from aotlab.engine.training.clip import ClipBatch, draw_masks, freeze_identities
from aotlab.engine.training.losses import weight_by_depth
from aotlab.engine.training.trainer import begin_step, mean_over_ranks, select_clip_options
from aotlab.networks import build as networks
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import write_images, write_masks
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import assert_same_weights
from tests.engine.training.tiny_recipes import (
    ALONE,
    WITHOUT_DROP_PATH,
    assert_same_steps,
    log_lines,
    phase,
    run_recipe,
    steady_phase,
    tiny_recipe,
)

BANK = "identity_bank.weight"


def weights(config):
    """Of the last phase of a run."""
    return load_file(run_recipe(config).checkpoint)


def first_weights(config):
    torch.manual_seed(config.train.seed)
    return {key: tensor.clone() for key, tensor in build_training_model(config).state_dict().items()}


@pytest.fixture(scope="module")
def one_step(tmp_path_factory, data):
    """A run of one step: its settings, its checkpoint, and the weights before and after it."""
    config = tiny_recipe(tmp_path_factory.mktemp("one"), data, "run", phase(steps=1))
    begin, checkpoint = first_weights(config), run_recipe(config).checkpoint
    return SimpleNamespace(config=config, checkpoint=checkpoint, begin=begin, weights=load_file(checkpoint))


def test_phase_writes_averaged_weights_and_settings(one_step):
    assert one_step.checkpoint.name == "video.safetensors"
    model, settings = load_checkpoint(one_step.checkpoint)
    assert settings == resolve_training(one_step.config)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    with safe_open(one_step.checkpoint, framework="pt") as file:
        assert "tiny" in file.metadata()["config"]


def test_run_logs_losses_and_times(recipe):
    config = recipe("run", phase(steps=3))
    run_recipe(config)
    lines = log_lines(config)
    assert [(line["phase"], line["step"]) for line in lines] == [("video", 1), ("video", 2), ("video", 3)]
    for line, weight in zip(lines, (1, 2 / 3, 1 / 3), strict=True):
        assert line["loss"] == pytest.approx(line["tracked_loss"] + weight * line["reference_loss"], rel=1e-4)
        assert 0 <= line["iou"] <= 1
        assert line["gradient_norm"] > 0
        assert line["step_seconds"] > line["data_seconds"] >= 0


@pytest.mark.parametrize("ratio", [0.1, 2.0])
def test_logged_learning_rates_are_applied(recipe, monkeypatch, ratio):
    applied, original = [], trainer.train_step

    def train_step(state, *args):
        result = original(state, *args)
        groups = state.optimizer.param_groups
        applied.append({name: group["lr"] for group in groups for name in group["names"]})
        return result

    monkeypatch.setattr(trainer, "train_step", train_step)
    config = recipe("run", phase(steps=3), overrides=[f"train.encoder_lr_ratio={ratio}"])
    run_recipe(config)
    lines = log_lines(config)
    assert lines[0]["lr"] == pytest.approx(1e-5)  # warm-up begins at the final rate
    assert lines[1]["encoder_lr"] == pytest.approx(1e-5 + ratio * (lines[1]["lr"] - 1e-5))
    for line, rates in zip(lines, applied, strict=True):
        logged = {name: line["encoder_lr" if name.startswith("encoder.") else "lr"] for name in rates}
        assert rates == pytest.approx(logged)


def test_phase_starts_from_averaged_weights(recipe, monkeypatch):
    begun = []
    original = trainer.TrainState

    def begin(config, world, model, *args, **options):
        begun.append({key: tensor.clone() for key, tensor in model.state_dict().items()})
        return original(config, world, model, *args, **options)

    monkeypatch.setattr(trainer, "TrainState", begin)
    config = recipe("run", phase("first", steps=1), phase("second", steps=1))
    assert run_recipe(config).checkpoint.name == "second.safetensors"
    first = load_file(f"{config.train.output}/first.safetensors")
    assert_same_weights(begun[1], first)
    assert any(not torch.equal(tensor, begun[0][key]) for key, tensor in first.items())


@pytest.mark.parametrize(("override", "same"), [
    ("train.seed=0", True), ("train.seed=1", False), ("train.checkpoint_activations=true", True),
    ("train.clip_gradients=1e-3", False),
])  # fmt: skip
def test_weights_depend_on_seed_and_clipping(recipe, one_step, override, same):
    found = weights(recipe("run", phase(steps=1), overrides=[override]))
    assert all(torch.equal(tensor, found[key]) for key, tensor in one_step.weights.items()) == same


def test_identity_bank_is_frozen_on_own_predictions(recipe, one_step):
    begin = one_step.begin[BANK]
    assert torch.equal(weights(recipe("own", phase(steps=1, feed_predictions_after=0.0)))[BANK], begin)
    assert not torch.equal(weights(recipe("true", phase(steps=1, feed_predictions_after=1.0)))[BANK], begin)


def test_frozen_encoder_stages_do_not_change(one_step):
    changed = {key for key, x in one_step.weights.items() if not torch.equal(x, one_step.begin[key])}
    assert not [key for key in changed if key.startswith(("encoder.layers.0.", "encoder.layers.1."))]
    assert any(key.startswith("encoder.layers.2.") for key in changed)


@pytest.mark.parametrize("preset", ["aott", "aost", "deaott", "msdeaott", "r50_paotl"])
def test_identities_freeze_in_every_model(preset):
    with torch.device("meta"):
        model = networks.build_model(load_config(preset).model)
        masks = torch.zeros(1, 11, 33, 33)
        for tested, trained in ((freeze_identities(model), False), (model, True)):
            assert {embedding.requires_grad for embedding in tested.assign_identities(masks)} == {trained}


def test_start_from_requires_the_same_architecture(recipe, one_step):
    before = f"train.start_from={one_step.checkpoint}"
    start = first_weights(recipe("second", phase(steps=1), overrides=[before]))
    assert_same_weights(start, one_step.weights)
    config = recipe("third", phase(), overrides=[before, "model.stages.0.window=9"])
    with pytest.raises(InputError, match=r"does not fit .*size mismatch"):
        run_recipe(config)
    config = recipe("fourth", phase(), overrides=[before, "model.stages.0.depth=2"])
    key = r"(blocks|conv_in|decoder)[\w.]+"
    misfit = rf"does not fit tiny \(missing keys {key}, {key}, …(, size mismatch for {key})?\)"
    with raises_one_sentence(rf"{misfit}; its keys fit .*; train\.warm_start loads only the weights that fit$"):
        run_recipe(config)


@pytest.mark.parametrize(("overrides", "words"), [
    (["train.phases=[]"], "no phases"),
    (["train.phases=[{name: a}, {name: a}]"], r"train\.phases: a\.safetensors would be written twice"),
    (["train.phases.0.name=best"], r"train\.phases: best\.safetensors would be written twice"),
    (["train.freeze_encoder_stages=9"], r"train\.freeze_encoder_stages must be at most \d with tiny, got 9"),
    (["train.run=[vido]"], "train.run vido: not one of video; did you mean video"),
    (["train.encoder_weights=/nowhere.pth"], r"^/nowhere\.pth: no such checkpoint; [^;]*$"),
    (["train.encoder_weights=torchvision"], r"torchvision has no weights of this .*give a file of tiny weights"),
    (["train.start_from=/nowhere.safetensors"], "no such checkpoint"),
    (["train.start_from=hf://"], "hf://"),
])  # fmt: skip
def test_bad_settings_rejected(recipe, overrides, words):
    with raises_one_sentence(words):
        run_recipe(recipe("run", phase(), overrides=overrides))


def test_batch_of_a_later_phase_is_checked_before_training(recipe):
    phases = phase("first", batch=2), phase("second", batch=3)
    config = recipe("run", *phases, overrides=["train.accumulate=2"])
    with pytest.raises(InputError, match=r"train\.phases\.batch=3 of second: cannot be split evenly"):
        run_recipe(config)
    assert not Path(config.train.output, "log.jsonl").exists()


def test_dropout_depends_on_phase_step_and_rank(state):
    seeds = []
    for index, step, rank in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)):
        state.index, state.step, state.world = index, step, replace(ALONE, rank=rank)
        begin_step(state)
        seeds.append(torch.initial_seed())
    assert len({*seeds}) == 4
    assert seeds[0] == seeds[-1]


def test_each_step_draws_other_identities(state):
    clip = ClipBatch(torch.zeros(1, 1, 3, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.long), [1])
    draws = []
    for step in (0, 1, 0):
        state.step = step
        draws.append(select_clip_options(state, clip, 0, 1.0).permutations.tolist())
    assert draws[0] == draws[2] != draws[1]


def test_ignored_pixels_get_no_identity():
    labels, config = torch.tensor([[[0, 1, 3, 255]]]), ModelConfig(max_objects=3)
    masks = draw_masks(config, labels, labels == 255, torch.tensor([[0, 3, 1, 2]]))
    assert masks[0, :, 0].T.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_deeper_losses_weigh_twice_as_much():
    losses = [torch.tensor([value, 0.0]) for value in (1.0, 2.0, 4.0)]
    assert weight_by_depth(losses).tolist() == [pytest.approx((1 + 2 * 2 + 4 * 4) / 7), 0]


@pytest.mark.parametrize(("every", "steps"), [(0, [7]), (3, [3, 6, 7])])
def test_periodic_work_is_also_done_after_the_last_step(state, every, steps):
    due = []
    for step in range(1, 8):
        state.step = step
        due += [step] * state.is_due(every)
    assert due == steps


class TwoRanks(Distributed):
    """The other rank has no objects, so all its measures are zero."""

    def mean(self, values):
        return [value / 2 for value in values]


def test_iou_is_the_mean_of_ranks_with_objects():
    world = TwoRanks(ALONE.device)
    assert mean_over_ranks({"loss": 2.0, "iou": 0.5}, world) == {"loss": 1.0, "iou": 0.5}
    assert np.isnan(mean_over_ranks({"loss": 2.0, "iou": np.nan}, world)["iou"])


def test_bfloat16_keeps_float32_weights(recipe):
    config = recipe("run", phase(steps=2), overrides=["train.precision=bfloat16"])
    final = weights(config)
    assert all(tensor.dtype == torch.float32 for tensor in final.values() if tensor.is_floating_point())
    assert all(np.isfinite(line["loss"]) for line in log_lines(config))


def test_accumulated_parts_equal_the_whole_batch(recipe):
    whole, parts = (
        recipe(f"run{count}", steady_phase(steps=1), overrides=[WITHOUT_DROP_PATH, f"train.accumulate={count}"])
        for count in (1, 2)
    )
    run_recipe(whole)
    run_recipe(parts)
    assert_same_steps(log_lines(parts), log_lines(whole))


def test_clips_have_at_most_max_objects(tmp_path):
    identities = 15
    # 18 squares in every frame, more than any model here takes
    ids = np.arange(1, 19, dtype=np.uint8).reshape(3, 6).repeat(24, 0).repeat(20, 1)
    write_images(tmp_path / "crowd" / "JPEGImages" / "one", [np.stack([ids * np.uint8(10)] * 3, axis=-1)] * 3)
    write_masks(tmp_path / "crowd" / "Annotations" / "one", [ids] * 3)
    wide = phase(steps=1, short_edge=65, merge=1.0, sources=[{"path": "crowd", "max_gap": 1}])
    config = tiny_recipe(tmp_path, tmp_path, "run", wide, overrides=[f"model.max_objects={identities}"])
    run_recipe(config)
    (line,) = log_lines(config)
    assert np.isfinite(line["loss"])
    (mixture,) = open_phases(resolve_training(config)).mixtures.values()
    assert max(mixture[number].num_objects for number in range(20)) == identities
    assert max(int(mixture[number].labels.max()) for number in range(20)) == identities
