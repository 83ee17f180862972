"""The benchmark tool."""

from __future__ import annotations

import pytest

from tools.benchmark import main


def test_it_prints_seconds_per_frame(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "aott", "--size", "64x48", "--objects", "3", "--frames", "2"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("aott 64x48, 3 objects, 2 frames, cpu")
    assert "s per frame" in text


def test_a_bad_size_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--size", "huge"])
    assert stop.value.code == 2
    assert "expected WIDTHxHEIGHT" in capsys.readouterr().err


def test_no_object_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--objects", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
