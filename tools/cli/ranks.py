"""What a process tells the torchrun that started it."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

FILE = "TORCHELASTIC_ERROR_FILE"
"""environment variable: the file in which torchrun looks for the error of a process that failed"""


def note_for_torchrun(sentence: str) -> None:
    """Leave the sentence where torchrun finds it, so that its table of failures shows that and no advice."""
    path = os.environ.get(FILE)
    if not path or os.path.exists(path):
        return
    more = {"py_callstack": sentence, "timestamp": str(int(time.time()))}
    with suppress(OSError), open(path, "w", encoding="utf-8") as file:
        json.dump({"message": {"message": sentence, "extraInfo": more}}, file)
