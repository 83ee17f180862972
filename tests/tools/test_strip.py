"""The strip tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.tools.strip import main


def test_frames_stand_side_by_side_in_one_picture(tmp_path: Path) -> None:
    for index in range(5):
        Image.fromarray(np.full((40, 60, 3), 50 * index, np.uint8)).save(tmp_path / f"{index}.png")
    output = tmp_path / "out" / "strip.png"
    assert main([str(tmp_path), "--output", str(output), "--frames", "3", "--height", "20"]) == 0
    with Image.open(output) as picture:
        assert picture.size == (3 * 30 + 2 * 4, 20)
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels[10, 5, 0] == 0
    assert pixels[10, -5, 0] == 200


def test_a_missing_video_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.mp4"), "--output", str(tmp_path / "s.png")]) == 2
    assert "none.mp4" in capsys.readouterr().err
