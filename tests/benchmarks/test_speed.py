"""The command that measures speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import parts
from benchmarks.parts import PARTS
from benchmarks.speed import main
from tests.engine.small_model import clip

TINY = "size=64x48,frames=2"


@pytest.fixture(autouse=True)
def quick_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "matmul_rate", lambda device, dtype: 1e9)


def test_a_setting_is_measured_by_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "found.json"
    assert main([f"aott,objects=3,{TINY}", "--threads", "1", "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"aott,objects=3,{TINY} on cpu: ")
    assert all(f"\n{part} " in text for part in PARTS)
    assert json.loads(output.read_text())["machine"]["threads"] == 1


def test_frames_of_a_folder_keep_their_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index, frame in enumerate(clip(3)):
        Image.fromarray(frame).save(tmp_path / f"{index}.jpg")
    assert main([f"aott,video={tmp_path},frames=2"]) == 0
    assert "\n49x33, " in capsys.readouterr().out


def test_two_settings_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "found.json"
    first = f"aott,objects=2,at_frame=4,{TINY}"
    assert main(["--compare", first, f"aott,{TINY}", "--output", str(output)]) == 0
    text = capsys.readouterr().out
    assert f"  {first}\n" in text
    assert f"A / B  {json.loads(output.read_text())['ratio']:.3f}" in text


def test_kernels_are_timed_and_compared_with_the_fixed_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tune", f"aott,{TINY}"]) == 0
    text = capsys.readouterr().out
    assert ", fixed choice " in text
    assert "A / B" in text


def test_a_table_is_written(tmp_path: Path) -> None:
    path = tmp_path / "speed.md"
    assert main(["--table", str(path), "--only", "baseline=planes", "--extra", TINY]) == 0
    assert f"| `aott,baseline=planes,{TINY}` |" in path.read_text()


def test_training_steps_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--train", "1x2x33", "deaott,frames=2", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "2 pairs of steps" in out
    assert "peak memory of B" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["aott,objects=0"], "objects: must be at least 1, got 0"),
        (["aotz"], "did you mean"),
        (["aott,device=gpu0"], "device gpu0: no such device"),
        (["--compare", "aott,objets=2", "aott"], "objets"),
        (["aott,video=/no/such/video"], "/no/such/video: no such file or folder"),
        (["--table", "table.json"], ".md"),
    ],
)
def test_wrong_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
