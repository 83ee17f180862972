"""Help of all programs of research."""

import runpy
import sys

import pytest

from aotlab.configs.files import ROOT

PROGRAMS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in sorted((ROOT / "research").rglob("*.py"))
    if '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8")
]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # imported by other tests
@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_printed_and_nothing_written(name, tmp_path, monkeypatch, capsys):
    if name.endswith("worker"):
        pytest.importorskip("resource", reason="needs the memory counters of POSIX")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.lower().startswith("usage: ")
    assert list(tmp_path.iterdir()) == []
