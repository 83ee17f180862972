"""Lock of a project folder, also between machines that share it."""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from aotlab import InputError
from aotlab.sdk import InUseError, locked
from aotlab_studio.files import write_bytes

LOCK = ".lock"
"""name of the lock file in a project folder"""
LEASE = ".lease"
"""name of the file with the owner of a project folder"""
LEASE_SECONDS = 60.0
"""seconds after which a lease that is not touched has expired"""


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


def read_owner(folder: Path) -> LeaseOwner | None:
    """Return the program that holds a folder; None if its lease is missing, damaged or has expired."""
    try:
        owner = _read_lease(folder / LEASE)
        with tempfile.NamedTemporaryFile(
            dir=folder, prefix="."
        ) as now:  # the clock of the file system counts
            age = os.stat(now.name).st_mtime - (folder / LEASE).stat().st_mtime
        return None if age > LEASE_SECONDS else owner
    except (OSError, ValueError):
        return None


class Lease:
    """File that only one program can create, and that a thread touches while the program holds the folder.

    Raises:
        InputError: a program on another machine holds the folder.
        OSError: the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.lost = False
        """whether another program has taken over the folder, as this computer slept"""
        self._path = folder / LEASE
        self._owner = LeaseOwner(secrets.token_hex(8), _find_kernel(), platform.node())
        self._confirmed = time.time()
        self._ended = threading.Event()
        self._create()
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def name_person(self, person: str) -> None:
        """Write who works in the folder into the lease if it is still this program's."""
        self.confirm()
        if not self.lost:
            self._owner = msgspec.structs.replace(self._owner, person=person)
            write_bytes(self._path, msgspec.json.encode(self._owner))

    def confirm(self, max_age: float = 0.0) -> None:
        """Touch the lease if it is still this program's; without access, keep what is known.

        Args:
            max_age: seconds since the last time for which nothing is done.
        """
        if time.time() - self._confirmed < max_age:
            return
        with suppress(OSError, ValueError):
            self.lost = _read_lease(self._path).token != self._owner.token
            if not self.lost:
                os.utime(self._path)
                self._confirmed = time.time()

    def release(self) -> None:
        """Remove the lease if it is still this program's."""
        self._ended.set()
        self.confirm()
        with suppress(OSError):
            if not self.lost:
                self._path.unlink(missing_ok=True)

    def _create(self) -> None:
        """Create the file; replace one that has expired, or of a program on this machine, which has ended."""
        folder, owner = self._path.parent, read_owner(self._path.parent)
        if owner is not None and owner.kernel != self._owner.kernel:
            raise InputError(
                f"{folder}: in use by {owner}; close it there, or wait {LEASE_SECONDS:.0f} s if it has crashed"
            )
        self._path.unlink(missing_ok=True)
        try:
            with self._path.open("xb") as file:
                file.write(msgspec.json.encode(self._owner))
        except FileExistsError:
            raise InputError(f"{folder}: in use by another program; close it there first") from None

    def _keep(self) -> None:
        while not self.lost and not self._ended.wait(LEASE_SECONDS / 4):
            self.confirm()


class FolderLock:
    """Exclusive lock of a folder, also between machines that share it.

    The system releases the file lock of a process that ends, but some network file systems keep it to one machine.
    There the `Lease` decides.

    Args:
        folder: created if missing.

    Raises:
        InputError: it cannot be created or written, or another program holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._released = False
        with ExitStack() as held:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
                held.enter_context(locked(folder / LOCK, 0, subject=folder))
                self._lease = Lease(folder)
            except InUseError:
                owner = read_owner(folder) or "another program"
                raise InputError(f"{folder}: in use by {owner}; close it there first") from None
            except InputError:
                raise
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"{folder}: cannot be written ({reason}); choose another folder") from error
            self._file_lock = held.pop_all()

    def name_person(self, person: str) -> None:
        """Write who works in the folder into the lease; raise `InputError` as `require_held`."""
        self._lease.name_person(person)
        self.require_held()

    def require_held(self) -> None:
        """Raise `InputError` if the folder is released, or another program holds it."""
        if self._released:
            raise InputError(f"{self._folder}: closed meanwhile; open it again")
        self._lease.confirm(max_age=LEASE_SECONDS / 2)
        if self._lease.lost:
            owner = read_owner(self._folder) or "another program"
            raise InputError(f"{self._folder}: taken over by {owner} meanwhile; open it again later")

    def release(self) -> None:
        """Release the folder."""
        if not self._released:
            self._released = True
            self._lease.release()
            self._file_lock.close()


def _read_lease(path: Path) -> LeaseOwner:
    return msgspec.json.decode(path.read_bytes(), type=LeaseOwner)


def _find_kernel() -> str:
    """Return an id of the running operating system, the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
