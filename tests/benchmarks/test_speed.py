"""The benchmark tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import measurement, report
from benchmarks.rows import Row
from benchmarks.speed import main
from tests.engine.small_model import clip

TINY = ["--size", "64x48", "--frames", "2"]


@pytest.fixture(autouse=True)
def quick_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiplying large matrices takes a second; here nobody waits for it."""
    monkeypatch.setattr(measurement, "matmul_rate", lambda device, dtype: 1e9)
    monkeypatch.setattr(report, "matmul_rate", lambda device: 1e9)


def test_it_prints_seconds_per_frame_and_the_time_of_every_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.json"
    assert main(["--config", "aott", "--objects", "3", *TINY, "--threads", "1", "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("aott 64x48, 3 objects, 2 frames, cpu, 1 threads")
    assert "s per frame" in text
    written = json.loads(output.read_text())
    for part in written["parts"]:
        assert f"\n{part['name']} " in text
    assert written["machine"]["threads"] == 1


def test_frames_of_a_folder_have_their_own_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, frame in enumerate(clip(3)):
        Image.fromarray(frame).save(tmp_path / f"{index}.jpg")
    assert main(["--video", str(tmp_path), "--frames", "2"]) == 0
    assert "aott 49x33, 1 objects" in capsys.readouterr().out


def test_it_compares_two_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "report.json"
    arguments = ["--compare", "aott,slow=all,objects=2", "aott", "--at-frame", "4", *TINY]
    assert main([*arguments, "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert "aott,size=64x48,objects=2,frames=2,at_frame=4,slow=all" in text
    written = json.loads(output.read_text())
    assert f"A / B  {written['ratio']:.3f}" in text
    assert len(written["first_seconds"]) == 2


def test_it_writes_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = (Row("slow against ours", "aott,slow=all", "aott"),)
    monkeypatch.setattr(report, "rows", lambda: table)
    path = tmp_path / "performance.md"
    assert main(["--report", str(path), "--only", "slow", *TINY]) == 0
    assert "| slow against ours |" in path.read_text()
    assert path.with_suffix(".json").is_file()


def test_a_bad_size_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--size", "huge"])
    assert stop.value.code == 2
    assert "expected WIDTHxHEIGHT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--objects", "0"], "objects: must be at least 1, got 0"),
        (["--config", "aotz"], "did you mean"),
        (["--device", "gpu0"], "device gpu0: no such device"),
        (["--slow", "magic"], "slow: must be all, or some of"),
        (["--threads", "0"], "threads 0: must be at least 1"),
        (["--compare", "aott,slow=magic", "aott"], "aott,slow=magic: slow: must be all, or some of"),
        (["--compare", "aott,objets=2", "aott"], "objets"),
        (["--video", "/no/such/video", "--frames", "1"], "/no/such/video: no such file or folder"),
        (["--video", "/no/such/video", "--size", "64x48"], "leave one of the two out"),
    ],
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_training_steps_are_compared_with_the_twins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--train", "1x2x33", "--config", "deaott", "--frames", "2", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 pairs of steps" in out
    assert "A / B" in out
    assert "peak memory of B" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "aott"],
        ["--compare", "aott", "aott", "--config", "aott"],
        ["--compare", "aott", "aott", "memory.every=2"],
        ["--report", "a.md", "memory.every=2"],
        ["--report", "a.md", "--slow", "norms"],
        ["--report", "a.md", "--output", "a.json"],
        ["--train", "2x2x65", "--objects", "3"],
        ["--train", "1x1x65"],
        ["--train", "4x5"],
    ],
)
def test_options_that_would_be_ignored_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
