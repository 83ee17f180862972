"""Files of a project: atomic writes and the lock of its folder."""

from __future__ import annotations

import errno
import logging
import os
import platform
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import msgspec

from aotlab import InputError
from aotlab.sdk import InUseError, atomic_path, locked

LOCK = ".lock"
"""name of the lock file in a project folder"""
LEASE = ".lease"
"""name of the file with the holder of a project folder"""
LEASE_SECONDS = 60.0
"""seconds after which a lease that is not touched has expired"""
MOVE_LOCK = ".aotlab-replaced.lock"
"""name of the lock file while files are replaced"""
REPLACED, REMOVED, KEPT = ".aotlab-replaced-", ".aotlab-removed-", ".aotlab-old-"
"""prefixes of folders with files being replaced, with replaced ones, and with those replaced by a killed program"""

log = logging.getLogger(__name__)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as `atomic_path` does; afterwards, it survives a power cut."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def append_bytes(
    path: Path,
    end: int,
    content: bytes,
    has_foreign_record: Callable[[IO[bytes]], bool],
    *,
    sync: bool = False,
) -> None:
    """Write a record after the first ``end`` bytes of a file, which is created if missing.

    Args:
        path: the file; a record after ``end`` that was cut off is replaced.
        end: bytes of the records that this program knows.
        content: the record.
        has_foreign_record: returns whether a whole record is at the position of the file, or after it.
        sync: make it survive a power cut.

    Raises:
        InputError: that fails, or another program has written the file; the records are as before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if end or path.exists() else "x+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) < end or (file.seek(end) == end and has_foreign_record(file)):
                raise InputError(f"{path}: another program has opened this project; open it again")
            file.truncate(file.seek(end))
            try:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, "no space left on the device")
                if sync:
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):  # the first error says more
                    file.truncate(end)
                raise
    except OSError as error:
        raise InputError(describe_write_error(path, error)) from error
    if sync and not end:
        sync_folder(path.parent)


def describe_write_error(path: Path | str, error: OSError) -> str:
    """Return the error message of a file that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free space" if full else "check the disk and the permissions"
    return f"{path}: cannot be written ({error.strerror}); {remedy}"


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files survive a power cut, if the file system can."""
    with suppress(OSError):  # Windows and some network file systems cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def move_entries(source: Path, folder: Path) -> None:
    """Move all files and folders of ``source`` into another folder, where they replace those of the same names.

    Those are set aside first; `restore_entries` moves them back if the program is killed meanwhile.

    Raises:
        InputError: that fails; everything in ``folder`` is as before.
    """
    with locked(folder / MOVE_LOCK):
        _restore(folder)
        replaced = Path(tempfile.mkdtemp(dir=folder, prefix=REPLACED))
        names = sorted(os.listdir(source))
        moves = [(folder / name, replaced / name) for name in names if os.path.lexists(folder / name)]
        moves += [(source / name, folder / name) for name in names]
        done: list[tuple[Path, Path]] = []
        try:
            for old, new in moves:
                old.rename(new)
                done.append((old, new))
        except OSError as error:
            for old, new in reversed(done):
                new.rename(old)
            replaced.rmdir()
            failed = moves[len(done)][0]
            raise InputError(
                f"{failed}: cannot be moved ({error.strerror}); close programs that use it"
            ) from error
        removed = replaced.rename(folder / replaced.name.replace(REPLACED, REMOVED))
        shutil.rmtree(removed, ignore_errors=True)


def restore_entries(folder: Path) -> None:
    """Move back what a killed `move_entries` has set aside; log it, and what is replaced already."""
    if any(folder.glob(f"{REPLACED}*")):
        with locked(folder / MOVE_LOCK):
            _restore(folder)


def _restore(folder: Path) -> None:
    """Do the work of `restore_entries`, under the lock."""
    for removed in folder.glob(f"{REMOVED}*"):
        shutil.rmtree(removed, ignore_errors=True)
    for replaced in folder.glob(f"{REPLACED}*"):
        kept = folder / replaced.name.replace(REPLACED, KEPT)
        for path in replaced.iterdir():
            target = folder / path.name
            if os.path.lexists(target):
                log.warning(
                    "%s: replaced by a program that was killed; the old one is %s", target, kept / path.name
                )
            else:
                path.rename(target)
                log.warning("%s: restored after a program was killed that replaced it", target)
        replaced.rename(kept)  # not restored again if the new files are deleted
        with suppress(OSError):  # not empty
            kept.rmdir()


class LeaseOwner(msgspec.Struct, frozen=True):
    """Contents of a lease: the program that holds a folder."""

    token: str
    """random, of one program"""
    kernel: str
    """id of the running operating system, within which the file lock can be trusted"""
    host: str
    person: str = ""

    def __str__(self) -> str:
        return f"{self.person} on {self.host}" if self.person else f"another program on {self.host}"


def read_holder(folder: Path) -> LeaseOwner | None:
    """Return the program that holds a folder; None if its lease is missing, damaged or has expired."""
    try:
        holder = msgspec.json.decode((folder / LEASE).read_bytes(), type=LeaseOwner)
        return None if _measure_age(folder / LEASE) > LEASE_SECONDS else holder
    except (OSError, ValueError):
        return None


def _measure_age(path: Path) -> float:
    """Return the seconds since a file was changed, by the clock of its file system."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".") as now:
        return os.stat(now.name).st_mtime - path.stat().st_mtime


