"""Outputs that cannot be written under their name are refused before any work is done."""

from __future__ import annotations

import pytest

from aotlab.tools.main import main

BEFORE_WORK = {
    "mask": ["mask", "VIDEO", "--box", "1:0,0,5,5", "--output", "OUT.jpg"],
}


@pytest.mark.parametrize("kind", BEFORE_WORK)
def test_an_output_of_the_wrong_kind_is_refused_before_any_work(tmp_path, capsys, kind):
    (tmp_path / "folder").mkdir()
    (tmp_path / "video.mp4").write_bytes(b"no video, which is not looked at")
    names = {"VIDEO": "video.mp4", "FOLDER": "folder"}
    line = [
        str(tmp_path / names.get(word, word)) if word[:3] == "OUT" or word in names else word
        for word in BEFORE_WORK[kind]
    ]
    assert main(line) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert line[-1] in message
    assert "is not a regular file" in message or "ends in ." in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "video.mp4"]


def test_an_image_is_not_replaced_by_its_mask(tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(b"no image, which is not looked at")
    path = str(tmp_path / "x.png")
    assert main(["mask", path, "--box", "1:0,0,5,5", "--output", path]) == 2
    assert "is the image itself" in capsys.readouterr().err
