"""The SQLite file of a project: header, records of the log, drawn and tracked masks. It also writes the backup."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aotlab import InputError
from aotlab_studio.document.lock import FolderLock

PROJECT_FILE = "project.sqlite"
BACKUP_FILE = f"{PROJECT_FILE}.bak"
JOURNAL_FILE = f"{PROJECT_FILE}-journal"
# SQLite would apply the journal to the backup
DAMAGED_REMEDY = f"replace it by {BACKUP_FILE} and delete {JOURNAL_FILE}, or run the .recover command of sqlite3"
DAMAGE = re.compile("no such table|Could not decode")
"""Beginnings of operational errors about damaged content."""
TIMEOUT = 10.0
"""Seconds to wait for another program that reads or writes the file."""
TABLES = {
    "header": "id INTEGER PRIMARY KEY, content BLOB NOT NULL",
    "records": "id INTEGER PRIMARY KEY, content BLOB NOT NULL",
    "masks": "id TEXT PRIMARY KEY, content BLOB NOT NULL",
    "scores": "id TEXT PRIMARY KEY, content BLOB NOT NULL",
    "tracked_masks": "id INTEGER PRIMARY KEY, layer INTEGER, description BLOB NOT NULL, content BLOB NOT NULL",
    "finished_layers": "layer INTEGER PRIMARY KEY, frames INTEGER NOT NULL",
}
INDEX = "masks_by_layer ON tracked_masks (layer, id)"


class Database:
    """Tables of a project. Thread-safe. What a `transaction` has written survives a kill and a power cut.

    Use `open` to read it, or `open_for_writing`, which locks its folder. All methods raise `InputError` if the project
    cannot be read or written; `back_up` also raises `OSError`.
    """

    def __init__(self, folder: Path, folder_lock: FolderLock | None) -> None:
        self.folder = folder
        self.path = folder / PROJECT_FILE
        self.folder_lock = folder_lock
        self._lock = threading.RLock()
        if (folder / BACKUP_FILE).is_file() and not (self.path.is_file() and self.path.stat().st_size):
            raise InputError(f"{self.path}: missing or empty; {DAMAGED_REMEDY}")
        with self._wrap_errors("opened"):
            self._connection = _connect(self.path, "ro" if folder_lock is None else "rwc")
        weakref.finalize(self, self._connection.close)
        self._version = self.query("PRAGMA data_version")

    @classmethod
    def open(cls, folder: Path) -> Database:
        """Open a project to read it. What a killed program has written only in part is removed first."""
        with suppress(InputError, OSError):  # such as a project that another program holds
            if (folder / JOURNAL_FILE).stat().st_size:
                cls.open_for_writing(folder).close()
        return cls(folder, None)

    @classmethod
    def open_for_writing(cls, folder: Path) -> Database:
        """Lock and open a project, or create it if it is missing; raise `InputError` if it is in use."""
        lock = FolderLock(folder)
        try:
            database = cls(folder, lock)
            weakref.finalize(database, lock.release)
            database.query("PRAGMA journal_mode=TRUNCATE")  # WAL needs memory, which machines do not share
            database.query("PRAGMA synchronous=FULL")
            with database.transaction() as connection:
                _create_tables(connection)
        except BaseException:
            lock.release()
            raise
        return database

    def close(self) -> None:
        """Close the file and release the folder. This also happens when the object is garbage-collected."""
        self._connection.close()
        if self.folder_lock is not None:
            self.folder_lock.release()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Store all that the block writes, or nothing if it fails; raise `InputError` after `close`."""
        if self.folder_lock is None:
            raise InputError(f"{self.folder}: opened for viewing, as it cannot be written; copy it to change it")
        with self._lock:
            self.folder_lock.check_held()
            if self._connection.in_transaction:
                yield self._connection
                return
            with self._wrap_errors("written"), self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                if self.query("PRAGMA data_version") != self._version:
                    raise InputError(f"{self.path}: another program has changed this project; open it again")
                yield self._connection

    def query(self, statement: str, *values: int | str | None) -> list[Any]:
        with self._wrap_errors("read"), self._lock:
            return self._connection.execute(statement, values).fetchall()

    def read_content(self, table: str, key: int | str) -> bytes:
        """Return the content of a row; empty without such a row."""
        rows = self.query(f"SELECT content FROM {table} WHERE id = ?", key)
        return rows[0][0] if rows else b""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stored, for example as the program was killed while it created the project."""
        tables = self.query("SELECT name FROM sqlite_master")
        return not (tables and self.query("SELECT 1 FROM header UNION ALL SELECT 1 FROM records"))

    def back_up(self) -> None:
        """Copy a changed project to `BACKUP_FILE`, without tracked masks, which can be tracked again."""
        backup, temporary = self.folder / BACKUP_FILE, self.folder / f"{BACKUP_FILE}.new"
        if backup.exists() and not self._connection.total_changes:
            return
        temporary.unlink(missing_ok=True)  # of a killed program
        try:
            with self._wrap_errors("written"), closing(_connect(temporary, "rwc")) as copy:
                copy.execute("PRAGMA journal_mode=MEMORY")
                copy.execute("ATTACH ? AS project", (_format_uri(self.path, "ro"),))
                with copy:
                    copy.execute("BEGIN")
                    _create_tables(copy)
                    for table in ("header", "records", "masks"):
                        copy.execute(f"INSERT INTO main.{table} SELECT * FROM project.{table}")
            temporary.replace(backup)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _wrap_errors(self, action: str) -> Iterator[None]:
        """Raise `InputError` for an error of SQLite."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's own message may quote damaged bytes
            problem = "its schema is damaged" if isinstance(error, UnicodeDecodeError) else str(error)
            remedy = DAMAGED_REMEDY
            if isinstance(error, sqlite3.OperationalError) and not DAMAGE.match(problem):
                remedy = "free space, or check that the folder exists and can be written"
                remedy = "close the program that uses it" if "locked" in problem else remedy
            raise InputError(f"{self.path}: cannot be {action} ({problem}); {remedy}") from error


def _format_uri(path: Path, mode: str) -> str:
    """Return the address of a file; ``mode`` is ``ro``, ``rw``, or ``rwc`` to create a missing one."""
    name = quote(os.fsencode(path.absolute().as_posix()))
    return f"file:{'//' if name.startswith('/') else '///'}{name}?mode={mode}"  # also of a Windows share


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Connect to a project; raise `sqlite3.DatabaseError` if it has other tables, or views or triggers."""
    uri = _format_uri(path, mode)
    connection = sqlite3.connect(uri, TIMEOUT, isolation_level=None, check_same_thread=False, uri=True)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        expected = [
            *(f"CREATE TABLE {table} ({columns})" for table, columns in TABLES.items()),
            f"CREATE INDEX {INDEX}",
        ]
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"):
            # the .recover command adds a table
            if sql not in expected and not str(sql).startswith("CREATE TABLE lost_and_found"):
                raise sqlite3.DatabaseError(f"its {kind} {name!r:.60} is not part of a project")
    except BaseException:
        connection.close()
        raise
    return connection


def _create_tables(connection: sqlite3.Connection) -> None:
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE IF NOT EXISTS main.{table} ({columns})")
    connection.execute(f"CREATE INDEX IF NOT EXISTS main.{INDEX}")