class FolderLock:
    """Exclusive lock of a folder, also between machines that share it.

    The system releases the file lock of a process that ends, but some network file systems keep it to one machine.
    There the lease decides: a file that only one program can create, and which it touches while it runs.

    Args:
        folder: created if missing.

    Raises:
        InputError: it cannot be created or written, or another program holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEASE
        self._holder = LeaseOwner(secrets.token_hex(8), _find_kernel(), platform.node())
        self._confirmed = time.time()
        self._lost = False
        self._ended = threading.Event()
        with ExitStack() as held:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
                held.enter_context(locked(folder / LOCK, 0, subject=folder))
                self._create_lease()
            except InUseError:
                raise InputError(
                    f"{folder}: in use by {read_holder(folder) or 'another program'}; close it there first"
                ) from None
            except InputError:
                raise
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"{folder}: cannot be written ({reason}); choose another folder") from error
            self._held = held.pop_all()
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    @property
    def person(self) -> str:
        """Name of the person who works in the folder; empty: unknown."""
        return self._holder.person

    def name_person(self, person: str) -> None:
        """Write who works in the folder into the lease."""
        self._holder = msgspec.structs.replace(self._holder, person=person)
        write_bytes(self._path, msgspec.json.encode(self._holder))

    def require_held(self) -> None:
        """Raise `InputError` if the folder is released, or another program holds it, as this computer slept."""
        if self._ended.is_set():
            raise InputError(f"{self._path.parent}: closed meanwhile; open it again")
        if time.time() - self._confirmed > LEASE_SECONDS / 2:
            self._confirm()
        if self._lost:
            holder = read_holder(self._path.parent) or "another program"
            raise InputError(f"{self._path.parent}: taken over by {holder} meanwhile; open it again later")

    def release(self) -> None:
        """Release the folder."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._confirm()
        with suppress(OSError):
            if not self._lost:
                self._path.unlink(missing_ok=True)
        self._held.close()

    def _create_lease(self) -> None:
        """Create the lease; replace one that has expired, or of a program on this machine, which has ended."""
        holder = read_holder(self._path.parent)
        if holder is not None and holder.kernel != self._holder.kernel:
            raise InputError(
                f"{self._path.parent}: in use by {holder}; close it there, "
                f"or wait {LEASE_SECONDS:.0f} s if it has crashed"
            )
        self._path.unlink(missing_ok=True)
        try:
            with self._path.open("xb") as file:
                file.write(msgspec.json.encode(self._holder))
        except FileExistsError:
            raise InputError(
                f"{self._path.parent}: in use by another program; close it there first"
            ) from None

    def _keep(self) -> None:
        while not self._lost and not self._ended.wait(LEASE_SECONDS / 4):
            self._confirm()

    def _confirm(self) -> None:
        """Touch the lease if it is still this program's; without access, keep what is known."""
        with suppress(OSError, ValueError):
            holder = msgspec.json.decode(self._path.read_bytes(), type=LeaseOwner)
            self._lost = holder.token != self._holder.token
            if not self._lost:
                os.utime(self._path)
                self._confirmed = time.time()


def _find_kernel() -> str:
    """Return an id of the running operating system, the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
