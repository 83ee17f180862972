"""How far a long run is: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

PAUSE = 30
"""seconds from one line to the next where there is no terminal"""


class _Lines:
    """A text stream on which every repainting of a bar is a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Write what a bar paints, without what it moves the cursor by."""
        text = text.strip("\r\n ")
        if text:
            self.stream.write(text + "\n")

    def flush(self) -> None:
        """Hand on."""
        self.stream.flush()


def progress_bar(
    total: int | None, *, unit: str = "it", title: str | None = None, shown: bool = True, done: int = 0
) -> tqdm:
    """A tqdm bar on stderr: repainted on a terminal, else a line every `PAUSE` seconds."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        desc=title,
        disable=not shown,
        file=sys.stderr if terminal else _Lines(sys.stderr),  # type: ignore[arg-type]
        mininterval=0.2 if terminal else PAUSE,
        dynamic_ncols=terminal,
    )
