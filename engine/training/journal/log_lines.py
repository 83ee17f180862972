"""Log of a training run, ``log.jsonl``: one standard JSON object per line and event."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aotlab.utils.files import write_text

Line = dict[str, Any]


def read_lines(log: Path) -> list[Line]:
    """Return all lines in order; lines that are not JSON objects, such as an incomplete last line, are skipped."""
    lines = []
    for text in log.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            lines.append(json.loads(text))
        except (ValueError, RecursionError):
            continue
    return [line for line in lines if isinstance(line, dict)]


def append_lines(log: Path, lines: Iterable[Line]) -> None:
    """Append lines; raises `OSError` if the log cannot be written."""
    with log.open("a", encoding="utf-8") as file:
        file.write(_text(lines))


def _text(lines: Iterable[Line]) -> str:
    """Return lines of JSON with null for non-finite numbers."""
    finite = (
        {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in line.items()}
        for line in lines
    )
    return "".join(json.dumps(line, default=str) + "\n" for line in finite)


def phase_starts(lines: Iterable[Line]) -> dict[str, int]:
    """Return the number of steps before each phase, in order of appearance."""
    lengths: dict[str, int] = {}
    for line in filter(has_step, lines):
        lengths[line["phase"]] = max(lengths.get(line["phase"], 0), line["step"])
    starts, done = {}, 0
    for phase, length in lengths.items():
        starts[phase] = done
        done += length
    return starts


def drop_later_lines(log: Path, phase: str, step: int) -> None:
    """Remove lines after ``step`` of ``phase``, which a resumed run will write again.

    Removed lines are appended to ``log.dropped.jsonl``. Lines without phase and step are kept.

    Raises:
        InputError: the log cannot be written.
    """
    lines = read_lines(log)
    names = list(phase_starts(lines))
    later = names[names.index(phase) + 1 :] if phase in names else []

    def is_later(line: Line) -> bool:
        return has_step(line) and (line["phase"] in later or (line["phase"] == phase and line["step"] > step))

    dropped = [line for line in lines if is_later(line)]
    if dropped:
        append_lines(log.with_suffix(".dropped.jsonl"), dropped)
    write_text(log, _text(line for line in lines if not is_later(line)))


def has_step(line: Line) -> bool:
    """Return whether the line belongs to a step of a phase."""
    return isinstance(line.get("phase"), str) and isinstance(line.get("step"), int)
