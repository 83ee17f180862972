"""Files of the project for tests, and contents of folders."""

from pathlib import Path

from aotlab.configs.files import ROOT

SAMPLE = ROOT / "datasets" / "sample"
"""Clips that ship with the project."""
TINY_ENCODER = Path(__file__).with_name("tiny_encoder.py")
"""Plug-in file with a small encoder."""


def read_files(folder, pattern="[!.]*"):
    """Return the bytes of the files below a folder, unless hidden, by path."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
