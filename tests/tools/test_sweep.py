"""The ``sweep`` command: its commands, its table, and what it refuses."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from aotlab.benchmark.sweep import list_runs
from aotlab.tools.sweep import main
from aotlab.utils import plugins
from aotlab_testing.files import SAMPLE

DATA = ["--dataset", "davis2017", "--root", str(SAMPLE)]
LINE = ["mini", "memory.frames=2,4", "train.seed=0,1", "--", "eval", *DATA]


@pytest.fixture
def fake_commands(monkeypatch):
    """The commands that would run; evaluations leave scores, and those of ``broken`` settings fail."""
    calls: list[list[str]] = []

    def run(line, **_):
        calls.append(line[3:])
        if line[3] == "eval" and "broken" not in str(line):
            output = Path(line[line.index("--output") + 1])
            output.mkdir(parents=True, exist_ok=True)
            frames, seed = "frames=4" in str(output), "seed=1" in str(output)
            scores = {"J&F": 70.0 + 5 * frames + 2 * seed, "fps": 3.0, "frames": {"scored": 1}}
            (output / "scores.json").write_text(json.dumps(scores))
        return SimpleNamespace(returncode=int("broken" in str(line)))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(plugins, "_loaded_files", {})  # those of other tests would be passed on
    return calls


def test_each_combination_is_trained_and_evaluated(fake_commands, tmp_path, capsys):
    assert main(["--output", str(tmp_path), "--format", "markdown", *LINE]) == 0
    assert [call[0] for call in fake_commands] == ["train", "eval"] * 4
    folder = tmp_path / "memory.frames=2,train.seed=1"
    assert fake_commands[2][1:5] == [
        "--config=mini", "memory.frames=2", "train.seed=1", f"train.output={folder}/train",
    ]  # fmt: skip
    assert f"--checkpoint={folder}/train/long.safetensors" in fake_commands[3]
    assert fake_commands[3][1:3] == ["--dataset", "davis2017"]
    assert capsys.readouterr().out.splitlines() == [
        "| memory.frames | runs | J&F |", "| --- | ---: | ---: |",
        "| 2 | 2 | 71.0 ± 1.4 |", "| 4 | 2 | **76.0 ± 1.4** |",
    ]  # fmt: skip


def test_settings_are_evaluated_without_a_recipe(fake_commands, tmp_path, capsys):
    line = ["rules.hooks=[],[]", "memory.frames=2", "memory.every=3,5"]
    with pytest.raises(Exception, match="two runs have the same folder; give each value once"):
        list_runs(None, line, tmp_path)
    assert main(["--output", str(tmp_path), *line[1:], "--", "eval", *DATA]) == 0
    assert [call[0] for call in fake_commands] == ["eval", "eval"]
    assert fake_commands[0][-2:] == ["memory.frames=2", "memory.every=3"]
    assert capsys.readouterr().out.splitlines()[0].split() == ["memory.every", "J&F"]


def test_shards_share_the_combinations(fake_commands, tmp_path, capsys):
    assert main(["--output", str(tmp_path), "--shard", "1/4", *LINE]) == 0
    assert len(fake_commands) == 2
    assert capsys.readouterr().out.splitlines()[2:] == ["2              1 of 2  72.0", "4              0 of 2     -"]


def test_failed_combination_does_not_stop_the_others(fake_commands, tmp_path, capsys):
    assert main(["--output", str(tmp_path / "broken"), *LINE]) == 1
    assert len(fake_commands) == 4
    assert capsys.readouterr().err.count("exit code 1") == 4


def test_dry_run_prints_commands(fake_commands, tmp_path, capsys):
    assert main(["--output", str(tmp_path), "--dry-run", *LINE]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8
    assert not fake_commands


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["mini", "memory.frames=2"], "-- eval: missing"),
        (["mini", "memory.frame=2", "--", "eval"], "unknown key memory.frame; did you mean memory.frames?"),
        (["mini", "aotl", "--", "eval"], "aotl: not KEY=VALUE; give one CONFIG, and settings"),
        ([*LINE, "--checkpoint", "aott"], "--checkpoint: set by the sweep; leave it out"),
        ([*LINE, "--output=out"], "--output=out: set by the sweep; leave it out"),
        ([*LINE, "--dataset", "davis2071"], "--dataset: davis2071: not one of davis2016"),
        ([*LINE, "--root", "absent"], "absent: no such folder"),
        ([*LINE, "--sequence", "pnd"], "sequence pnd: not one of pond"),
        ([*LINE, "--fip"], "--fip"),
        (["mini", "memory.frames=2", "--", "eval"], "--dataset: missing; give the benchmark to run on"),
    ],
)
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["run", "dry_run"])
def test_unusable_sweep_rejected(line, message, dry_run, fake_commands, run_expecting_error):
    assert message in run_expecting_error(main, *dry_run, *line)
    assert not fake_commands
