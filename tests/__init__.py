"""Tests of the framework."""

from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "datasets" / "sample"
"""Clips that ship with the project."""


def read_files(folder, pattern="[!.]*"):
    """Return the bytes of the files below a folder, unless hidden, by path."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
