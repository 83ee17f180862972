"""Lock of a project folder, also between machines that share it."""

from __future__ import annotations

import platform
import secrets
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from aotlab import InputError, internal

LOCK = ".lock"
OWNER = ".owner"


class Owner(msgspec.Struct, frozen=True):
    """The program that holds a folder, as a file in the folder describes it."""

    token: str
    """Random text that identifies the program."""
    machine: tuple[str, str]
    """Machine of the program, from `find_machine`."""
    person: str = ""
    """Person who works in the folder; empty if unknown."""

    def __str__(self) -> str:
        return f"{self.person or 'another program'} on {self.machine[1]}"

    @property
    def is_here(self) -> bool:
        """Whether the program runs on this machine, possibly in another container, or ran on it before a restart."""
        boot_id, host = find_machine()
        return boot_id == self.machine[0] or host == self.machine[1]


def find_machine() -> tuple[str, str]:
    """Return the id of the running system, which all of its containers share, and the name of this machine."""
    host = platform.node()
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(), host
    except OSError:
        return host, host


def find_owner(folder: Path) -> Owner | None:
    """Return the program that holds a folder; None if no program does."""
    owner = _read_owner(folder)
    if owner is None or not owner.is_here:
        return owner
    try:
        with internal.locked(folder / LOCK, 0):
            return None  # the program has crashed
    except InputError:
        return owner


class FolderLock:
    """Exclusive lock of a folder, also between machines that share it.

    Among the programs of one machine, a file lock decides, which the system releases when a program ends. As some
    network file systems keep file locks to one machine, a file beside it names the owner for other machines.

    A missing folder is created. Raises `InputError` if that fails, or another program holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.owner = Owner(secrets.token_hex(8), find_machine())  # this program, with the person who uses it
        self.released = False
        with ExitStack() as cleanup, internal.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                cleanup.enter_context(internal.locked(folder / LOCK, 0, subject=folder))
            except internal.InUseError:
                holder = _read_owner(folder) or "another program"
                raise InputError(f"{folder}: in use by {holder}; close it there first") from None
            owner = _read_owner(folder)
            if owner is not None and not owner.is_here:
                remedy = f"close it there, or delete {folder / OWNER} if {owner.machine[1]} has crashed"
                raise InputError(f"{folder}: in use by {owner}; {remedy}")
            self._write_owner()
            self._file_lock = cleanup.pop_all()

    def name_person(self, person: str) -> None:
        """Write the name of the person who works in the folder to its file; raise `InputError` if it is not held."""
        if person not in ("", self.owner.person):
            self.check_held()
            self.owner = msgspec.structs.replace(self.owner, person=person)
            self._write_owner()

    def check_held(self) -> None:
        """Raise `InputError` if the folder is released, or if another program has taken it over."""
        if self.released:
            raise InputError(f"{self._folder}: was closed; open it again")
        if (owner := self._find_new_owner()) is not None:
            raise InputError(f"{self._folder}: taken over by {owner}; open it again when it is closed there")

    def release(self) -> None:
        if not self.released:
            self.released = True
            if self._find_new_owner() is None:
                with suppress(OSError):
                    (self._folder / OWNER).unlink()
            self._file_lock.close()

    def _find_new_owner(self) -> Owner | None:
        """Return the program that has taken over the folder; None if no program has."""
        owner = _read_owner(self._folder)
        return owner if owner is not None and owner.token != self.owner.token else None

    def _write_owner(self) -> None:
        internal.write_bytes(self._folder / OWNER, msgspec.json.encode(self.owner))


def _read_owner(folder: Path) -> Owner | None:
    """Return the contents of the owner's file; None if it is missing or damaged."""
    with suppress(OSError, ValueError):
        return msgspec.json.decode((folder / OWNER).read_bytes(), type=Owner)
    return None
