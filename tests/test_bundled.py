"""The model and the clip that ship with the project, and the same model on real video where it is at hand."""

import shutil
from pathlib import Path

import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.benchmark.evaluator import EvaluationOptions, evaluate, score_finished
from aotlab.engine.tracking.tracker import BUNDLED_CHECKPOINT, Tracker
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.tools.main import main
from research.bundled.clicks import jaccard
from tests.shared import SHARED, needs_data

SAMPLE = Path(__file__).resolve().parents[1] / "datasets" / "sample"


def test_bundled_model_follows_the_bundled_clip():
    tracker = Tracker.from_pretrained(overrides=["input.max_long_edge=480"])
    (video,) = open_dataset("davis2017", SAMPLE)
    truth = read_mask(video.annotations[0])
    labels = tracker.step(read_image(video.frames[0]), truth).labels
    for index in range(1, 6):
        labels = tracker.step(read_image(video.frames[index])).labels
        truth = read_mask(video.annotations[index])
    for number in tracker.ids:
        # Far above what standing still or guessing gives; the real figure is near 0.9.
        assert jaccard(truth == number, labels == number) > 0.6


def test_bundled_film_clip_can_be_followed():
    source = open_frames(SAMPLE / "rabbit.mp4")
    mask = read_mask(SAMPLE / "rabbit.png")
    assert source.size == mask.shape
    assert source.length == 88
    tracker = Tracker.from_pretrained(overrides=["input.max_long_edge=480"])
    for index, frame in enumerate(source):
        labels = tracker.step(frame, mask if index == 0 else None).labels
        if index == 3:
            break
    assert tracker.ids == (1, 2, 3, 4)
    for number in tracker.ids:
        assert jaccard(mask == number, labels == number) > 0.7  # in 0.12 s nothing goes far


def test_bundled_model_is_small_enough_to_ship():
    assert BUNDLED_CHECKPOINT.stat().st_size < 26_000_000  # tracking 11.6 MB, prompts 13.2 MB


@pytest.fixture(scope="module")
def few_frames(tmp_path_factory):
    """The bundled data set with three frames."""
    root = tmp_path_factory.mktemp("few")
    for kind in ("JPEGImages", "Annotations"):
        folder = root / kind / "480p" / "pond"
        folder.mkdir(parents=True)
        for path in sorted((SAMPLE / kind / "480p" / "pond").iterdir())[:3]:
            shutil.copy(path, folder)
    shutil.copytree(SAMPLE / "ImageSets", root / "ImageSets")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
@pytest.mark.parametrize("command", [
    "track {video} --mask {mask} --output {out}",
    "track {video} --mask {mask} --dry-run",
    "mask {video}/00000.jpg --box 40,40,80,80 --output {out}.png",
    "eval --dataset davis2017 --root {root} --output {out}",
    "export --output {out} --size 160x96 memory.policy=bounded_fifo",
])  # fmt: skip
def test_every_command_runs_with_the_bundled_model(few_frames, tmp_path, command, precision):
    video, mask = (few_frames / kind / "480p" / "pond" for kind in ("JPEGImages", "Annotations"))
    places = {"root": few_frames, "video": video, "mask": mask / "00000.png", "out": tmp_path / "out"}
    name, *words = command.split()
    given = [word.format(**places) for word in words]
    settings = [] if name == "mask" else [f"compute.precision={precision}"]
    assert main([name, *given, *settings]) == 0


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["davis2017", "davis2016"])
def test_bundled_model_is_far_above_optical_flow(name, tmp_path):
    videos = open_dataset(name, SHARED / "data" / "DAVIS")
    report = evaluate(
        Tracker.from_pretrained(), videos, tmp_path / "results", EvaluationOptions(progress=False)
    )
    table = make_scores_table(score_finished(videos, report))
    # Over these clips, copying the first mask scores J 18.7 and warping it by dense optical flow 42.5.
    assert table["J"] > 55
