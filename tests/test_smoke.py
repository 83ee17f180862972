"""The main public paths once, with a tiny network and drawn videos, for the loop while writing code."""

import json

import numpy as np
import pytest

from aotlab import Prompt, Tracker, load_model
from aotlab.configs.schema import POLICIES
from aotlab_testing import miniatures
from aotlab_testing.files import read_files
from aotlab_testing.small_model import build, draw_stripes, draw_texture
from aotlab_testing.smoke import aotlab, checkpoint, prompts
from tests.engine.training.tiny_recipes import draw_sets, phase, write_recipe

__all__ = ["aotlab", "checkpoint", "prompts"]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Options that name a drawn data set."""
    root = tmp_path_factory.mktemp("benchmark")
    miniatures.make_folder(root)
    return ["--dataset", "folder", "--root", str(root)]


@pytest.mark.parametrize("policy", POLICIES)
def test_tracker_takes_masks_prompts_and_saved_states(policy, prompts):
    settings = "memory.every=1", f"memory.policy={policy}", "memory.frames=2", "model.max_objects=2"
    model, config = build("aott", *settings)
    frames, tracker = draw_texture(7), Tracker(model, config)
    np.testing.assert_array_equal(tracker.step(frames[0], draw_stripes([4, 9])).labels, draw_stripes([4, 9]))
    tracker.step(frames[1], prompts={5: Prompt(box=(3, 3, 20, 20))})
    assert tracker.ids == (4, 9, 5)
    tracker.forget(9)
    resumed = Tracker(model, config)
    resumed.load_state_dict(tracker.state_dict())
    for frame in frames[2:]:
        expected, found = tracker.step(frame), resumed.step(frame)
        assert found.ids == (4, 5)
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_benchmark_is_run_scored_and_combined(aotlab, checkpoint, benchmark, tmp_path):
    aotlab("eval", *benchmark, "--checkpoint", checkpoint, "--output", "one")
    aotlab("score", *benchmark, "one", "--json", "scores.json", "--workers", "1")
    scores, again = (json.loads((tmp_path / name).read_text()) for name in ("one/scores.json", "scores.json"))
    assert scores["J&F"] == again["J&F"]
    aotlab("ensemble", "one", "one", "--output", "both")
    one, both = (read_files(tmp_path / name, "*.png") for name in ("one", "both"))
    assert one
    assert both == one


def test_data_is_checked_and_trained_on(aotlab, tmp_path):
    data = draw_sets(tmp_path / "data")
    aotlab("check-data", data / "drawn", "--workers", "1")
    recipe = write_recipe(tmp_path, data, "run", phase(steps=2))
    aotlab("train", "--config", recipe)
    assert load_model(tmp_path / "run" / "video.safetensors")[1].name == "tiny"
    aotlab("train", "--config", recipe, "train.phases.0.steps=3")
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log if "event" not in line] == [1, 2, 3]


@pytest.mark.parametrize(("line", "words"), [
    ("export --config aott --print-config", "method: aot"),
    ("weights", "r50_deaotl"),
    ("--help", "check-data"),
])  # fmt: skip
def test_descriptions_are_printed(aotlab, capsys, line, words):
    aotlab(*line.split())
    assert words in capsys.readouterr().out
