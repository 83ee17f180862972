"""Table that compares weights."""

import numpy as np
import pytest

from aotlab.dataloaders.training.clips import Clip
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab_testing.in_memory import write_images, write_masks, write_videos
from aotlab_testing.small_model import build
from research.bundled import compare_weights
from research.bundled.compare_weights import SMALL_VIDEOS, Result, format_rows, keep_first_objects, main


def make_result(mean, exchanged, probability):
    return Result(mean, mean - 1, exchanged, 100, np.array([probability] * 4, np.float32), np.array([1, 1, 1, 0], bool))


def test_rows_give_gains_over_the_first_weights():
    results = [
        [make_result(50, 10, 0.75), make_result(52, 5, 1.0)],
        [make_result(60, 20, 0.75), make_result(62, 15, 1.0)],
    ]
    assert format_rows("x", ["a", "b"], results) == [
        "| x | 2 | a | 55.0 |  | 54.0 | 15.0% | 0.0% |",
        "| x | 2 | b | 57.0 | +2.0 (+2.0 to +2.0) | 56.0 | 10.0% | 25.0% |",
    ]


def test_objects_of_later_frames_are_dropped():
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[0, :10], labels[0, 10:12, :5] = 3, 2  # object 2 has 10 pixels
    labels[1, :10], labels[1, 12:], labels[1, 10] = 3, 5, 255
    clip = keep_first_objects(Clip(np.zeros((2, 20, 20, 3), np.uint8), labels, 3))
    assert [np.unique(frame).tolist() for frame in clip.labels] == [[0, 1], [0, 1, 255]]
    assert clip.num_objects == 1


@pytest.fixture
def data(tmp_path):
    write_videos(tmp_path / "davis16", *SMALL_VIDEOS)
    write_videos(tmp_path / "rendered", "s00000", "s00001")
    square = np.zeros((48, 64), np.uint8)
    square[4:40, 4:40] = 1
    for name in ("a", "PennFudan"):
        write_images(tmp_path / "static" / "JPEGImages" / name, [np.dstack([90 + 90 * square] * 3)] * 60)
        write_masks(tmp_path / "static" / "Annotations" / name, [square] * 60)
    davis = tmp_path / "davis"
    for kind in ("JPEGImages", "Annotations"):
        (davis / kind).mkdir(parents=True)
        (davis / kind / "480p").symlink_to(tmp_path / "davis16" / kind)
    for year in ("2017", "2016"):
        (davis / "ImageSets" / year).mkdir(parents=True)
        (davis / "ImageSets" / year / "val.txt").write_text(f"{SMALL_VIDEOS[0]}\n")
    return tmp_path


def test_table_has_a_row_per_group_and_weights(data, capsys, monkeypatch):
    monkeypatch.setattr(compare_weights, "FRAMES", 4)
    monkeypatch.setattr(compare_weights, "SIDE", 96)
    model, config = build("aott")
    weights = data / "tiny.safetensors"
    save_checkpoint(weights, model, config)
    both = [str(weights), f"{weights},rules.cuts=true"]
    folders = ["--rendered", str(data / "rendered"), "--davis", str(data / "davis")]
    assert main([str(data), *both, *folders, "--clips", "2"]) == 0
    rows = [line.split(" | ")[:3] for line in capsys.readouterr().out.splitlines()[2:]]
    counts = {"rendered": "2", "touching": "2", "people": "2", "davis2017": "1", "davis2016": "1", "240p": "3"}
    assert rows == [[f"| {group}", count, each] for group, count in counts.items() for each in both]
    assert main([str(data), *both, "--groups", "240p"]) == 0
    assert [line[:6] for line in capsys.readouterr().out.splitlines()[2:]] == ["| 240p"] * 2
