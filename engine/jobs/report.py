"""The results of many jobs: a CSV, a JSON file, and a page with thumbnails and what to check."""

from __future__ import annotations

import csv
import html
import io
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aotlab.engine.jobs.records import JobRecord
from aotlab.utils.files import atomic_path

SHOWN = 8
"""frames to check of a video on the page"""
NOTHING: dict[str, Any] = {"objects": [], "check": []}
"""the report of a video that has none"""
STATUSES = ("done", "check", "failed", "waiting")
"""of a video; check: tracked, and a person should look at some frames"""
COLUMNS = ("name", "status", "frames", "objects", "lost_objects", "check", "error", "video")
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em;color:#222;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.5em .8em;border-bottom:1px solid #ddd;text-align:left;"
    "vertical-align:top}img{height:110px;display:block}code{background:#f3f3f3;padding:.1em .3em}"
    ".failed td:nth-child(2){color:#b00020}.check td:nth-child(2){color:#8a5a00}.waiting{color:#888}"
)


def write_reports(output: Path, names: Sequence[str], records: Sequence[JobRecord]) -> None:
    """Write `summary.csv`, `report.json` and `report.html` of the jobs of these names; some may have no record."""
    found = {record.name: record for record in records}
    entries = [_entry(output, name, found.get(name)) for name in names]
    texts = {
        "summary.csv": _csv(entries),
        "report.json": json.dumps(entries, indent=1) + "\n",
        "report.html": _page(output.resolve().name, entries),
    }
    for name, text in texts.items():
        with atomic_path(output / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def row(record: JobRecord, output: Path) -> str:
    """A line of the live table."""
    entry = _entry(output, record.name, record)
    if record.error is not None:
        return f"{record.name}: failed: {record.error}"
    speed = record.frames / record.seconds if record.seconds else 0.0
    check = f", check frames {entry['check']}" if entry["check"] else ""
    return (
        f"{record.name}: {record.frames} frames at {speed:.1f} frames per second, {entry['objects']} objects, "
        f"{entry['lost_objects']} lost{check}"
    )


def _entry(output: Path, name: str, record: JobRecord | None) -> dict[str, Any]:
    """A job for all reports."""
    if record is None:
        return dict.fromkeys(COLUMNS, "") | {
            "name": name,
            "status": "waiting",
            "notes": NOTHING,
            "record": None,
        }
    notes = _notes(output / name / "report.json")
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


def _notes(path: Path) -> dict[str, Any]:
    """A video's own report, as far as the reports of the run read it; nothing of one that somebody changed."""
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
        lost = [
            one | {"id": int(one["id"]), "lost_on": [(int(start), int(end)) for start, end in one["lost_on"]]}
            for one in notes["objects"]
        ]
        check = [
            one | {"frame": int(one["frame"]), "object": int(one["object"]), "reason": str(one["reason"])}
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


def _page(title: str, entries: Sequence[dict[str, Any]]) -> str:
    """One page without anything from elsewhere but the thumbnails beside it."""
    counts = Counter(entry["status"] for entry in entries)
    summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    rows = "\n".join(_html_row(entry) for entry in entries)
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>\n'
        f"<h1>{name}</h1><p>{len(entries)} videos: {summary}. Thumbnails: first frame, least confident one, last.</p>\n"
        f"<table><tr><th>video<th>status<th>frames<th>objects<th>what to check\n{rows}\n</table></html>\n"
    )


def _html_row(entry: dict[str, Any]) -> str:
    folder = quote(entry["name"])
    picture = ""
    if entry["status"] in ("done", "check"):
        picture = f'<a href="{folder}/"><img src="{folder}/thumbnail.jpg" alt="" loading="lazy"></a>'
    todo = html.escape(entry["error"]) or "<br>".join(_sentences(entry))
    return (
        f'<tr class="{entry["status"]}"><td>{html.escape(entry["name"])}{picture}<td>{entry["status"]}'
        f"<td>{entry['frames']}<td>{entry['objects']}<td>{todo}"
    )


def _sentences(entry: dict[str, Any]) -> list[str]:
    """What to check, object by object, and the command that opens the video for correction."""
    sentences = []
    rate = Fraction(entry["record"]["rate"]) if entry["record"] else Fraction(24)
    for one in entry["notes"]["objects"]:
        for start, end in one["lost_on"]:
            seconds = float(start / rate)
            sentences.append(f"object {one['id']}: lost from frame {start} to {end} ({seconds:.1f} s)")
    for one in entry["notes"]["check"][:SHOWN]:
        sentences.append(html.escape(f"object {one['object']}: {one['reason']} at frame {one['frame']}"))
    if sentences:
        sentences.append(f"<code>{html.escape('aotlab annotate ' + shlex.quote(entry['video']))}</code>")
    return sentences
