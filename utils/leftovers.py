"""Temporary files of killed programs."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

LEFTOVER = re.compile(r"\.(?P<stem>.+)\.(?P<process>[0-9]{1,9})\.part(?P<suffix>(\.[^.]*)?)")
"""pattern of the temporary names of `atomic_path`"""
log = logging.getLogger(__name__)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove temporary files and folders of killed programs, but not of running ones.

    Args:
        folder: folder to clean, if it exists.
        name: final name of the files to remove; None: any.
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
    """Return whether a process has certainly ended."""
    if os.name != "posix":
        return False  # signal 0 would terminate it on Windows
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
