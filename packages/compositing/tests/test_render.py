"""Outputs for compositing of ``aotlab track`` and ``aotlab render``, and options of the latter."""

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from aotlab_testing.files import read_files, read_results
from aotlab_testing.stored_files import assert_outputs_are_the_same
from aotlab_testing.video.runs import interrupt, track
from aotlab_video.commands.render import main
from aotlab_video.sources.video import open_frames

pytestmark = pytest.mark.usefixtures("repeater")


def test_options_of_compositing_change_what_render_writes(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--write", "exr,prores", "--class", "cup"]) == 0
    results = tmp_path / "out"
    assert main([str(results), "--write", "exr", "--no-plate", "--compression", "dwaa"]) == 0
    with OpenEXR.File(str(results / "exr" / "00001.exr"), separate_channels=True) as file:
        assert list(file.channels()) == ["cup.1.A"]
        assert file.header()["compression"] == OpenEXR.DWAA_COMPRESSION
    assert main([str(results), "--write", "prores", "--per-object", "--alpha", "premultiplied"]) == 0
    assert [path.name for path in (results / "prores").iterdir()] == ["cup.1.mov"]
    assert not (results / "alpha.mov").exists()
    assert main([str(results), "--write", "prores", "--per-object", "--missing"]) == 0
    assert capsys.readouterr().out.endswith("out: prores\n")  # straight now
    assert main([str(results), "--write", "prores", "--per-object", "--missing"]) == 0
    assert capsys.readouterr().out.endswith("out: complete\n")
    assert main([str(results), "--write", "overlay", "--per-object"]) == 2
    assert "per_object=True (--per-object): no effect on overlay; write prores" in capsys.readouterr().err


def test_resumed_run_delivers_plates_of_all_frames(video, mask, tmp_path, monkeypatch):
    interrupt(monkeypatch, video, tmp_path, mask, args=["--write", "alpha,exr"])
    assert track(video, tmp_path, mask, args=["--write", "alpha,exr"]) == 0
    for index, frame in enumerate(open_frames(video)):
        with Image.open(tmp_path / "out" / "alpha" / f"{index:05d}.png") as image:
            np.testing.assert_array_equal(np.array(image)[..., :3], frame)


def test_outputs_for_film_need_stored_edges(video, mask, tmp_path, capsys):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    for name in ("alpha", "mattes16", "prores"):
        assert track(video, tmp_path, mask, args=["--write", name]) == 2
        assert "results without soft edges; choose another output, or replace" in capsys.readouterr().err
    assert track(video, tmp_path, mask, args=["--write", "soft", "--force"]) == 0
    assert track(video, tmp_path, mask, args=["--write", "alpha,prores"]) == 0
    assert track(video, tmp_path / "whole", mask, args=["--write", "alpha,prores"]) == 0
    found, expected = (read_files(tmp_path / name) for name in ("out", "whole/out"))
    assert all(found[name] == content for name, content in expected.items() if name.startswith("alpha"))


def test_outputs_for_film_resume(video, mask, tmp_path, monkeypatch):
    line = ["--write", "alpha,mattes16,prores"]
    interrupt(monkeypatch, video, tmp_path, mask, args=line)
    assert track(video, tmp_path, mask, args=line) == 0
    assert track(video, tmp_path / "whole", mask, args=line) == 0
    found, expected = (read_results(tmp_path / name) for name in ("out", "whole/out"))
    assert found == expected
    assert {"soft/00003.png", "alpha/00003.png", "mattes16/1/00003.png", "alpha.mov"} <= found.keys()


def test_movie_of_a_resumed_run_has_all_frames(video, mask, tmp_path, monkeypatch):
    interrupt(monkeypatch, video, tmp_path, mask, args=["--write", "soft"])
    assert track(video, tmp_path, mask, args=["--write", "prores,objects"]) == 0
    assert len(list(open_frames(tmp_path / "out" / "alpha.mov"))) == 4


def test_mattes_of_stored_results_are_the_same(stored):
    assert_outputs_are_the_same(stored / "tracked", "mattes16")
