"""Files of the project for tests, and contents of folders."""

import json
from pathlib import Path

from aotlab.configs.files import ROOT
from aotlab.utils.run_folder import RECORD

SAMPLE = ROOT / "datasets" / "sample"
"""Clips that ship with the project."""
TINY_ENCODER = Path(__file__).with_name("tiny_encoder.py")
"""Plug-in file with a small encoder."""


def read_files(folder, pattern="[!.]*"):
    """Return the bytes of the files below a folder, unless hidden, by path."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_results(folder):
    """Return the content of all files of results, or of a list of them, without what differs between equal runs."""
    files = read_files(folder)
    for path in [path for path in files if path.endswith(RECORD)]:
        record = json.loads(files[path])
        for name in ("digest", "provenance", "seconds", "location", "name"):
            record.pop(name, None)
        files[path] = record
    return files
