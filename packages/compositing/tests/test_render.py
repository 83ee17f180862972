"""Outputs for compositing of ``aotlab track`` and ``aotlab render``, and options of the latter."""

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from aotlab.media.video import open_frames
from aotlab.tools.render import main
from aotlab_testing.video.runs import interrupt, track

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
