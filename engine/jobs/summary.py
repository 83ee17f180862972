"""Summary of a list of videos: ``summary.csv``, and the lines that are logged for each video."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aotlab.engine.jobs.records import JobRecord
from aotlab.engine.video.outputs import finish_batch
from aotlab.utils.files import atomic_path

MAX_WIDTH = 40
"""largest width of the column of names in characters; longer names are not truncated"""
COLUMNS = ("name", "status", "frames", "error", "video")


def write_summary(
    output: Path, names: Sequence[str], records: Sequence[JobRecord], outputs: Sequence[str]
) -> None:
    """Write ``summary.csv`` for these jobs, some of which may have no record, and the lists of the outputs."""
    by_name = {record.name: record for record in records}
    rows: list[dict[str, Any]] = [
        {**asdict(by_name[name]), "status": "failed" if by_name[name].error else "done"}
        if name in by_name
        else {"name": name, "status": "waiting"}
        for name in names
    ]
    with (
        atomic_path(output / "summary.csv") as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    finish_batch(outputs, output, rows)


def format_heading(names: Sequence[str]) -> str:
    """Return the header of the live table."""
    return _format_line(names, ("job", "status", "frames", "frames/s"))


def format_row(record: JobRecord, names: Sequence[str]) -> str:
    """Return a line of the live table."""
    if record.error is not None:
        return f"{_format_line(names, (record.name, 'failed'))}  {record.error}"
    speed = f"{record.frames / record.seconds:.1f}" if record.seconds else "-"
    return _format_line(names, (record.name, "done", record.frames, speed))


def _format_line(names: Sequence[str], cells: Sequence[Any]) -> str:
    widths = (min(MAX_WIDTH, max(map(len, names), default=0)), 6, 6, 0)
    return "  ".join(
        f"{cell:<{width}}" for cell, width in zip(map(str, cells), widths, strict=False)
    ).rstrip()
