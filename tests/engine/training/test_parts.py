"""Losses of plug-ins, and listeners of a run."""

import csv
import json
import signal
from itertools import count
from pathlib import Path

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.engine.training.clip import ClipModule, ClipOptions, mean_iou
from aotlab.engine.training.dry_run import dry_run
from aotlab.engine.training.listener import TrainingListener
from aotlab.engine.training.losses import find_loss, frame_loss
from aotlab.engine.training.optimization import list_trained
from aotlab.engine.training.trainer import train
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.plugins import LOSS_PLUGINS
from aotlab_testing.marks import METHOD_PRESETS
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import build, clip_batch, draw_stripes, draw_texture
from tests.engine.training.tiny_recipes import ALONE, before_step, log_lines, phase, run_recipe

PACKAGE = """
import torch
from torch.nn import functional as F

def squared_error(outputs, target_indices):
    (logits,) = outputs.logits
    truth = F.one_hot(target_indices.clamp(max=len(logits) - 1), len(logits)).movedim(-1, 0)
    return {"error": (logits.softmax(0) - truth).square().mean()}
"""
ENTRY_POINTS = """
[aotlab.losses]
squared = parts:squared_error
"""


def test_ignored_pixels_do_not_count_in_the_iou():
    labels = torch.tensor([[[1, 1, 0, 255]]])
    assert mean_iou(torch.tensor([[[1, 1, 0, 1]]]), labels, [1]).item() == 1
    assert mean_iou(torch.tensor([[[1, 0, 0, 1]]]), labels, [1]).item() == pytest.approx(0.5)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose plug-ins the settings name."""
    info = tmp_path / "site" / "parts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "parts.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda logits: {"x": logits.mean((1, 2))}, r"a tensor of shape \(\d,\) as x; expected a dict of scalars"),
        (lambda logits: {"x": logits.mean().item()}, "a float as x; expected a dict of scalars by name, such as"),
        (lambda logits: logits.mean(), r"a tensor of shape \(\); expected a dict of scalars"),
        (lambda logits: {}, "an empty dict; expected a dict of scalars"),
        (lambda logits: {"x": logits.mean().detach()}, "terms without gradient; compute them from the outputs$"),
    ],
    ids=["vector", "float", "scalar", "nothing", "detached"],
)
@pytest.mark.parametrize("run", [run_recipe, lambda config: dry_run(config, ALONE)], ids=["train", "dry run"])
def test_loss_that_cannot_be_minimized_is_one_sentence(loss, message, run, offer, recipe):
    offer(LOSS_PLUGINS, mine=lambda outputs, target_indices: loss(outputs.logits[-1]))
    with raises_one_sentence(rf"test_parts\.py: \S*<lambda>: returned {message}"):
        run(recipe("run", phase(), overrides=["train.loss=mine"]))


def test_constant_loss_of_frames_without_objects_trains(offer, recipe):
    def loss(outputs, target_indices):
        return {"square": outputs.logits[-1].square().mean() if next(frames) % 2 else torch.zeros(())}

    frames = count()
    offer(LOSS_PLUGINS, mine=loss)
    assert run_recipe(recipe("run", phase(), overrides=["train.loss=mine"])).checkpoint.exists()


def test_loss_of_a_plugin_trains(package, recipe):
    config = recipe("run", phase(), overrides=["train.loss=squared"])
    run_recipe(config)
    first, _ = log_lines(config)
    assert 0 < first["tracked_loss"] < 1  # cross-entropy of random weights is above 1


def test_terms_of_a_loss_are_logged_and_add_up(offer, recipe):
    def loss(outputs, target_indices):
        key = outputs.memory[0][0].long.key
        assert key.shape[0] % outputs.embeddings[0].numel() == 0
        return {"logits": outputs.logits[-1].square().mean(), "features": 3 * outputs.embeddings.var() + key.var()}

    offer(LOSS_PLUGINS, mine=loss)
    config = recipe("run", phase(), overrides=["train.loss=mine"])
    train(config, ALONE, logs=["csv"])
    for line in log_lines(config):
        assert line["loss_features"] > 0
        assert line["loss_logits"] + line["loss_features"] == pytest.approx(line["loss"], rel=1e-6)
    assert ",loss_logits,loss_features,iou," in Path(config.train.output, "train.csv").read_text()


def test_loss_with_features_trains_the_blocks(offer):
    offer(
        LOSS_PLUGINS, mine=lambda outputs, target_indices: {"memory": outputs.memory[0][0].long.value.square().mean()}
    )
    model, config = build("aott", "model.stages.0.drop_path=0")
    clip = clip_batch(draw_texture(3), [draw_stripes([1, 2])] * 3, 2)
    options = ClipOptions(torch.arange(11)[None], 1, use_predictions=False, loss=find_loss("mine"))
    loss, _ = ClipModule(model.train(), config.memory)(clip, options)
    loss.backward()
    assert model.blocks[0].value.weight.grad.abs().sum() > 0
    assert model.decoder.conv_out.weight.grad is None


def test_scalable_model_gives_logits_of_each_depth(offer):
    depths = []
    offer(LOSS_PLUGINS, mine=lambda outputs, _: depths.append(len(outputs.logits)) or frame_loss(outputs, _))
    model, config = build("aost")
    clip = clip_batch(draw_texture(2), [draw_stripes([1, 2])] * 2, 2)
    options = ClipOptions(torch.arange(11)[None], 1, use_predictions=False, loss=find_loss("mine"))
    ClipModule(model, config.memory)(clip, options)
    assert depths == [model.config.depths[0]] * 2


def test_other_terms_on_a_later_frame_rejected(offer, recipe):
    def loss(outputs, target_indices):
        return {f"term{next(frames) // 3}": outputs.logits[-1].square().mean()}

    frames = count()
    offer(LOSS_PLUGINS, mine=loss)
    with pytest.raises(RunStopped, match=r"returned term1, but term0 for an earlier frame; return the same terms"):
        run_recipe(recipe("run", phase(), overrides=["train.loss=mine"]))


def test_new_terms_get_columns_in_a_resumed_csv(offer, recipe):
    train(recipe("run", phase(steps=1)), ALONE, logs=["csv"])
    offer(LOSS_PLUGINS, mine=lambda outputs, target_indices: {"square": outputs.logits[-1].square().mean()})
    config = recipe("run", phase(steps=2), overrides=["train.loss=mine"])
    train(config, ALONE, logs=["csv"])
    with Path(config.train.output, "train.csv").open() as file:
        first, second = csv.DictReader(file)
    assert float(first["loss_jaccard"]) > 0
    assert not first["loss_square"]
    assert not second["loss_jaccard"]
    assert float(second["loss_square"]) == pytest.approx(float(second["loss"]))


def test_unknown_loss_is_an_error_with_valid_names(recipe):
    config = recipe("run", phase(), overrides=["train.loss=mine"])
    with pytest.raises(InputError, match=r"^train\.loss mine: not one of aot; install .* --plugin FILE$"):
        run_recipe(config)


def test_choices_include_those_of_plugins(package, recipe):
    with pytest.raises(InputError, match=r"^train.loss square: not one of aot, squared; did you mean squared\?"):
        run_recipe(recipe("run", phase(), overrides=["train.loss=square"]))


class Recorder(TrainingListener):
    """The moments of a run."""

    def __init__(self):
        self.moments = []

    def began(self, state):
        self.moments.append(("began", state.phase.name, state.step))

    def stepped(self, state, result):
        self.moments.append(("stepped", state.step, round(result.metrics["loss"], 6)))

    def video_scored(self, state, done, total):
        self.moments.append(("scored", done, total))

    def validated(self, state, scores):
        self.moments.append(("validated", state.best, *scores))

    def saved(self, state, path):
        content = torch.load(path, weights_only=True)
        self.moments.append(("saved", path.name, *content["scores"]))

    def ended(self, state, reason):
        is_written = (state.output / f"{state.phase.name}.safetensors").exists()
        self.moments.append(("ended", state.phase.name, reason, is_written and is_averaged(state)))


def is_averaged(state):
    """Return whether the model has its averaged weights."""
    averages = list_trained(state.averaged)
    return all(torch.equal(averages[name], weight) for name, weight in list_trained(state.model).items())


def test_listener_is_called_at_every_moment(recipe):
    config, recorder = recipe("run", phase("one", steps=2), phase("two", steps=1)), Recorder()
    train(config, ALONE, listeners=[recorder])
    losses = [round(line["loss"], 6) for line in log_lines(config)]
    assert recorder.moments == [
        ("began", "one", 0), ("stepped", 1, losses[0]), ("stepped", 2, losses[1]), ("saved", "0_one_000002.pt"),
        ("ended", "one", None, True), ("began", "two", 0), ("stepped", 1, losses[2]), ("saved", "1_two_000001.pt"),
        ("ended", "two", None, True),
    ]  # fmt: skip


def test_listener_gets_scores_and_a_state_with_them(recipe):
    recorder = Recorder()
    settings = ["data.validation=[{path: held}]", "train.validate_every=1"]
    config = recipe("run", phase(steps=2), overrides=settings)
    train(config, ALONE, listeners=[recorder])
    moments = [moment for moment in recorder.moments if moment[0] in ("scored", "validated", "saved")]
    with open(f"{config.train.output}/log.jsonl") as file:
        best = next(line["J&F"] for line in map(json.loads, file) if "J&F" in line)
    assert moments == [
        ("scored", 1, 1), ("validated", -1.0, "J&F", "J", "F"), ("saved", "0_video_000001.pt", "J&F", "J", "F"),
        ("scored", 1, 1), ("validated", best, "J&F", "J", "F"), ("saved", "0_video_000002.pt", "J&F", "J", "F"),
    ]  # fmt: skip


def test_listener_gets_the_reason_of_a_stop(recipe, monkeypatch):
    recorder = Recorder()
    before_step(monkeypatch, 2, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(RunStopped, match="interrupted; the state after step 2"):
        train(recipe("run", phase(steps=3)), ALONE, listeners=[recorder])
    assert recorder.moments[-2:] == [("saved", "0_video_000002.pt"), ("ended", "video", "interrupted", False)]


def list_unused_weights(preset, *, overrides=(), **options):
    """Names of the weights without a gradient after a pass over a clip of two objects."""
    model, config = build(preset, *overrides)
    labels = draw_stripes([1, 2])
    clip = clip_batch(draw_texture(3), [labels] * 3, 2)
    permutations = torch.arange(config.model.max_objects + 1)[None]
    loss, _ = ClipModule(model.train(), config.memory)(clip, ClipOptions(permutations, labels.size, **options))
    loss.backward()
    return {name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None}


@pytest.mark.parametrize("preset", METHOD_PRESETS)
def test_only_identities_lack_gradients_on_predictions(preset):
    # DDP looks for weights without a gradient only while memory stores predictions
    assert list_unused_weights(preset, use_predictions=False) == set()
    assert list_unused_weights(preset, use_predictions=False, reference_weight=0.0) == set()
    unused = list_unused_weights(preset, use_predictions=True)
    assert unused
    assert all("identity" in name for name in unused)


def test_blocks_beyond_the_depth_lack_gradients():
    assert load_config("aost").model.stages[0].depth > 1
    assert list_unused_weights("aost", overrides=["model.depth=1"], use_predictions=False)
