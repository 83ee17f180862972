"""What programs that were killed left half-written."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

LEFTOVER = re.compile(r"\.(?P<stem>.+)\.(?P<process>[0-9]{1,9})\.part(?P<suffix>(\.[^.]*)?)")
"""names of files that `atomic_path` has not finished"""
log = logging.getLogger(__name__)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove half-written files and folders of programs that were killed; those of running programs stay.

    Args:
        folder: where they are; nothing happens where it is not there.
        name: of the file or folder that they should have become; any when None.
    """
    if not folder.is_dir():
        return
    for path in folder.glob(".*.part*"):
        found = LEFTOVER.fullmatch(path.name)
        if found is None or not _has_ended(int(found["process"])):
            continue
        if name is None or f"{found['stem']}{found['suffix']}" == name:
            log.info("%s: half-written by a program that was killed, removed", path)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _has_ended(process: int) -> bool:
    """Whether a process of this machine is surely no more."""
    if os.name != "posix":
        return False  # asking would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
