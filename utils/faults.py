"""Errors that nobody foresaw: the program is at fault, and their traceback is kept in a file."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

from aotlab import __version__

DEBUG = "AOTLAB_DEBUG"
"""environment variable: 1 shows tracebacks"""


def fault_sentence(error: BaseException) -> str:
    """One sentence that says that the program is at fault, and where the traceback is: in a new file, or on stderr."""
    text = "".join(traceback.format_exception(error))
    reason = (str(error).splitlines() or [""])[0][:200]
    kind = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    sentence = f"this is a fault of aotlab, not of what it was given ({kind}); "
    if os.environ.get(DEBUG) == "1":
        sys.stderr.write(text)
        return f"{sentence}please report the traceback above"
    where = _saved(f"aotlab {__version__}: {' '.join(sys.argv)}\n\n{text}")
    if where is None:
        return f"{sentence}set {DEBUG}=1 to see the traceback, and please report it"
    return f"{sentence}please report it with the traceback in {where} ({DEBUG}=1 shows it)"


def _saved(text: str) -> str | None:
    """The path of a new file with a text; None where none can be written."""
    try:
        handle, path = tempfile.mkstemp(prefix="aotlab-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return path
