"""Versions, commit, command and date of a program, for the records of what it writes."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Root of the checkout or the installed package."""
COMMIT_FILE = "commit.txt"
"""File in an installed package with the commit that it was built from; setup.py writes it."""


def describe_program() -> dict[str, str]:
    """Return the versions and commit of `describe_versions`, the command without passwords, and the date."""
    from aotlab.utils.text import strip_credentials

    name = Path(sys.argv[0]).name
    words = ["aotlab" if name == "__main__.py" else name, *map(strip_credentials, sys.argv[1:])]
    now = datetime.datetime.now(datetime.timezone.utc)
    return {**describe_versions(), "command": shlex.join(words), "date": now.isoformat(timespec="seconds")}


def describe_versions() -> dict[str, str]:
    """Return the versions of aotlab and PyTorch, and the commit if it is known, with a note if files were changed."""
    from aotlab import __version__

    versions = {"aotlab": __version__}
    with suppress(importlib.metadata.PackageNotFoundError):  # its folder cannot be entered
        versions["torch"] = importlib.metadata.version("torch")
    commit = read_commit(ROOT)
    return versions | ({"commit": commit} if commit else {})


def list_versions(modules: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each module with the distributions that have it and their versions; "missing" without any."""
    installed = importlib.metadata.packages_distributions()
    for module in modules:
        names = sorted(set(installed.get(module, ())))
        if not names and importlib.util.find_spec(module):
            names = [module]  # of packages such as OpenEXR, whose files name no module
        yield module, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names) or "missing"


def read_commit(root: Path) -> str:
    """Return the commit of a checkout or an installed package, with a note if files were changed; "" if unknown.

    setup.py calls it without aotlab.
    """
    with suppress(OSError, subprocess.SubprocessError):
        if not (root / ".git").exists():
            return (root / COMMIT_FILE).read_text(encoding="utf-8")
        git = partial(subprocess.check_output, text=True, timeout=5, stderr=subprocess.DEVNULL, cwd=root)
        commit = git(["git", "rev-parse", "HEAD"])
        changes = git(["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"])
        return commit.strip() + " with changes" * bool(changes)
    return ""
