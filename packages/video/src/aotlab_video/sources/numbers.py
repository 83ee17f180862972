"""Numbers at the end of names of frames."""

import re
from collections.abc import Sequence

from aotlab.utils.errors import require

END_NUMBER = re.compile(r"(?:(?<![^._])-)?[0-9]{1,9}$")
"""Number at the end of a name; a minus at its start, or after ``.`` or ``_``, is a sign, else a hyphen."""


def split_numbers(stems: Sequence[str]) -> list[tuple[str, int] | None]:
    """Return the text before the number at the end of each name, and the number; None for names without one."""
    endings = ((stem, END_NUMBER.search(stem)) for stem in stems)
    return [(stem[: ending.start()], int(ending[0])) if ending else None for stem, ending in endings]


def require_signs(stems: Sequence[str]) -> None:
    """Raise `InputError` if the hyphen before a number may be a minus sign: ``take-1`` beside ``take0``."""
    parts = split_numbers(stems)
    prefixes = {part[0] for part in parts if part}
    for stem, part in zip(stems, parts, strict=True):
        is_clear = not part or not part[0].endswith("-") or part[0][:-1] not in prefixes
        remedy = "rename the frames, for example to 1000, 1001 and so on"
        require(is_clear, "the hyphen before its number may be a minus sign", subject=stem, remedy=remedy)


def trailing_numbers(stems: Sequence[str]) -> list[int]:
    """Return the numbers at the end of the names that have one."""
    return [part[1] for part in split_numbers(stems) if part]
