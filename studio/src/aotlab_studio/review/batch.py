"""Review of a batch: JSON, and an HTML page."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

from jinja2 import Template

from aotlab import InputError
from aotlab.sdk import locked
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import PROJECT_SUFFIX
from aotlab_studio.document.log import ClipStatus
from aotlab_studio.files import write_bytes
from aotlab_studio.review.checks import REASONS

MAX_LISTED = 8
"""largest number of frames to check per video on the page"""
STATUSES = ("failed", "check", "done", "waiting")
"""order of statuses on the page, most urgent first"""


def write_batch_review(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write ``review.json`` and ``review.html``; arguments as in `Output.finish_batch`."""
    entries = [_make_entry(folder, record) for record in records]
    texts = {"review.json": json.dumps(entries, indent=1) + "\n", "review.html": render_page(folder, entries)}
    for name, text in texts.items():
        write_bytes(folder / name, text.encode("utf-8", "backslashreplace"))


def update_review(folder: Path) -> None:
    """Write the review of a batch again, with the states of its projects; do nothing without a review."""
    review = folder / "review.json"
    if not review.is_file():
        return
    with locked(folder / ".review.lock"):
        try:
            entries = json.loads(review.read_text(encoding="utf-8"))
            keys = ("name", "status", "frames", "error", "video", "rate")
            records = [{key: entry[key] for key in keys} for entry in entries]
        except (OSError, ValueError, LookupError, TypeError):
            return
        for record in records:
            record["status"] = "done" if record["status"] == "check" else record["status"]
        write_batch_review(folder, records)


def _make_entry(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    notes = _read_notes(folder / record["name"])
    tracked, correction = record["status"] == "done", "open"
    with suppress(InputError):  # no project, or a damaged one
        correction = Document.read(folder / f"{record['name']}{PROJECT_SUFFIX}").status[0]
    checks = sorted({check["frame"] for check in notes["check"]})
    return {
        "name": record["name"],
        "status": "check" if tracked and checks else record["status"],
        "correction": correction if tracked else "",
        "frames": record.get("frames"),
        "objects": len(notes["objects"]),
        "lost_objects": sum(bool(item["lost_on"]) for item in notes["objects"]),
        "check": " ".join(map(str, checks)),
        "error": record.get("error") or "",
        "video": record.get("video"),
        "rate": record.get("rate", "24"),
        "notes": notes,
    }


def _read_notes(folder: Path) -> dict[str, Any]:
    """Return objects and checks of a video's review; empty if it is missing."""
    try:
        notes: dict[str, Any] = json.loads((folder / "review.json").read_text(encoding="utf-8"))
        return notes
    except (OSError, ValueError):
        return {"objects": [], "check": []}


def render_page(folder: Path, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return self-contained HTML, except for the thumbnails beside it.

    Args:
        entries: one mapping per video, as in ``review.json``.
    """
    counts = Counter(entry["status"] for entry in entries)
    corrections = Counter(entry.get("correction") for entry in entries)
    folder = folder.resolve()
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"), autoescape=True)
    return template.render(
        name=folder.name,
        entries=rank_entries(entries),
        summary=", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]),
        corrections=", ".join(
            f"{corrections[name]} {name}" for name in get_args(ClipStatus) if corrections[name]
        ),
        export="aotlab export-clips " + shlex.quote(str(folder)),
        sentences=list_sentences,
        command=lambda entry: "aotlab annotate " + shlex.quote(str(folder / entry["name"])),
    )


def rank_entries(entries: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the entries of ``review.json``, the most urgent first."""
    return sorted(entries, key=lambda entry: (STATUSES.index(entry["status"]), -_measure_loss(entry)))


def list_sentences(entry: Mapping[str, Any]) -> list[str]:
    """Return what to check in a video: ranges with lost objects, then frames, worst first."""
    rate = Fraction(entry["rate"])
    objects = entry["notes"]["objects"]
    class_names = {item["id"]: item.get("class_name") for item in objects}

    def name(object_id: int) -> str:
        return f"object {object_id}" + (f" ({class_names[object_id]})" if class_names.get(object_id) else "")

    sentences = [
        f"{name(item['id'])} is lost from frame {start} to {end} (at {float(start / rate):.1f} s)"
        for item in objects
        for start, end in item["lost_on"]
    ]
    sentences += [f"frame {index} follows a cut" for index in entry["notes"].get("cuts", [])[:MAX_LISTED]]
    frames: dict[int, dict[int, list[str]]] = {}
    for check in entry["notes"]["check"]:
        if check["reason"] != "lost":
            reasons = frames.setdefault(check["frame"], {}).setdefault(check["object_id"], [])
            reasons.append(REASONS.get(check["reason"], check["reason"]))
    for frame, by_object in list(frames.items())[:MAX_LISTED]:
        text = "; ".join(
            f"{name(object_id)} {', '.join(reasons)}" for object_id, reasons in by_object.items()
        )
        sentences.append(f"frame {frame}: {text}")
    more = len(frames) - MAX_LISTED
    if more > 0:
        sentences.append(f"and {more} more frame{'s' * (more != 1)}, in review.json")
    return sentences


def _measure_loss(entry: Mapping[str, Any]) -> float:
    """Return the largest fraction of frames on which an object is lost."""
    lost = [sum(end - start + 1 for start, end in item["lost_on"]) for item in entry["notes"]["objects"]]
    return max(lost, default=0) / max(1, entry["frames"] or 0)
