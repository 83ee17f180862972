"""Table of a GPU's figures, at small sizes on the CPU."""

import json

import pytest

from aotlab.utils.errors import InputError
from research.speed import gpu

SMALL = [
    "--device=cpu", "--models=aott", "--sizes=64x48", "--objects=1,3", "--frames=2", "--at-frame=1",
]  # fmt: skip


def figures(cell, **run):
    return {"p50_ms": cell["objects"] * 10.0, "p95_ms": 99.0, "peak_mib": 5}


def run(output):
    return gpu.main([*SMALL, "--output", str(output)])


def test_failed_rows_are_measured_by_the_next_run(tmp_path, monkeypatch, capsys):
    measured = []

    def measure(cell, **run):
        measured.append(cell)
        if cell["objects"] == 3 and len(measured) <= 4:
            raise InputError("out of memory")
        return figures(cell)

    monkeypatch.setattr(gpu, "measure", measure)
    assert run(tmp_path / "card") == 1
    assert "| `aott` | bfloat16 | no | 64x48 | 3 | failed | failed | failed |" in capsys.readouterr().out
    assert run(tmp_path / "card") == 0
    assert [cell["objects"] for cell in measured] == [1, 3, 1, 3, 3, 3]
    assert "| `aott` | float32 | no | 64x48 | 1 | 10.0 | 99.0 | 5 |" in (tmp_path / "card.md").read_text()
    content = json.loads((tmp_path / "card.json").read_text())
    assert len(content["rows"]) == 4
    assert {"device", "aotlab", "torch"} <= {*content["run"]}


def test_figures_of_another_commit_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "measure", figures)
    assert run(tmp_path / "card") == 0
    before = (tmp_path / "card.json").read_bytes()
    monkeypatch.setattr(gpu, "describe_run", lambda device: {"device": device, "aotlab": "another"})
    assert run(tmp_path / "card") == 2
    assert (tmp_path / "card.json").read_bytes() == before


@pytest.mark.slow
def test_rows_are_measured_in_processes(tmp_path):
    assert run(tmp_path / "card") == 0
    rows = json.loads((tmp_path / "card.json").read_text())["rows"]
    assert [(row["precision"], row["objects"]) for row in rows] == [
        ("float32", 1), ("float32", 3), ("bfloat16", 1), ("bfloat16", 3),
    ]  # fmt: skip
    assert all(0 < row["p50_ms"] <= row["p95_ms"] and row["peak_mib"] > 0 for row in rows)
