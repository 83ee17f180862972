"""Losses of plug-ins, and listeners of a run."""

import json
import signal
from itertools import count

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.engine.training.clip import ClipModule, ClipOptions, mean_iou
from aotlab.engine.training.dry_run import dry_run
from aotlab.engine.training.listener import TrainingListener
from aotlab.engine.training.optimization import list_trained
from aotlab.engine.training.trainer import train
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.plugins import LOSS_PLUGINS
from tests.engine.small_model import build, clip_batch, draw_stripes, draw_texture
from tests.engine.training.tiny_recipes import ALONE, before_step, log_lines, phase, run_recipe
from tests.marks import METHOD_PRESETS
from tests.mutations import raises_one_sentence

PACKAGE = """
import torch
from torch.nn import functional as F

def squared_error(logits, labels, hardest_count):
    truth = F.one_hot(labels.clamp(max=len(logits) - 1), len(logits)).movedim(-1, 0)
    return (logits.softmax(0) - truth).square().mean()
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
        (lambda logits, *_: (logits.softmax(0) ** 2).mean((1, 2)), r"tensor of shape \(\d,\); expected a scalar$"),
        (lambda logits, *_: logits.mean().item(), "float; expected a scalar$"),
        (lambda logits, *_: logits.mean().detach(), "tensor without gradient; compute it from the logits$"),
    ],
    ids=["vector", "float", "detached"],
)
@pytest.mark.parametrize("run", [run_recipe, lambda config: dry_run(config, ALONE)], ids=["train", "dry run"])
def test_loss_that_cannot_be_minimized_is_one_sentence(loss, message, run, offer, recipe):
    offer(LOSS_PLUGINS, mine=lambda logits, labels, hardest_count: loss(logits, labels))
    with raises_one_sentence(rf"test_parts\.py: \S*<lambda>: returned a {message}"):
        run(recipe("run", phase(), overrides=["train.loss=mine"]))


def test_constant_loss_of_frames_without_objects_trains(offer, recipe):
    def loss(logits, labels, hardest_count):
        return logits.square().mean() if next(frames) % 2 else torch.zeros(())

    frames = count()
    offer(LOSS_PLUGINS, mine=loss)
    assert run_recipe(recipe("run", phase(), overrides=["train.loss=mine"])).checkpoint.exists()


def test_loss_of_a_plugin_trains(package, recipe):
    config = recipe("run", phase(), overrides=["train.loss=squared"])
    run_recipe(config)
    first, _ = log_lines(config)
    assert 0 < first["tracked_loss"] < 1  # cross-entropy of random weights is above 1


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
