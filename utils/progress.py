"""Progress: a bar on a terminal, occasional lines in a log file."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_SECONDS = 30
"""Interval between lines without a terminal, in seconds."""


class _LineStream:
    """Text stream that writes each repaint of a bar as a line on stderr."""

    def write(self, text: str) -> None:
        """Write a bar without its cursor movements."""
        if text := text.strip("\r\n "):
            sys.stderr.write(f"{text}\n")


def progress_bar(
    total: int | None, *, unit: str = "it", title: str | None = None, enabled: bool = True, initial: int = 0
) -> tqdm:
    """Return a tqdm bar on stderr, which writes a line every `LINE_SECONDS` seconds without a terminal; none if quiet.

    Args:
        total: number of items; 0: no bar, None: unknown.
        unit: name of an item.
        title: text before the bar.
        enabled: false: no bar.
        initial: number of items that are done already.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=title,
        disable=total == 0 or not (enabled and logging.getLogger("aotlab").isEnabledFor(logging.WARNING)),
        file=sys.stderr if terminal else _LineStream(),  # type: ignore[arg-type]
        mininterval=0.2 if terminal else LINE_SECONDS,
        maxinterval=max(10, LINE_SECONDS),
        delay=0 if terminal else LINE_SECONDS,
        dynamic_ncols=terminal,
    )
