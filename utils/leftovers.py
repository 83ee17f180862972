"""Temporary files of killed programs."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

LEFTOVER = re.compile(r"\.(?P<stem>.+)\.(?P<process>[0-9]{1,9})\.part(?P<suffix>(\.[^.]*)?)")
"""pattern of the temporary names of `atomic_path`"""
POSIX = os.name == "posix"
DAY = 86400.0
"""seconds"""
log = logging.getLogger(__name__)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove temporary files and folders of killed programs, but not of running ones.

    Args:
        name: final name of the files to remove; None: any.
    """
    if not folder.is_dir():
        return
    for path in folder.glob(".*.part*"):
        found = LEFTOVER.fullmatch(path.name)
        if found is None or not _abandoned(path, int(found["process"])):
            continue
        if name is None or f"{found['stem']}{found['suffix']}" == name:
            log.info("%s: half-written by a program that was killed, removed", path)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _abandoned(path: Path, process: int) -> bool:
    """Return whether the process that wrote a file has certainly ended; on Windows, if the file is a day old."""
    if not POSIX:  # signal 0 would terminate the process
        with suppress(OSError):
            return time.time() - path.stat().st_mtime > DAY
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
