"""The program that makes long videos of DAVIS."""

from __future__ import annotations

from pathlib import Path

import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.tools.loop_videos import main
from tests.drawn_clips import draw_clip, lay_out_davis, stems_from


def test_it_says_how_long_the_videos_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = {"bear": draw_clip(stems_from(0, 4)), "camel": draw_clip(stems_from(0, 3))}
    lay_out_davis(tmp_path / "DAVIS", clips, "2016", "train")
    options = ["--times", "2", "--year", "2016", "--split", "train"]
    assert main([str(tmp_path / "DAVIS"), str(tmp_path / "long"), *options]) == 0
    assert capsys.readouterr().out == f"2 sequences of 5 to 7 frames in {tmp_path / 'long'}\n"
    videos = open_dataset("davis2016", tmp_path / "long", "train")
    assert [len(video.frames) for video in videos] == [7, 5]


def test_a_missing_data_set_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), str(tmp_path / "long")]) == 2
    assert "none: no such file or folder" in capsys.readouterr().err
