"""The last net: an error that nobody foresaw ends in one sentence, and its traceback is kept in a file."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

from aotlab import __version__

FAULT = 70
"""exit status of a fault of the program, ``EX_SOFTWARE`` of sysexits.h"""
DEBUG = "AOTLAB_DEBUG"
"""environment variable: 1 shows tracebacks"""


def report_fault(error: BaseException) -> int:
    """Say in one sentence on stderr that the program is at fault and where the traceback is; returns `FAULT`."""
    text = "".join(traceback.format_exception(error))
    reason = (str(error).splitlines() or [""])[0][:200]
    kind = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    sentence = f"error: this is a fault of aotlab, not of what it was given ({kind}); "
    if os.environ.get(DEBUG) == "1":
        sys.stderr.write(text)
        print(f"{sentence}please report the traceback above", file=sys.stderr)
        return FAULT
    where = _saved(f"aotlab {__version__}: {' '.join(sys.argv)}\n\n{text}")
    if where is None:
        print(f"{sentence}set {DEBUG}=1 to see the traceback, and please report it", file=sys.stderr)
    else:
        print(
            f"{sentence}please report it with the traceback in {where} ({DEBUG}=1 shows it)", file=sys.stderr
        )
    return FAULT


def _saved(text: str) -> str | None:
    """The path of a new file with a text; None where none can be written."""
    try:
        handle, path = tempfile.mkstemp(prefix="aotlab-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return path
