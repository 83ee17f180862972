"""The SQLite file of a project: header, log of edits, drawn masks, results of tracking; its backup."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aotlab import InputError
from aotlab_studio.lock import FolderLock

PROJECT_FILE = "project.sqlite"
BACKUP_FILE = f"{PROJECT_FILE}.bak"
JOURNAL_FILE = f"{PROJECT_FILE}-journal"
DAMAGED_REMEDY = f"replace it by {BACKUP_FILE}, or repair it with the .recover command of sqlite3"
"""remedy of a damaged file"""
TIMEOUT = 10.0
"""seconds to wait for another program that reads or writes the file"""
TABLES = {
    "header": "id INTEGER PRIMARY KEY, content BLOB NOT NULL",
    "records": "id INTEGER PRIMARY KEY, content BLOB NOT NULL",
    "masks": "id TEXT PRIMARY KEY, content BLOB NOT NULL",
    "results": "id INTEGER PRIMARY KEY AUTOINCREMENT, layer INTEGER, note BLOB NOT NULL, content BLOB NOT NULL",
}


class Database:
    """Tables of a project. Thread-safe. What `transaction` has written survives a kill and a power cut.

    Args:
        folder: project folder.
        writable: lock the folder, and create it and the file if they are missing.

    Raises:
        InputError: the folder is in use; or, here and in all methods, not readable or writable.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        self.folder, self.path = folder, folder / PROJECT_FILE
        self._lock = threading.RLock()
        with ExitStack() as opened:
            self.folder_lock = FolderLock(folder) if writable else None
            """held to write; None: read-only"""
            if self.folder_lock is not None:
                opened.callback(self.folder_lock.release)
            else:
                _roll_back(folder)
            if (folder / BACKUP_FILE).is_file() and not (self.path.is_file() and self.path.stat().st_size):
                raise InputError(f"{self.path}: missing or empty; {DAMAGED_REMEDY}")
            with self._wrap_errors("opened"):
                self._connection = _connect(self.path, "rwc" if writable else "ro")
            opened.callback(self._connection.close)
            if writable:
                self.query("PRAGMA journal_mode=TRUNCATE")  # WAL needs memory, which machines do not share
                self.query("PRAGMA synchronous=FULL")
            self._version = self.query("PRAGMA data_version")
            if writable:
                with self.transaction() as connection:
                    for table, columns in TABLES.items():
                        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
                    connection.execute("CREATE INDEX IF NOT EXISTS results_by_layer ON results (layer, id)")
            self.close = weakref.finalize(self, opened.pop_all().close)
            """close the file and release the folder, at the latest when nothing uses the database any more"""

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Store what the block writes, or nothing of it if it fails; inside another block, it is part of that.

        Raises `InputError` if the folder is not held any more.
        """
        assert self.folder_lock is not None
        with self._lock:
            self.folder_lock.check_held()
            if self._connection.in_transaction:
                yield self._connection
                return
            with self._wrap_errors("written"), self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                if self.query("PRAGMA data_version") != self._version:
                    raise InputError(f"{self.path}: another program has opened this project; open it again")
                yield self._connection

    def query(self, statement: str, *values: int | str | None) -> list[Any]:
        """Return the rows that a statement selects."""
        with self._wrap_errors("read"), self._lock:
            return self._connection.execute(statement, values).fetchall()

    def read_content(self, table: str, key: int | str) -> bytes:
        """Return the content of a row; empty if it is missing."""
        rows = self.query(f"SELECT content FROM {table} WHERE id = ?", key)
        return rows[0][0] if rows else b""

    def back_up(self) -> None:
        """Copy all but the results, which can be tracked again, to `BACKUP_FILE`, a project by itself.

        It keeps its own copies of drawn masks, as those here may be damaged. Ids of results continue in it, as versions
        name them.
        """
        newest = "SELECT h.content, r.* FROM header h LEFT JOIN records r ORDER BY r.id DESC LIMIT 1"
        with suppress(sqlite3.Error), closing(_connect(self.folder / BACKUP_FILE, "ro")) as backup:
            if backup.execute(newest).fetchall() == self.query(newest):
                return
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".backup.") as made:
            with closing(Database(Path(made), writable=True)) as copy:
                with suppress(InputError):  # none yet, or damaged
                    copy.query("ATTACH ? AS backup", _format_uri(self.folder / BACKUP_FILE, "ro"))
                    with copy.transaction() as connection:
                        connection.execute("INSERT INTO masks SELECT * FROM backup.masks")
                copy.query("ATTACH ? AS project", _format_uri(self.path, "ro"))
                with copy.transaction() as connection:
                    for table in ("header", "records", "masks", "sqlite_sequence"):
                        connection.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM project.{table}")
            copy.path.replace(self.folder / BACKUP_FILE)

    @contextmanager
    def _wrap_errors(self, action: str) -> Iterator[None]:
        """Raise `InputError` for an error of SQLite."""
        try:
            yield
        except sqlite3.Error as error:
            remedy = DAMAGED_REMEDY
            if isinstance(error, sqlite3.OperationalError):  # not damaged
                remedy = "free space, or check the disk and the permissions"
                remedy = "close the program that uses it" if "locked" in str(error) else remedy
            raise InputError(f"{self.path}: cannot be {action} ({error}); {remedy}") from error


def _format_uri(path: Path, mode: str) -> str:
    """Return the address of a file; ``mode`` is ``ro``, ``rw``, or ``rwc`` to create a missing one."""
    name = quote(os.fsencode(path.absolute().as_posix()))
    return f"file:{'//' if name.startswith('/') else '///'}{name}?mode={mode}"  # also of a Windows share


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = _format_uri(path, mode)
    return sqlite3.connect(uri, TIMEOUT, isolation_level=None, check_same_thread=False, uri=True)


def _roll_back(folder: Path) -> None:
    """Remove what a killed program has written in part, unless another one holds the project."""
    with suppress(InputError, OSError):
        if (folder / JOURNAL_FILE).stat().st_size:
            Database(folder, writable=True).close()
