"""Lists, counts, bytes and tables as text; URLs without passwords."""

from __future__ import annotations

import re
from collections.abc import Sequence

CREDENTIALS = re.compile(
    r"(?<=://)[^/?#\s]*@"
    r"|(?<=[?&])(user(name)?|login|pass(word|wd)?|pwd|auth|secret|sig|[\w-]*(api_?key|token|signature|credential))=[^&#\s]*&?",
    re.IGNORECASE,
)
"""Name and password in a URL, and fields of its query that hold them."""
UNITS = ("B", "KB", "MB", "GB", "TB")


def shorten(value: object, length: int = 60) -> str:
    """Return a value as text in one line of at most ``length`` characters."""
    return " ".join(str(value).split())[:length]


def join_truncated(values: Sequence[object], limit: int = 10) -> str:
    """Return the first values with commas, and an ellipsis if there are more than ``limit``."""
    return ", ".join(map(str, values[:limit])) + ", …" * (len(values) > limit)


def format_count(number: int, noun: str) -> str:
    """Return "1 sequence" or "2 sequences"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def format_bytes(count: int) -> str:
    """Return bytes as text such as "1.5 GB"."""
    # With three digits, 999.5 KB would be shown as 1000 KB. From there on, the next unit is used.
    power = next((power for power in range(4) if count < 999.5 * 1000**power), 4)
    value = count / 1000**power
    return f"{value:.3g} {UNITS[power]}" if value < 999.5 else f"{value:.0f} {UNITS[power]}"


def align_columns(rows: Sequence[Sequence[str]], *, right: int | None = None) -> list[str]:
    """Return rows as lines with columns of one width; right-aligned from column ``right`` on."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = widths[:right]
    return [
        "  ".join([*map(str.ljust, row, left), *map(str.rjust, row[len(left) :], widths[len(left) :])]).rstrip()
        for row in rows
    ]


def strip_credentials(text: str) -> str:
    """Remove names, passwords and keys from the URLs in a text, such as the name of a video."""
    return CREDENTIALS.sub("", text)
