"""The program that looks inside models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.media.drawn_clip import draw_clip
from aotlab.media.masks import write_mask
from aotlab.networks.weights.model_card import ModelCard
from aotlab.tools.inspect_model import main

QUICK = ["input.max_long_edge=64"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four drawn frames, and beside it a mask of the first one's halves, which stay where they are."""
    folder = tmp_path_factory.mktemp("clip")
    frames, _ = draw_clip(4, 48, 64, seed=0)
    for index, frame in enumerate(frames):
        (folder / "frames").mkdir(exist_ok=True)
        Image.fromarray(frame).save(folder / "frames" / f"{index:05d}.png")
    write_mask(folder / "first.png", np.repeat([[1] * 32 + [2] * 32], 48, 0))
    return folder


def attention(video: Path, output: Path, *options: str) -> list[str]:
    return ["--attention", str(video / "frames"), "--mask", str(video / "first.png"), "--output", str(output),
            *options, *QUICK]  # fmt: skip


def test_the_table_and_the_file_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--size",
        "97x65",
        "--objects",
        "3",
        "--stored-frames",
        "2",
        "--output",
        str(tmp_path / "costs.json"),
    ]
    assert main(["--config", "deaots", "--parameters", *options]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "deaots, 97x65 (97x65 in the network), 3 object(s), 2 frame(s) in long-term memory"
    )
    report = json.loads((tmp_path / "costs.json").read_text())
    assert (report["config"], report["network"], report["objects"]) == ("deaots", [97, 65], 3)
    *parts, total = report["parts"]
    assert total["parameters"] == sum(part["parameters"] for part in parts)
    assert total["flops"] == sum(part["flops"] for part in parts)
    assert round(total["parameters"] / 1e6, 1) == 10.2
    for part in report["parts"]:
        assert f"{part['name']} " in text
        assert f"{part['parameters']:,}" in text


def test_the_bundled_model_is_looked_into_when_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--parameters", "--size", "65x65"]) == 0
    assert capsys.readouterr().out.startswith(f"{BUNDLED_CHECKPOINT.stem}, 65x65")


def test_identities_become_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--identities", str(tmp_path / "identities.png")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "identities.png")
    with Image.open(tmp_path / "identities.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


@pytest.mark.parametrize("whose", [["--pixel", "30,20"], ["--object", "1"]])
def test_attention_becomes_an_image(
    tmp_path: Path, video: Path, whose: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(attention(video, tmp_path, "--frame", "2", *whose)) == 0
    image = Path(capsys.readouterr().out.strip())
    assert image.parent == tmp_path
    assert image.stem == "00002_" + whose[0].strip("-") + "_" + whose[1].replace(",", "_")
    with Image.open(image) as file:
        assert file.width == 3 * 320  # the frame, the reference frame and the frame before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--parameters, --identities and --attention"),
        (["--attention", "clip", "--mask", "first.png"], "--frame, --output, --pixel or --object"),
        (["--parameters", "--identities", "x.png"], "not allowed with"),
        (["--parameters", "--size", "854"], "854x480"),
        (["--attention", "clip", "--pixel", "3;4"], "854,480"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words in error


def test_the_card_of_a_checkpoint_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "carded.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"card": ModelCard([], "raw").to_json()})
    assert main(["--checkpoint", str(path), "--card"]) == 0
    assert capsys.readouterr().out.startswith("raw weights after 0 steps in 0.00 hours\n")


def test_a_card_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "plain.safetensors")
    assert main(["--checkpoint", str(tmp_path / "plain.safetensors"), "--card"]) == 2
    assert "plain.safetensors: holds no model card" in capsys.readouterr().err
    assert main(["--config", "deaott", "--card"]) == 2
    assert "give a file by --checkpoint" in capsys.readouterr().err
