"""Four videos by three trackers: one command tracks and scores them with each, one compares the results."""

import json
import re

import pytest

from aotlab.export.synthetic_clip import draw_clip
from aotlab.tools.eval import main as evaluate
from aotlab.tools.score import main as score
from aotlab_testing.drawn_clips import write_images, write_masks
from trackers.tests.models import build_sam, read_tutorial

VIDEOS = ("a", "b", "c", "d")


@pytest.fixture
def root(tmp_path):
    for seed, name in enumerate(VIDEOS):
        frames, masks = draw_clip(4, 48, 64, seed=seed)
        write_images(tmp_path / "set" / "JPEGImages" / name, frames)
        write_masks(tmp_path / "set" / "Annotations" / name, masks)
    return tmp_path / "set"


def test_three_trackers_are_compared_on_four_videos(root, tmp_path, capsys):
    (tmp_path / "flow.py").write_text(read_tutorial())
    for part in build_sam("sam2"):
        part.save_pretrained(tmp_path / "weights")
    options = {"aott": [], "flow": ["--plugin", str(tmp_path / "flow.py"), "--checkpoint", "flow"]}
    options["sam"] = ["--checkpoint", f"sam2:{tmp_path / 'weights'}"]
    dataset = ["--dataset", "folder", "--root", str(root)]
    for name, values in options.items():
        assert evaluate([*dataset, *values, "--device", "cpu", "--output", str(tmp_path / name)]) == 0
        assert json.loads((tmp_path / name / "scores.json").read_text())["sequences"].keys() == {*VIDEOS}
    capsys.readouterr()
    assert score([*dataset, "--workers", "1", *(str(tmp_path / name) for name in options)]) == 0
    table = capsys.readouterr().out
    assert all(re.search(rf"^.*{name} +[\d.]+", table, re.MULTILINE) for name in options), table
    assert score([*dataset, "--workers", "1", "--compare", str(tmp_path / "aott"), str(tmp_path / "flow")]) == 0
