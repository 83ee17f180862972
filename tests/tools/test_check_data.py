"""The ``check-data`` command on the shipped sample and on miniatures of benchmarks."""

import numpy as np
import pytest

from aotlab.media.masks import write_mask
from aotlab.tools.check_data import main
from aotlab_testing import miniatures
from aotlab_testing.files import SAMPLE


def test_shipped_sample_is_clean(capsys):
    assert main([str(SAMPLE)]) == 0
    output = capsys.readouterr()
    rows = dict(line.split("  ", 1) for line in output.out.splitlines())
    assert {name: value.strip() for name, value in rows.items()} == {
        "videos": "1", "frames": "40", "labeled frames": "40", "objects": "4", "sizes": "854×480 (40)", "errors": "0",
        "warnings": "0",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["davis2016", "youtubevos2019", "sav"])
def test_benchmark_is_checked_through_its_reader(name, tmp_path, capsys):
    miniatures.make(name, tmp_path)
    options = ["--dataset", name, "--split", miniatures.scored_split(name), "--workers", "1"]
    assert main([str(tmp_path), *options]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line)
    assert int(rows["videos"]) >= 1
    assert int(rows["objects"]) >= int(rows["videos"])


@pytest.mark.parametrize(("args", "words"), [
    ("--split train", "--split: applies to a benchmark"),
    ("--dataset davis2017 --kind static", "--kind: applies to your own folder"),
])  # fmt: skip
def test_option_without_effect_rejected(run_expecting_error, args, words):
    assert words in run_expecting_error(main, SAMPLE, *args.split())


def test_faults_of_a_benchmark_are_listed(tmp_path, capsys):
    miniatures.make_sav(tmp_path)
    folder = tmp_path / "sav_val"
    write_mask(folder / "Annotations_6fps/sav_000001/001/00008.png", np.ones((5, 7)))
    (folder / "Annotations_6fps/sav_000002/001").rename(folder / "Annotations_6fps/sav_000002/hand")
    (folder / "JPEGImages_24fps/sav_000001/00003.jpg").write_bytes(b"no image")
    assert main([str(tmp_path), "--dataset", "sav", "--workers", "1"]) == 1
    text, err = capsys.readouterr()
    assert err == ""  # no bar without a terminal
    assert f"error {folder}/Annotations_6fps/sav_000001/001/00008.png: 7×5, but its frame is 64×48" in text
    assert "expected a folder 000, 001" in text
    assert "00003.jpg" in text
    assert "errors          3" in text
    miniatures.make_visor(tmp_path)
    next(tmp_path.glob("Annotations/480p/P01_107_seq_00001/*")).write_bytes(b"no mask")
    assert main([str(tmp_path), "--dataset", "visor", "--workers", "1"]) == 1
    assert "errors          1" in capsys.readouterr().out
