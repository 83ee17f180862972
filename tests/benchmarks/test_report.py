"""The table of comparisons: rows are measured one by one, and what was measured is kept."""

from __future__ import annotations

import json

import pytest

from aotlab.configs.load import load_config
from aotlab.utils.errors import InputError, RunStopped
from benchmarks import report
from benchmarks.comparison import Comparison
from benchmarks.machine import Machine
from benchmarks.report import write_report
from benchmarks.rows import Row, rows
from benchmarks.settings import Setting, parse_setting

TABLE = (
    Row("slow against ours", "aott,slow=all", "aott", at_least=3),
    Row("ten against one", "aott,objects=10", "aott", at_most=1.3),
    Row("half precision", "aott", "aott,precision=bfloat16", gpu_only=True),
)
MACHINE = Machine("cpu", "a processor", "AVX9", 2, "waiting as the system does", "2.0", "3.11")
TITLE = "cpu: a processor, AVX9, 2 threads, waiting as the system does, PyTorch 2.0, Python 3.11"


@pytest.fixture
def seconds(monkeypatch):
    """Seconds of A by its settings, B always takes one; what was asked for is added under "asked"."""
    taken = {"aott,slow=all": 4.0, "aott,objects=10": 1.5, "asked": []}

    def compared(first, second):
        taken["asked"].append(first.title)
        if isinstance(taken[first.title], BaseException):
            raise taken[first.title]
        return Comparison(first.title, second.title, (taken[first.title],) * 3, (1.0,) * 3, (MACHINE,) * 2)

    monkeypatch.setattr(report, "compare", compared)
    monkeypatch.setattr(
        report, "_measured", lambda setting: {"seconds": 0.2, "gflop": 20.0, "rate_share": 0.5}
    )
    monkeypatch.setattr(report, "matmul_rate", lambda device: 2e11)
    monkeypatch.setattr(report, "describe_machine", lambda device: MACHINE)
    return taken


def write(path, only=""):
    write_report(path, Setting(), only=only, table=TABLE, progress=False)
    return path.read_text()


def test_the_table_says_what_was_measured_where_and_whether_it_is_enough(tmp_path, seconds):
    text = write(tmp_path / "performance.md")
    assert f"## On {TITLE}" in text
    assert "200 GFLOP/s" in text
    assert "100.0 GFLOP/s, 50% of the rate" in text
    first, second = (line for line in text.splitlines() if "against" in line and line.startswith("|"))
    cells = "| slow against ours | `aott,slow=all` | `aott` | 4.000 | 1.000 | 4.00 (4.00 to 4.00) | at least 3 | yes |"
    assert first.startswith(cells)
    assert "1.50 (1.50 to 1.50) | at most 1.3 | **no**" in second
    assert "half precision" not in text


def test_a_row_is_measured_again_and_the_others_are_kept(tmp_path, seconds):
    path = tmp_path / "performance.md"
    write(path)
    seconds["aott,slow=all"], seconds["asked"] = 5.0, []
    text = write(path, only="SLOW")
    assert seconds["asked"] == ["aott,slow=all"]
    assert "5.00 (5.00 to 5.00)" in text
    assert "1.50 (1.50 to 1.50)" in text


def test_what_was_measured_stays_when_a_row_breaks(tmp_path, seconds):
    seconds["aott,slow=all"] = RuntimeError("out of memory")
    path = tmp_path / "performance.md"
    with pytest.raises(RunStopped, match=r"slow against ours \(out of memory\)"):
        write(path)
    assert "ten against one" in path.read_text()


def test_an_interrupted_run_keeps_what_it_has(tmp_path, seconds):
    seconds["aott,objects=10"] = KeyboardInterrupt()
    path = tmp_path / "performance.md"
    with pytest.raises(KeyboardInterrupt):
        write(path)
    assert "slow against ours" in path.read_text()


def test_every_machine_has_a_section_and_those_of_others_stay(tmp_path, seconds):
    path = tmp_path / "performance.md"
    write(path)
    kept = json.loads(path.with_suffix(".json").read_text())
    (measured,) = kept.values()
    row = measured["slow against ours"]
    older = {"slow against ours": {**row, "machine": "cpu: an older one"}}
    older["half precision"] = {**row, "machine": "cuda: a GPU"}
    # Files were once written by kind of device.
    path.with_suffix(".json").write_text(json.dumps({"cpu": older}))
    text = write(path, only="slow against")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## On cpu: an older one", "## On cuda: a GPU", f"## On {TITLE}",
    ]  # fmt: skip
    assert text.count("| slow against ours |") == 2
    assert "| half precision |" in text


def test_a_text_that_no_row_holds_is_one_sentence(tmp_path, seconds):
    with pytest.raises(
        InputError, match=r"only nothing: no row holds this text; rows are: AOTT's step; .*; slow"
    ):
        write(tmp_path / "performance.md", only="nothing")


def test_a_foreign_file_beside_the_table_is_one_sentence(tmp_path, seconds):
    (tmp_path / "performance.json").write_text('["mine"]')
    with pytest.raises(InputError, match=r"performance\.json: not the results of earlier reports"):
        write(tmp_path / "performance.md")


def test_all_rows_can_be_read_and_have_names_of_their_own():
    table = rows()
    assert len({row.what for row in table}) == len(table)
    for row in table:
        for text in (row.first, row.second):
            setting = parse_setting(text)
            load_config(setting.config, setting.overrides)
