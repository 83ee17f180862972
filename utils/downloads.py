"""Downloads by HTTP."""

from __future__ import annotations

import sys
from http.client import HTTPException
from pathlib import Path

from aotlab.utils.files import make_folder, reading


def download(address: str, path: Path, *, digest: str | None = None) -> Path:
    """Download a file, and return its path.

    Args:
        digest: SHA-256 of the file; None: not checked.

    Raises:
        InputError: no connection, or a file with another digest.
    """
    from torch.hub import download_url_to_file

    make_folder(path.parent)
    with reading(address, "check address and network", HTTPException, RuntimeError):  # that one: another digest
        download_url_to_file(address, str(path), digest, progress=sys.stderr.isatty())
    return path
