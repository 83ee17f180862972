"""The main public paths once, with a tiny network and drawn videos, for the loop while writing code."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from aotlab import Prompt, Tracker, draw_overlay, load_model, read_mask, write_mask
from aotlab.configs.schema import POLICIES
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.tools.main import main
from aotlab_testing import miniatures
from aotlab_testing.drawn_clips import write_images
from aotlab_testing.files import SAMPLE, read_files
from aotlab_testing.small_model import build, build_prompts, draw_stripes, draw_texture
from aotlab_video import open_frames, track
from tests.engine.training.tiny_recipes import draw_sets, phase, write_recipe


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file of the tiny network."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, *build("aott", "memory.every=1"))
    return path


@pytest.fixture
def prompts(monkeypatch):
    """A tiny prompt network that always gives a mask, in place of the bundled one."""
    network = build_prompts()
    torch.nn.init.constant_(network.decoder.conv_out.bias, 10)
    monkeypatch.setattr("aotlab.prompting.network.load_prompt_network", lambda: network)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A folder of four frames."""
    return write_images(tmp_path_factory.mktemp("video"), draw_texture(4))


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Options that name a drawn data set."""
    root = tmp_path_factory.mktemp("benchmark")
    miniatures.make_folder(root)
    return ["--dataset", "folder", "--root", str(root)]


@pytest.fixture
def aotlab(tmp_path, monkeypatch):
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert main([str(word) for word in words]) == 0
        return tmp_path

    return run


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


def test_video_is_tracked_from_a_mask(aotlab, checkpoint, video, tmp_path):
    Image.fromarray(draw_stripes([1, 2], dtype=np.uint8)).save(tmp_path / "first.png")
    line = ("track", video, "--mask", "first.png", "--checkpoint", checkpoint, "--output", "out")
    aotlab(*line, "--write", "masks,objects,coco,overlay")
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 4
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} >= {"coco.json", "overlay.mp4"}


def test_video_is_tracked_from_a_box(aotlab, checkpoint, video, tmp_path, prompts):
    box = ("--box", "3,3,20,20")
    aotlab("track", video, *box, "--checkpoint", checkpoint, "--write", "masks", "--output", "out")
    masks = [read_mask(path) for path in (tmp_path / "out" / "masks").iterdir()]
    assert [np.unique(mask[mask > 0]).tolist() for mask in masks] == [[1]] * 4


def test_video_is_tracked_by_a_program(checkpoint, video, tmp_path):
    write_mask(tmp_path / "first.png", draw_stripes([1, 2]))
    first, frames = read_mask(tmp_path / "first.png"), open_frames(video)
    track(frames, {0: first}, tmp_path / "out", Tracker(*load_model(checkpoint)))
    assert (read_mask(tmp_path / "out" / "masks" / "00000.png") == first).all()
    assert (draw_overlay(frames.read(0), first) != frames.read(0)).any()


def test_image_is_masked_by_the_bundled_model(aotlab, tmp_path):
    image = SAMPLE / "JPEGImages" / "480p" / "pond" / "00000.jpg"
    aotlab("mask", image, "--box", "40,40,80,80", "--output", "mask.png")
    assert read_mask(tmp_path / "mask.png").any()


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
    ("track --help", "--both-directions"),
])  # fmt: skip
def test_descriptions_are_printed(aotlab, capsys, line, words):
    aotlab(*line.split())
    assert words in capsys.readouterr().out
