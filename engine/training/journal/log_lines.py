"""Log of a training run, ``log.jsonl``: one standard JSON object per line and event."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from aotlab.utils.files import atomic_path

Line = dict[str, Any]


def read_lines(log: Path) -> list[Line]:
    """Return all lines in order; lines that are not JSON objects, such as an incomplete last line, are skipped."""
    return [line for _, line in _parsed(log)]


def append_line(log: Path, line: Line) -> None:
    """Append ``line``; non-finite numbers become null; raises `OSError` if the log cannot be written."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_plain(line), allow_nan=False, default=str) + "\n")


def phase_starts(lines: list[Line]) -> dict[str, int]:
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
    if not log.is_file():
        return
    parsed = _parsed(log)
    names = list(phase_starts([line for _, line in parsed]))
    later = names[names.index(phase) + 1 :] if phase in names else []

    def is_later(line: Line) -> bool:
        return has_step(line) and (line["phase"] in later or (line["phase"] == phase and line["step"] > step))

    kept = "".join(text + "\n" for text, line in parsed if not is_later(line))
    if kept == log.read_text(encoding="utf-8", errors="replace"):
        return
    with atomic_path(log) as temporary:
        temporary.write_text(kept, encoding="utf-8")
        with log.with_suffix(".dropped.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(text + "\n" for text, line in parsed if is_later(line))


def _parsed(log: Path) -> list[tuple[str, Line]]:
    """Yield lines with a JSON object, as text and parsed."""
    parsed = []
    for text in log.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            parsed.append((text, line))
    return parsed


def has_step(line: Line) -> bool:
    """Return whether the line belongs to a step of a phase."""
    return isinstance(line.get("phase"), str) and isinstance(line.get("step"), int)


def _plain(value: Any) -> Any:
    """Convert to JSON values: Python numbers, null for non-finite ones."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
