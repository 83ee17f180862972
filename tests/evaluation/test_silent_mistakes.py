"""Data that would give other scores without a word: each is named by `eval`, `score` and `check-data`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.scoring import score_videos
from aotlab.media.masks import read_mask, write_mask
from aotlab.tools.check_data import main as check_data
from aotlab.tools.score import main as score
from aotlab_testing import miniatures


@pytest.fixture
def davis(tmp_path):
    """DAVIS 2017 in miniature, with results."""
    return miniatures.make_with_results("davis2017", tmp_path)


def run_score(tmp_path, *options):
    """Score the results of the miniature; return what scores.json has."""
    line = ["--dataset", "davis2017", "--root", str(tmp_path / "root"), str(tmp_path / "results"), "--force"]
    assert score([*line, "--workers", "1", "--json", str(tmp_path / "scores.json"), *options]) == 0
    return json.loads((tmp_path / "scores.json").read_text())


def change_masks(paths, change):
    for path in paths:
        write_mask(path, change(read_mask(path)))


def shift_ids(tmp_path, name="camel"):
    """Give the only object of a sequence the id 3."""
    files = [*(tmp_path / "root/Annotations/480p" / name).iterdir(), *(tmp_path / "results" / name).iterdir()]
    change_masks(files, lambda labels: np.where(labels > 0, 3, 0))


def test_objects_without_a_pixel_are_left_out(davis, tmp_path, caplog):
    before = run_score(tmp_path)["sequences"]["camel"]["J"]
    shift_ids(tmp_path)
    sequence = run_score(tmp_path)["sequences"]["camel"]
    assert ([*sequence["objects"]], sequence["J"]) == (["3"], before)
    assert "camel: no annotation has object 1, 2, left out; --strict-protocol scores it" in caplog.text


def test_strict_protocol_scores_objects_without_a_pixel(davis, tmp_path, caplog):
    shift_ids(tmp_path)
    objects = run_score(tmp_path, "--strict-protocol")["sequences"]["camel"]["objects"]
    assert [objects[name]["J&F"] for name in "12"] == [100, 100]
    assert caplog.text == ""


def test_check_data_names_objects_without_a_pixel(davis, tmp_path, capsys):
    shift_ids(tmp_path)
    assert check_data([str(tmp_path / "root"), "--dataset", "davis2017"]) == 0
    assert "camel/00000.png: no mask has object 1, 2; renumber the objects from 1" in capsys.readouterr().out


def test_missing_annotation_is_counted_and_named(davis, tmp_path, caplog, capsys):
    assert run_score(tmp_path)["frames"] == {"scored": 5, "expected": 5}
    (tmp_path / "root/Annotations/480p/bear/00002.png").unlink()
    assert run_score(tmp_path)["frames"] == {"scored": 4, "expected": 5}
    assert "bear: not scored: 1 frame without annotation, such as" in caplog.text
    check_data([str(tmp_path / "root"), "--dataset", "davis2017"])
    assert "1 frame without a mask, such as 00002.jpg, not scored; restore them" in capsys.readouterr().out


def test_smoothed_masks_are_named(davis, tmp_path, capsys, caplog):
    folder = tmp_path / "root/Annotations/480p/camel"
    for path in folder.iterdir():
        mask = Image.fromarray((read_mask(path) > 0).astype(np.uint8) * 5)
        small = mask.resize((mask.width // 2, mask.height // 2), Image.Resampling.BILINEAR)
        small.resize(mask.size, Image.Resampling.BILINEAR).save(path)
    report = score_videos(find_benchmark("davis2017"), davis, tmp_path / "results")
    assert "camel" in report.scores
    problem = "camel/00000.png: 5 values, like the gray ones of a soft or smoothed mask"
    assert problem in caplog.text
    check_data([str(tmp_path / "root"), "--dataset", "davis2017"])
    assert problem in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--dataset", "folder"]])
def test_swapped_and_empty_masks_are_errors_of_both_checks(tmp_path, capsys, options):
    miniatures.make_folder(tmp_path)
    change_masks((tmp_path / "Annotations/second").iterdir(), np.zeros_like)
    path = tmp_path / "Annotations/first/00003.png"
    write_mask(path, np.array([0, 4, 2, 3, 1], np.uint8)[read_mask(path)])
    assert check_data([str(tmp_path), *options]) == 1
    text = capsys.readouterr().out
    assert "ids 1, 4 are swapped" in text
    assert "no mask of this video has an object" in text


def test_missing_image_is_named_instead_of_the_result(davis, tmp_path):
    name = Path("JPEGImages/480p/bear/00002.jpg")
    (tmp_path / "root" / name).unlink()
    (tmp_path / "results/bear/00002.png").unlink()
    videos = miniatures.open_dataset("davis2017", tmp_path / "root")
    failure = score_videos(find_benchmark("davis2017"), videos, tmp_path / "results").failures["bear"]
    assert "Annotations/480p/bear/00002.png: no frame of this name in" in failure
