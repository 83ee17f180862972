"""Review of a batch, as the list of its videos shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from aotlab_studio.files import write_bytes
from aotlab_studio.review.checks import REASONS

STATUSES = ("failed", "check", "done", "waiting")
"""order of statuses in the list, most urgent first"""


def write_batch_review(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write ``review.json``; arguments as in `Output.finish_batch`."""
    entries = [_make_entry(folder, record) for record in records]
    text = json.dumps(entries, indent=1) + "\n"
    write_bytes(folder / "review.json", text.encode("utf-8", "backslashreplace"))


def update_review(folder: Path) -> None:
    """Write the review of a batch again from its videos' reviews; do nothing without a review."""
    try:
        entries = json.loads((folder / "review.json").read_text(encoding="utf-8"))
        keys = ("name", "status", "frames", "error", "video", "rate")
        records = [{key: entry[key] for key in keys} for entry in entries]
    except (OSError, ValueError, LookupError, TypeError):
        return
    for record in records:
        record["status"] = "done" if record["status"] == "check" else record["status"]
    write_batch_review(folder, records)


def _make_entry(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    notes = _read_notes(folder / record["name"])
    tracked = record["status"] == "done"
    checks = sorted({check["frame"] for check in notes["check"]})
    return {
        "name": record["name"],
        "status": "check" if tracked and checks else record["status"],
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
    sentences += [f"frame {index} follows a cut" for index in entry["notes"].get("cuts", [])]
    return sentences + [
        f"frame {check['frame']}: {name(check['object_id'])} {REASONS.get(check['reason'], check['reason'])}"
        for check in entry["notes"]["check"]
        if check["reason"] != "lost"
    ]


def _measure_loss(entry: Mapping[str, Any]) -> float:
    """Return the largest fraction of frames on which an object is lost."""
    lost = [sum(end - start + 1 for start, end in item["lost_on"]) for item in entry["notes"]["objects"]]
    return max(lost, default=0) / max(1, entry["frames"] or 0)
