"""Digests of file contents."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

BLOCK = 2**20


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits.

    Raises:
        InputError: the file cannot be read.
    """
    total = hashlib.sha256()
    if not is_file(path):
        raise InputError(f"{path}: no such file; give a regular file")
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                total.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return total.hexdigest()
