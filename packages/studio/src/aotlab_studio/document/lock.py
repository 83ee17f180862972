"""Lock of a project folder."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from aotlab import InputError
from aotlab.utils.files import writing
from aotlab.utils.locks import InUseError, locked

LOCK = ".lock"


class FolderLock:
    """Exclusive lock of a folder, which the system releases when the program ends.

    A missing folder is created. Raises `InputError` if that fails, or another program holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.released = False
        with ExitStack() as cleanup, writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                cleanup.enter_context(locked(folder / LOCK, 0, subject=folder))
            except InUseError:
                since = datetime.fromtimestamp((folder / LOCK).stat().st_mtime).isoformat(" ", "minutes")
                raise InputError(f"{folder}: open elsewhere since {since}; close it there first") from None
            self._file_lock = cleanup.pop_all()

    def check_held(self) -> None:
        """Raise `InputError` if the folder is released."""
        if self.released:
            raise InputError(f"{self._folder}: was closed; open it again")

    def release(self) -> None:
        if not self.released:
            self.released = True
            self._file_lock.close()
