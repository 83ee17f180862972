"""Digests of the content of files, remembered between runs while size, times and inode of a file stay the same."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path

from aotlab.utils.errors import InputError
from aotlab.utils.files import cache_folder, require_file, sha256
from aotlab.utils.progress import progress_bar

CACHE_FILE = "digests.sqlite"
"""Name of the cache in `cache_folder`."""
MIN_CACHED_BYTES = 2**20
"""Smaller files are read each time, which is faster than looking them up."""
SETTLE_SECONDS = 2.0
"""A file that changed this recently is not cached: after another change it might have the same times."""
READ_THREADS = 8
"""Number of files that `digest_files` reads at once."""


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's whole content in hexadecimal digits; raises `InputError` as `sha256` does.

    Files are read at about 1 GB/s; large ones only once, while their size, times and inode stay the same.
    """
    require_file(path, "give another file")
    with suppress(sqlite3.Error, OSError):  # no cache here: the file is read
        status = path.stat()
        if status.st_size >= MIN_CACHED_BYTES:
            key = (os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            cache = cache_folder() / CACHE_FILE
            cache.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(cache, timeout=5)) as connection:
                return _look_up(connection, path, key)
    return sha256(path)


def digest_files(paths: Sequence[Path], title: str) -> list[str]:
    """Return the digests of files as `digest_file` does, "" for unreadable ones; ``title`` of the progress bar."""
    unique = [*dict.fromkeys(paths)]
    digests = {}
    with ThreadPool(READ_THREADS) as pool, progress_bar(len(unique), unit="file", title=title) as bar:
        for path, digest in zip(unique, pool.imap(_digest_readable, unique, chunksize=16), strict=True):
            digests[path] = digest
            bar.update()
    return [digests[path] for path in paths]


def _digest_readable(path: Path) -> str:
    try:
        return digest_file(path)
    except InputError:
        return ""


def digest_values(values: Iterable[object]) -> str:
    """Return the SHA-256 of values that their `repr` tells apart, such as names and digests of files."""
    return hashlib.sha256(repr([*values]).encode()).hexdigest()


def _look_up(connection: sqlite3.Connection, path: Path, key: tuple[str, int, int, int, int]) -> str:
    """Return the digest of a file from the cache, or read the file; ``key``: path, size, two times in ns, inode."""
    with connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS digests"
            " (path TEXT PRIMARY KEY, size INT, modified INT, changed INT, inode INT, digest TEXT) WITHOUT ROWID"
        )
    query = "SELECT digest FROM digests WHERE (path, size, modified, changed, inode) = (?, ?, ?, ?, ?)"
    if (row := connection.execute(query, key).fetchone()) is not None:
        return str(row[0])
    digest = sha256(path)
    if time.time() - max(key[2:4]) / 1e9 > SETTLE_SECONDS:
        with suppress(sqlite3.Error), connection:
            connection.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", (*key, digest))
    return digest
