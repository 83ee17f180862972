"""Reports of a batch: CSV, JSON and an HTML review."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from jinja2 import Template

from aotlab.engine.jobs.records import JobRecord
from aotlab.engine.video.review import SENTENCES
from aotlab.utils.files import atomic_path, real_path
from aotlab.utils.text import counted

WIDEST = 40
"""width of names in the live table, in characters"""
NOTHING: dict[str, Any] = {"objects": [], "check": []}
"""review of a video without one"""
SHOWN = 8
"""number of frames to check per video on the page"""
ORDER = ("failed", "check", "done", "waiting")
"""order of statuses on the page, most urgent first"""
COLUMNS = ("name", "status", "frames", "objects", "lost_objects", "check", "error", "video")


def write_reviews(output: Path, names: Sequence[str], records: Sequence[JobRecord]) -> None:
    """Write `summary.csv`, `review.json` and `review.html` for these jobs, some of which may have no record."""
    found = {record.name: record for record in records}
    entries = [_entry(output, name, found.get(name)) for name in names]
    texts = {
        "summary.csv": _csv(entries),
        "review.json": json.dumps(entries, indent=1) + "\n",
        "review.html": page(output, entries),
    }
    for name, text in texts.items():
        with atomic_path(output / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def heading(names: Sequence[str]) -> str:
    """Return the header of the live table."""
    return _line(names, ("job", "status", "frames", "frames/s", "objects", "lost", "check frames"))


def row(record: JobRecord, output: Path, names: Sequence[str]) -> str:
    """Return a line of the live table."""
    entry = _entry(output, record.name, record)
    if record.error is not None:
        return f"{_line(names, (record.name, 'failed'))}  {record.error}"
    speed = f"{record.frames / record.seconds:.1f}" if record.seconds else "-"
    numbers = (record.frames, speed, entry["objects"], entry["lost_objects"], entry["check"] or "-")
    return _line(names, (record.name, entry["status"], *numbers))


def _line(names: Sequence[str], cells: Sequence[Any]) -> str:
    """Align cells in columns; long names are not truncated."""
    widths = (min(WIDEST, max(map(len, names), default=0)), 6, 6, 8, 7, 4, 0)
    return "  ".join(
        f"{cell:<{width}}" for cell, width in zip(map(str, cells), widths, strict=False)
    ).rstrip()


def _entry(output: Path, name: str, record: JobRecord | None) -> dict[str, Any]:
    if record is None:
        own = {"name": name, "status": "waiting", "notes": NOTHING, "record": None}
        return dict.fromkeys(COLUMNS, "") | own
    notes = _notes(output / name)
    check = sorted({one["frame"] for one in notes["check"]})
    status = "failed" if record.error is not None else "check" if check else "done"
    return {
        "name": name,
        "status": status,
        "frames": record.frames,
        "objects": len(notes["objects"]),
        "lost_objects": sum(bool(one["lost_on"]) for one in notes["objects"]),
        "check": " ".join(map(str, check)),
        "error": record.error or "",
        "video": record.video,
        "notes": notes,
        "record": asdict(record),
    }


def _notes(folder: Path) -> dict[str, Any]:
    """Return the parts of a video's review used here; empty if it was changed.

    Earlier versions wrote `report.json`, with ``label`` for class_name and ``object`` for object_id.
    """
    new, old = folder / "review.json", folder / "report.json"
    path = new if new.exists() else old
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
        lost = [
            one
            | {"id": int(one["id"]), "lost_on": [(int(start), int(end)) for start, end in one["lost_on"]]}
            | {"class_name": str(one.get("class_name", one.get("label", "")))}
            for one in notes["objects"]
        ]
        check = [
            one
            | {"frame": int(one["frame"]), "reason": str(one["reason"])}
            | {"object_id": int(one["object_id"] if "object_id" in one else one["object"])}
            for one in notes["check"]
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NOTHING
    return notes | {"objects": lost, "check": check}


def _csv(entries: Sequence[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    return file.getvalue()


def page(output: Path, entries: Sequence[dict[str, Any]]) -> str:
    """Return self-contained HTML, except for the thumbnails beside it.

    Args:
        entries: one dictionary per job, as in ``review.json``.
    """
    counts = Counter(entry["status"] for entry in entries)
    folder = real_path(output)
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"), autoescape=True)
    return template.render(
        name=folder.name,
        entries=sorted(entries, key=lambda entry: (ORDER.index(entry["status"]), -_loss(entry))),
        summary=", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status]),
        sentences=_sentences,
        command=lambda entry: "aotlab annotate " + shlex.quote(str(folder / entry["name"])),
    )


def _sentences(entry: dict[str, Any]) -> list[str]:
    """Return what to check: ranges with lost objects, then frames, worst first."""
    rate = Fraction(entry["record"]["rate"])
    objects = entry["notes"]["objects"]
    class_names = {one["id"]: one["class_name"] for one in objects}

    def name(object_id: int) -> str:
        return f"object {object_id}" + (f" ({class_names[object_id]})" if class_names.get(object_id) else "")

    sentences = [
        f"{name(one['id'])} is lost from frame {start} to {end} (at {float(start / rate):.1f} s)"
        for one in objects
        for start, end in one["lost_on"]
    ]
    frames: dict[int, dict[int, list[str]]] = {}
    for check in entry["notes"]["check"]:
        if check["reason"] != "lost":
            reasons = frames.setdefault(check["frame"], {}).setdefault(check["object_id"], [])
            reasons.append(SENTENCES.get(check["reason"], check["reason"]))
    for frame, found in list(frames.items())[:SHOWN]:
        told = "; ".join(f"{name(object_id)} {', '.join(reasons)}" for object_id, reasons in found.items())
        sentences.append(f"frame {frame}: {told}")
    more = len(frames) - SHOWN
    if more > 0:
        sentences.append(f"and {counted(more, 'more frame')}, in review.json")
    return sentences


def _loss(entry: dict[str, Any]) -> float:
    """Return the largest fraction of frames on which an object is lost."""
    lost = [sum(end - start + 1 for start, end in one["lost_on"]) for one in entry["notes"]["objects"]]
    return max(lost, default=0) / max(1, entry["frames"] or 0)
