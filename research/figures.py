"""Scores of the bundled model in the documents: ``python -m research.figures --davis FOLDER`` measures and writes them.

`docs/figures.yaml` lists each with its command and its sentences; `tests/test_documents.py` compares it with the pages.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import yaml

from aotlab.configs.files import ROOT
from aotlab.sdk import atomic_path, command
from aotlab.tools.cli.types import Folder, option
from aotlab.utils.errors import require, require_choice

FILE = ROOT / "docs" / "figures.yaml"
HEADER = "# Written by `python -m research.figures`; {} in a sentence is the value.\n"


def measure(line: str, davis: Path | None) -> float:
    """Run an ``aotlab eval`` and return its mean J&F in percent; raise `subprocess.CalledProcessError` if it fails."""
    words = [str(davis) if word == "DAVIS" else word for word in shlex.split(line)]
    with tempfile.TemporaryDirectory() as folder:
        output = ["--output", folder, "--force"]
        subprocess.run([sys.executable, "-m", *words, *output], cwd=ROOT, check=True)
        scores = json.loads((Path(folder) / "scores.json").read_text(encoding="utf-8"))
        return round(scores["J&F"], 1)


def replace_in_pages(entry: dict[str, Any], value: float) -> None:
    """Write a value into the sentences of an entry."""
    for page, sentence in entry["pages"].items():
        path = ROOT / page
        before, after = sentence.split("{}")
        pattern = f"({re.escape(before)})\\d+\\.\\d({re.escape(after)})"
        text, count = re.subn(pattern, rf"\g<1>{value}\g<2>", path.read_text(encoding="utf-8"))
        require(count == 1, f"{page}: {count} places of {sentence!r} instead of one; correct docs/figures.yaml")
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


@command("python -m research.figures")
@click.argument("names", nargs=-1, metavar="[NAME...]", help="figures to measure (default: all)")
@option("--davis", type=Folder, help="folder of the DAVIS clips at 480p; without it their figures are skipped")
def main(names: tuple[str, ...], *, davis: Path | None) -> int:
    """Measure the scores that the documents quote, and write them there."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for name in names or entries:
        require_choice(name, entries, "figure")
        entry = entries[name]
        if "DAVIS" in entry["command"] and davis is None:
            print(f"{name}: skipped; give --davis")
            continue
        value = measure(entry["command"], davis and davis.resolve())
        print(f"{name}: {entry['value']} -> {value}")
        replace_in_pages(entry, value)
        entry["value"] = value
        with atomic_path(FILE) as temporary:
            text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=120)
            temporary.write_text(HEADER + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
