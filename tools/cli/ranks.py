"""Error messages of ranks for torchrun."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

FILE = "TORCHELASTIC_ERROR_FILE"
"""environment variable: file in which torchrun looks for the error of a failed process"""


def note_for_torchrun(sentence: str) -> None:
    """Write a sentence where torchrun finds it, so that its table of failures shows it."""
    path = os.environ.get(FILE)
    if not path or os.path.exists(path):
        return
    more = {"py_callstack": sentence, "timestamp": str(int(time.time()))}
    with suppress(OSError), open(path, "w", encoding="utf-8") as file:
        json.dump({"message": {"message": sentence, "extraInfo": more}}, file)
