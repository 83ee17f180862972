"""The sample clip, as it is drawn and as it is kept."""

from pathlib import Path

import numpy as np

from aotlab.masks.id_maps import read_mask
from aotlab.tools.draw_sample_clip import main

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"


def test_a_clip_is_written_in_the_davis_layout(tmp_path, capsys):
    assert main(["--output", str(tmp_path), "--frames", "3", "--height", "48", "--width", "64"]) == 0
    assert (tmp_path / "ImageSets" / "2017" / "val.txt").read_text() == "pond\n"
    pairs = [line.split() for line in (tmp_path / "ImageSets" / "2016" / "val.txt").read_text().splitlines()]
    assert len(pairs) == 3
    assert all((tmp_path / file.lstrip("/")).is_file() for pair in pairs for file in pair)
    assert read_mask(tmp_path / pairs[2][1].lstrip("/"), size=(48, 64)).max() == 4


def test_the_kept_sample_shows_every_object_in_its_first_frame():
    files = sorted((SAMPLE / "Annotations" / "480p" / "pond").iterdir())
    assert len(files) == 40
    assert np.unique(read_mask(files[0], size=(480, 854))).tolist() == [0, 1, 2, 3, 4]
    assert sum(file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file()) < 4e6
