"""Lock of a project folder, also between machines that share it."""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from aotlab import InputError, sdk
from aotlab_studio.files import write_bytes

LOCK = ".lock"
LEASE = ".lease"
LEASE_SECONDS = 60.0
"""Seconds after which a lease that is not touched has expired."""


class LeaseOwner(msgspec.Struct, frozen=True):
    """Contents of a lease: the program that holds a folder."""

    token: str
    """Random text that identifies the program."""
    kernel: str
    """Id of the running operating system; the file lock is reliable among its programs."""
    host: str
    person: str = ""

    def __str__(self) -> str:
        return f"{self.person} on {self.host}" if self.person else f"another program on {self.host}"


def read_owner(folder: Path) -> LeaseOwner | None:
    """Return the program that holds a folder; None if the lease is missing, damaged or expired."""
    try:
        owner = _read_lease(folder / LEASE)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".") as new:  # by the file system's clock
            age = os.stat(new.name).st_mtime - (folder / LEASE).stat().st_mtime
        return None if age > LEASE_SECONDS else owner
    except (OSError, ValueError):
        return None


class FolderLock:
    """Exclusive lock of a folder, also between machines that share it.

    The system releases the file lock of a process that ends, but some network file systems keep it to one machine.
    There the lease decides: a file that only one program can create, and that a thread touches while it is held.

    A missing folder is created. Raises `InputError` if that fails, or another program holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lease = folder, folder / LEASE
        self.owner = LeaseOwner(secrets.token_hex(8), _find_kernel(), platform.node())
        """This program, with the person who works in the folder."""
        self.released = threading.Event()
        """Set once the folder is released."""
        with ExitStack() as cleanup:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                cleanup.enter_context(sdk.locked(folder / LOCK, 0, subject=folder))
                self._create_lease()
            except sdk.InUseError:
                owner = read_owner(folder) or "another program"
                raise InputError(f"{folder}: in use by {owner}; close it there first") from None
            except OSError as error:
                problem = f"cannot be written ({error.strerror}); choose another folder"
                raise InputError(f"{folder}: {problem}") from error
            self._file_lock = cleanup.pop_all()
        threading.Thread(target=self._keep_lease, name="lease", daemon=True).start()

    def name_person(self, person: str) -> None:
        """Write the name of the person who works in the folder into the lease; raise `InputError` if it is not held."""
        if person in ("", self.owner.person):
            return
        self.check_held()
        self.owner = msgspec.structs.replace(self.owner, person=person)
        write_bytes(self._lease, msgspec.json.encode(self.owner))

    def check_held(self) -> None:
        """Raise `InputError` if the folder is released, or another program took it over during a sleep of this one."""
        if self.released.is_set():
            raise InputError(f"{self._folder}: closed meanwhile; open it again")
        if not self._touch_lease():
            owner = read_owner(self._folder) or "another program"
            raise InputError(f"{self._folder}: taken over by {owner} meanwhile; open it again later")

    def release(self) -> None:
        """Release the folder."""
        if not self.released.is_set():
            self.released.set()
            with suppress(OSError):
                if self._touch_lease():
                    self._lease.unlink(missing_ok=True)
            self._file_lock.close()

    def _create_lease(self) -> None:
        """Create the file; replace one that has expired, or of a program on this machine, which has ended."""
        owner = read_owner(self._folder)
        if owner is None or owner.kernel == self.owner.kernel:
            self._lease.unlink(missing_ok=True)
            with suppress(FileExistsError), self._lease.open("xb") as file:
                file.write(msgspec.json.encode(self.owner))
                return
        remedy = f"close it there, or wait {LEASE_SECONDS:.0f} s if it has crashed"
        raise InputError(f"{self._folder}: in use by {owner or 'another program'}; {remedy}")

    def _touch_lease(self) -> bool:
        """Touch the lease; return False if it is another program's. An unreadable lease counts as held."""
        with suppress(OSError, ValueError):
            if _read_lease(self._lease).token != self.owner.token:
                return False
            os.utime(self._lease)
        return True

    def _keep_lease(self) -> None:
        while not self.released.wait(LEASE_SECONDS / 4) and self._touch_lease():
            pass


def _read_lease(path: Path) -> LeaseOwner:
    return msgspec.json.decode(path.read_bytes(), type=LeaseOwner)


def _find_kernel() -> str:
    """Return an id of the running operating system, the same in all of its containers.

    `filelock.SoftFileLease` knows a host per container: after a kill, a restarted container would wait for the lease.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
