"""Contract of all command lines: shared options, one notation of defaults, exit codes, --force."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from aotlab.media.masks import write_mask
from aotlab.tools.cli.parser import EXIT_CODES, command
from aotlab.tools.main import COMMANDS, main
from aotlab.utils.errors import InputError, RunStopped

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "docs" / "_ext"))
from parsers import parser_of  # noqa: E402

OWN_HELP = {
    "--annotations", "--output", "--weights", "--dataset", "--split", "--mask", "--objects", "--size",
    "--workers",
}  # fmt: skip
"""options whose help differs by command"""
VARIED = {
    "--checkpoint": r"weights: a file, or a name of `aotlab weights`.*\(default: the bundled model.*\)",
    "--config": r"preset \(aott, .*\) or YAML file with the settings \(default: .+\)",
    "--memory": r"sets memory.policy: .*\(default: as in the settings.*\)",
    "--force": r"replace existing results of another run|get: download again and replace the file",
}
"""options whose help has a part that differs by command"""


def options() -> dict[str, dict[str, tuple[str, object]]]:
    """Help and default of every option, by option and command."""
    found: dict[str, dict[str, tuple[str, object]]] = defaultdict(dict)
    for name in COMMANDS:
        parser = parser_of(name)
        for action in parser._actions:
            for option in action.option_strings:
                if option.startswith("--"):
                    text = parser._get_formatter()._expand_help(action)
                    found[option][name] = (text, action.default)
    return found


def test_options_have_one_help_and_default_everywhere():
    for option, by_command in options().items():
        if option in VARIED:
            assert all(re.fullmatch(VARIED[option], text) for text, _ in by_command.values()), option
        elif option not in OWN_HELP:
            assert len({str(entry) for entry in by_command.values()}) == 1, (option, by_command)


def test_help_states_defaults_in_one_way():
    for option, by_command in options().items():
        for name, (text, _) in by_command.items():
            assert not re.search(r"(?<!\()\bdefault\b|\(default(?!: )", text), (name, option, text)
            assert not re.search(r"\b(tools|docs|scripts)/", text), (name, option, text)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 0),
        (RunStopped("full"), 1),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 1),
        (OSError(12, "Cannot allocate memory"), 1),
        (InputError("x: bad"), 2),
        (RuntimeError("bug"), 70),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__,
)
def test_exit_codes_are_the_documented_ones(error, status, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    @command
    def run(argv: list[str] | None = None) -> int:
        if error is not None:
            raise error
        return 0

    assert run([]) == status
    assert capsys.readouterr().err.count("\n") == (status != 0)
    code = str(status) if status < 128 else "128 + n"
    page = (ROOT / "docs" / "reference" / "exit_codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d[^|]*) \| ([^|]+) \|$", page, re.MULTILINE)
    assert [row[0] for row in rows] == list(EXIT_CODES)
    assert dict(rows)[code].startswith(EXIT_CODES[code])


@pytest.mark.parametrize(
    "line",
    [
        ["mask", "image.png", "--box", "1:1,1,9,9", "--output", "there.png"],
        ["ensemble", "a", "b", "--output", "there"],
        ["score", "a", "--annotations", "b", "--json", "there.json"],
        ["submit", "--dataset", "davis2017", "--root", ".", "--results", "a", "--output", "there.zip"],
    ],
    ids=lambda line: f"{line[0]} {line[-2]}",
)
def test_results_are_not_overwritten_without_force(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("image.png", "there.png", "there.json", "there.zip", "there/a/0.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    for name in ("a", "b"):
        write_mask(tmp_path / name / "s" / "00000.png", np.ones((4, 4), np.uint8))
    assert main(line) == 2
    assert re.search(
        r"there\S*: exists; choose another name, or replace it with --force", capsys.readouterr().err
    )
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "there.json").read_bytes() == b"mine"
