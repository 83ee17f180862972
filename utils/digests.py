"""Digests of the whole content of files, which are read again only if their size or times have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import reading, require_file, sha256
from aotlab.utils.progress import progress_bar

READ_THREADS = 8
"""Number of files that `digest_files` reads at once."""


class InputDigests:
    """Digests of files and folders; those with the sizes and times of an earlier run are not read.

    Args:
        earlier: `entries` of the earlier run.
    """

    def __init__(self, earlier: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._earlier = earlier or {}
        self.entries: dict[str, dict[str, str]] = {}
        """State of the files, and SHA-256 of their content, by absolute path."""

    def digest(self, path: Path, files: Sequence[Path] | None = None) -> str:
        """Return the SHA-256 of a file's content, or of the names and contents of ``files`` of a folder.

        Raises:
            InputError: a file is missing or cannot be read.
        """
        if files is None:
            require_file(path, "give another file")
        parts = {"": path} if files is None else {file.relative_to(path).as_posix(): file for file in files}
        with reading(path, "check its permissions"):
            statuses = [(name, file.stat()) for name, file in parts.items()]
        # ctime too: programs that keep the time of a changed file cannot set it
        state = digest_values((name, item.st_size, item.st_mtime_ns, item.st_ctime_ns) for name, item in statuses)
        key = os.path.abspath(path)
        earlier = self._earlier.get(key, {})
        if earlier.get("state") == state:
            digest = earlier["sha256"]
        elif files is None:
            digest = sha256(path)
        else:
            digest = digest_values((name, sha256(file)) for name, file in parts.items())
        self.entries[key] = {"state": state, "sha256": digest}
        return digest


def digest_files(paths: Sequence[Path], title: str) -> list[str]:
    """Return the SHA-256 of files, "" for unreadable ones; ``title`` of the progress bar."""
    unique = [*dict.fromkeys(paths)]
    digests = {}
    with ThreadPool(READ_THREADS) as pool, progress_bar(len(unique), unit="file", title=title) as bar:
        for path, digest in zip(unique, pool.imap(_digest_readable, unique), strict=True):
            digests[path] = digest
            bar.update()
    return [digests[path] for path in paths]


def _digest_readable(path: Path) -> str:
    try:
        return sha256(path)
    except InputError:
        return ""


def digest_values(values: Iterable[object]) -> str:
    """Return the SHA-256 of values that their `repr` tells apart, such as names and digests of files."""
    return hashlib.sha256(repr([*values]).encode()).hexdigest()
