"""Transforms, layouts and loggers of plug-ins in training."""

import pickle
import re
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from aotlab.configs.plugins import describe_code, load_plugins
from aotlab.dataloaders.training.layouts import read_video_folders
from aotlab.dataloaders.training.mixture import _BatchDataset
from aotlab.dataloaders.training.phases import open_phases
from aotlab.engine.training.listener import TrainingListener
from aotlab.engine.training.model_card import describe_card, load_card
from aotlab.engine.training.trainer import train
from aotlab.evaluation.benchmark import Benchmark
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import BENCHMARK_PLUGINS, LAYOUT_PLUGINS, LOGGER_PLUGINS, TRANSFORM_PLUGINS
from aotlab_testing.mutations import raises_one_sentence
from tests.engine.training.tiny_recipes import ALONE, phase, run_recipe


def draw_clip(config):
    return open_phases(config).mixtures[0][0]


def test_transform_changes_clips_and_drops_hidden_objects(offer, recipe):
    def invert(frames, labels, rng):
        return 255 - frames, np.where(labels == 1, 0, labels).astype(np.uint8)

    plain = draw_clip(recipe("run", phase(merge=1.0)))
    offer(TRANSFORM_PLUGINS, invert=invert)
    clip = draw_clip(recipe("run", phase(merge=1.0, transforms=["invert"])))
    np.testing.assert_array_equal(clip.frames, 255 - plain.frames)
    assert (clip.num_objects, clip.names) == (plain.num_objects - 1, plain.names)
    assert set(np.unique(clip.labels[0])) - {255} == set(range(plain.num_objects))


def test_transform_draws_the_same_for_a_clip(offer, recipe):
    def add_noise(frames, labels, rng):
        return rng.integers(255, size=frames.shape, dtype=np.uint8), labels

    offer(TRANSFORM_PLUGINS, noise=add_noise)
    clips = [draw_clip(recipe("run", phase(transforms=["noise"]))).frames for _ in range(2)]
    np.testing.assert_array_equal(*clips)


def test_transform_of_another_shape_is_one_sentence(offer, recipe):
    offer(TRANSFORM_PLUGINS, crop=lambda frames, labels, rng: (frames[:, 1:], labels))
    with raises_one_sentence(r"<lambda>: returned 3×64×65×3 uint8; expected 3×65×65×3 uint8$"):
        draw_clip(recipe("run", phase(transforms=["crop"])))


def test_unknown_transform_rejected(recipe):
    with pytest.raises(
        InputError,
        match=r"train\.phases\.0\.transforms\.0 mine: unknown; no plug-in provides it; install .*--plugin FILE",
    ):
        recipe("run", phase(transforms=["mine"]))


def test_layout_of_a_plugin_trains_and_validates(offer, recipe):
    validation = ["data.validation=[{path: held, kind: mine}]"]
    with pytest.raises(InputError, match=r"kind mine: not one of"):
        run_recipe(recipe("run", phase(), overrides=validation))
    offer(LAYOUT_PLUGINS, mine=lambda folder, split: read_video_folders(folder))
    source = {"path": "drawn", "kind": "mine", "max_gap": 1}
    config = recipe("run", phase(sources=[source]), overrides=validation)
    record = run_recipe(config)
    assert 0 <= record.phases[0].scores["J&F"] <= 100
    assert describe_code(config)["train.phases.0.sources.0.kind"] == ""


def test_validation_scores_by_a_benchmark_of_a_plugin(offer, recipe):
    @dataclass(frozen=True)
    class Precise(Benchmark):
        columns = metrics = ("precision",)

        def measure(self, annotation, prediction, size):
            return [(annotation & prediction).sum() / max(prediction.sum(), 1)]

        def make_row(self, *values):
            return {"precision": 100 * float(values[0].mean())}

    overrides = ["data.validation=[{path: held}]", "data.benchmark=precise"]
    with pytest.raises(InputError, match="dataset precise: not one of"):
        run_recipe(recipe("run", phase(), overrides=overrides))
    offer(BENCHMARK_PLUGINS, precise=Precise)
    config = recipe("run", phase(), overrides=overrides)
    (record,) = run_recipe(config).phases
    assert [*record.scores] == ["precision"]
    assert 0 <= record.scores["precision"] <= 100
    assert Path(config.train.output, "best.safetensors").exists()
    assert "| precision " in describe_card(load_card(Path(config.train.output, "best.safetensors")))


def test_layout_that_returns_no_videos_is_one_sentence(offer, recipe):
    offer(LAYOUT_PLUGINS, mine=lambda folder, split: {})
    with raises_one_sentence(r"<lambda>: returned a dict; expected a list of Video$"):
        draw_clip(recipe("run", phase(sources=[{"path": "drawn", "kind": "mine"}])))


def test_logger_of_a_plugin_is_called(offer, recipe):
    steps = []

    class Steps(TrainingListener):
        def stepped(self, state, result):
            steps.append(state.step)

    offer(LOGGER_PLUGINS, steps=Steps, none=dict)
    train(recipe("run", phase()), ALONE, logs=["csv", "steps"])
    assert steps == [1, 2]
    with raises_one_sentence(r"dict: not a listener of training; derive it from aotlab\.sdk\.TrainingListener$"):
        train(recipe("second", phase()), ALONE, logs=["none"])


PLUGIN = """
def invert(frames, labels, rng):
    return 255 - frames, labels
transforms = {"invert": invert}
"""


def measure_first_frames(pickled):
    return pickle.loads(pickled)[range(1)].frames.float().mean().item()


@pytest.mark.slow
def test_started_worker_loads_plugin_files(tmp_path, recipe, unload):
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugins([tmp_path / "mine.py"])
    config = recipe("run", phase(transforms=["invert"]))
    dataset = _BatchDataset(open_phases(config).mixtures[0])
    with get_context("spawn").Pool(1) as pool:  # as on macOS and Windows
        found = pool.apply(measure_first_frames, (pickle.dumps(dataset),))
    assert found == dataset[range(1)].frames.float().mean().item()


def test_card_names_the_code_of_plugins(tmp_path, recipe, unload):
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugins([tmp_path / "mine.py"])
    weights = run_recipe(recipe("run", phase(steps=1, transforms=["invert"]))).checkpoint
    line = r"\n- code of train\.phases\.0\.transforms\.invert: SHA-256 [0-9a-f]{16}\n"
    assert re.search(line, describe_card(load_card(weights)))
