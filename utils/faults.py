"""Internal errors: one sentence for the user, the traceback in a file."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

from aotlab import __version__

DEBUG = "AOTLAB_DEBUG"
"""environment variable that shows tracebacks if set to 1"""


def fault_sentence(error: BaseException) -> str:
    """Return the sentence for an internal error; the traceback goes to a new file, else to stderr."""
    text = "".join(traceback.format_exception(error))
    reason = (str(error).splitlines() or [""])[0][:200]
    kind = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    sentence = f"internal error in aotlab ({kind}); "
    if os.environ.get(DEBUG) == "1":
        sys.stderr.write(text)
        return f"{sentence}please report the traceback above"
    try:
        handle, path = tempfile.mkstemp(prefix="aotlab-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"aotlab {__version__}: {' '.join(sys.argv)}\n\n{text}")
    except OSError:
        return f"{sentence}set {DEBUG}=1 to see the traceback, and please report it"
    return f"{sentence}please report it with the traceback in {path} ({DEBUG}=1 shows it)"
