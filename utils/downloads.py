"""Downloads by HTTP, which resume and are checked by size and digest."""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from aotlab.utils.errors import InputError
from aotlab.utils.files import make_folder, reading, sha256
from aotlab.utils.progress import progress_bar

TIMEOUT = 60.0
"""Timeout in seconds without data."""
CHUNK = 2**20
"""Bytes that are read at a time."""


def download(address: str, path: Path, *, digest: str | None = None) -> Path:
    """Download a file, and return its path; the same call resumes an interrupted download, from ``path`` + ``.part``.

    Only a file that is the same on the server, by its entity tag or date in ``path`` + ``.part.etag``, is resumed.

    Args:
        digest: SHA-256 of the file; None: not checked.

    Raises:
        InputError: no connection, an incomplete answer, or a file with another digest, which is removed.
    """
    part, tag = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.etag")
    make_folder(path.parent)
    with reading(address, "check address and network; the same command resumes", OSError, HTTPException):
        validator = tag.read_text() if tag.is_file() else ""
        start = max(part.stat().st_size - 1, 0) if validator and part.is_file() else 0  # an empty range is refused
        headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
        with urlopen(Request(address, headers=headers), timeout=TIMEOUT) as response:
            is_resumed = response.status == 206
            start = start if is_resumed else 0
            length = response.headers["Content-Length"]
            total = None if length is None else start + int(length)
            with (
                part.open("r+b" if is_resumed else "wb") as file,
                progress_bar(total, unit="B", title=path.name, initial=start) as bar,
            ):
                file.seek(start)
                if not is_resumed:  # after the old content is gone
                    tag.write_text(response.headers["ETag"] or response.headers["Last-Modified"] or "")
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        size = part.stat().st_size
        if total is not None and size != total:
            raise EOFError(f"{size} of {total} bytes")
    if digest is not None and (found := sha256(part)) != digest:
        part.unlink()
        tag.unlink()
        raise InputError(f"SHA-256 {found}, expected {digest}", subject=address, remedy="retry, or check the address")
    os.replace(part, path)
    tag.unlink()
    return path
