"""The table of comparisons."""

from __future__ import annotations

import pytest

from aotlab.configs.load import load_config
from aotlab.utils.errors import RunStopped
from benchmarks import table as table_module
from benchmarks.settings import parse_setting
from benchmarks.table import rows, write_table

TINY = "size=64x48,frames=2"


@pytest.fixture(autouse=True)
def quick_rate(monkeypatch):
    monkeypatch.setattr("benchmarks.parts.matmul_rate", lambda device, dtype: 1e9)


def test_settings_are_measured_and_pairs_compared(tmp_path):
    path = tmp_path / "speed.md"
    table = [("aott",), ("aott,baseline=planes", "aott"), ("deaott", "aott")]
    write_table(path, extra=TINY, only="aott,", table=table, progress=False)
    text = path.read_text()
    assert text.startswith("cpu: ")
    assert f"| `aott,baseline=planes,{TINY}` | `aott,{TINY}` |" in text
    assert "deaott" not in text
    assert "GFLOP/s" not in text
    write_table(path, extra=TINY, table=table[:1], progress=False)
    assert f"| `aott,{TINY}` |" in path.read_text()


def test_other_rows_are_written_when_one_fails(tmp_path, monkeypatch):
    def fail(runs):
        raise RuntimeError("out of memory\nmore")

    compare = table_module.compare
    monkeypatch.setattr(
        table_module,
        "compare",
        lambda *runs: fail(runs) if "groups" in runs[0].setting.title else compare(*runs),
    )
    path = tmp_path / "speed.md"
    table = [("aott,baseline=groups", "aott"), ("aott,baseline=planes", "aott")]
    with pytest.raises(RunStopped, match=r"not measured: aott,baseline=groups.* \(out of memory\)"):
        write_table(path, extra=TINY, table=table, progress=False)
    assert "planes" in path.read_text()


def test_every_row_can_be_read():
    table = list(rows())
    assert len(set(table)) == len(table)
    for row in table:
        for text in row:
            setting = parse_setting(text)
            load_config(setting.config, setting.overrides)
