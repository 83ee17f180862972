"""Outputs of the studio, of ``aotlab track`` and ``aotlab render``."""

from aotlab_testing.files import read_files
from aotlab_testing.video.runs import track
from aotlab_video.commands.render import main


def test_rendered_outputs_equal_those_of_track(video, mask, tmp_path, repeater):
    assert track(video, tmp_path, mask, args=["--write", "masks"]) == 0
    steps, line = repeater.steps, "cvat,label_studio,review"
    assert main([str(tmp_path / "out"), "--write", line]) == 0
    assert repeater.steps == steps
    assert track(video, tmp_path / "whole", mask, args=["--write", line]) == 0
    found, expected = (read_files(tmp_path / name) for name in ("out", "whole/out"))
    assert found.keys() == expected.keys()
    assert all(found[name] == content for name, content in expected.items() if name != "results.json")
