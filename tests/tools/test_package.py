"""A package outside the repository, of at most 120 lines: the file of the page about plug-ins and its entry points.

Its benchmark, measure, hook, transform, loss of two terms, layout, logger and block that reads ages are trained,
evaluated, compared, swept and exported, without a change of aotlab.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from aotlab.configs.files import ROOT
from aotlab.tools.main import main
from aotlab_testing.drawn_clips import draw_moving_clip, stems_from, write_frames, write_labels
from aotlab_testing.files import TINY_ENCODER
from aotlab_testing.small_model import TINY_STAGE

ENTRY_POINTS = """
[aotlab.methods]
aged = lab:aged
[aotlab.losses]
compact = lab:compact
[aotlab.transforms]
darken = lab:darken
[aotlab.layouts]
pairs = lab:read_pairs
[aotlab.loggers]
lines = lab:Lines
[aotlab.hooks]
specks = lab:HideSpecks
[aotlab.benchmarks]
pairs = lab:Pairs
[aotlab.measures]
area = lab:area
"""
STEPS = 20


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The installed package."""
    page = (ROOT / "docs" / "howto" / "plugins.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n# lab\.py\n(.*?)```", page, re.DOTALL)[1]
    assert len([*code.splitlines(), *ENTRY_POINTS.splitlines()]) <= 120
    info = tmp_path / "site" / "lab-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "site" / "lab.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield
    sys.modules.pop("lab", None)


@pytest.fixture
def in_process(monkeypatch):
    """Commands of a sweep run in this process, which has imported PyTorch."""
    run = subprocess.run

    def run_command(line, **options):
        if line[:3] == [sys.executable, "-m", "aotlab"]:
            return SimpleNamespace(returncode=main(line[3:]))
        return run(line, **options)

    monkeypatch.setattr(subprocess, "run", run_command)


def write_recipe(folder):
    """Write two videos in the package's layout, and a recipe that trains on them; return its path."""
    for seed, name in enumerate(("first", "second")):
        clip = draw_moving_clip(stems_from(0, 4), seed=seed, size=(80, 96))
        write_frames(folder / "data" / "pairs" / name / "frames", clip)
        write_labels(folder / "data" / "pairs" / name / "masks", clip)
    phase = {"name": "short", "steps": STEPS, "batch": 1, "clip_length": 3, "crop": 65, "short_edge": 72,
             "transforms": ["darken"], "sources": [{"path": "pairs", "kind": "pairs"}]}  # fmt: skip
    recipe = {
        "base": "aott",
        "name": "lab",
        "model": {"method": "aged", "encoder": "tiny", "dim": 32, "stages": [TINY_STAGE]},
        "memory": {"policy": "bounded_fifo", "frames": 3, "every": 1},
        "data": {"root": str(folder / "data"), "workers": 0},
        "train": {"loss": "compact", "print_every": 0, "image_every": 0, "log_every": 1, "phases": [phase]},
    }
    (folder / "lab.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    return folder / "lab.yaml"


@pytest.mark.slow
def test_package_outside_the_repository(package, in_process, tmp_path, monkeypatch, capsys, unload):
    monkeypatch.chdir(tmp_path)
    recipe, encoder = str(write_recipe(tmp_path)), f"--plugin={TINY_ENCODER}"
    dataset = ["--dataset", "pairs", "--root", "data/pairs"]

    assert main(["train", "--config", recipe, encoder, "train.output=trained", "--log", "lines"]) == 0
    lines = [json.loads(line) for line in Path("trained", "log.jsonl").read_text().splitlines()]
    assert len(lines) == STEPS
    assert all(line["loss_entropy"] > 0 and line["loss_features"] > 0 for line in lines)
    assert len(Path("trained", "lines.txt").read_text().splitlines()) == STEPS
    weights = "trained/short.safetensors"

    evaluate = ["eval", *dataset, encoder, "--checkpoint", weights, "--measure", "area"]
    assert main([*evaluate, "--output", "plain"]) == 0
    assert main([*evaluate, "--output", "hooked", "rules.hooks=[specks]"]) == 0
    scores = json.loads(Path("hooked", "scores.json").read_text())
    assert 0 <= scores["area"] <= 100
    assert {"model.method", "rules.hooks.specks"} <= scores["inputs"]["plugins"].keys()
    assert main(["score", "plain", "hooked", *dataset, "--compare", "--measure", "area"]) == 0

    capsys.readouterr()
    sweep = ["sweep", recipe, "memory.frames=2,3", "train.seed=0,1,2", encoder, "--device", "cpu", "--output", "swept"]
    assert main([*sweep, "--format", "csv", "train.phases.0.steps=2", "--", "eval", *dataset, "--measure", "area"]) == 0
    assert len(list(Path("swept").glob("*/train/short.safetensors"))) == 6
    header, *rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("memory", "2,", "3,"))]
    assert "J&F" in header
    assert [row.split(",")[:2] for row in rows] == [["2", "3"], ["3", "3"]]

    export = ["export", encoder, "--checkpoint", weights, "--size", "96x80", "--no-prompts", "--output", "exported"]
    assert main([*export, "--verify"]) == 0
    graph = Path("exported", "propagate.onnx").read_bytes()
    assert b"memory_ages" in graph
