"""HTML review of a batch: thumbnails, frames to check, commands that open a video for correction."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from jinja2 import Template

from aotlab.engine.video.review import SENTENCES
from aotlab.utils.files import real_path
from aotlab.utils.text import counted

SHOWN = 8
"""number of frames to check per video"""
ORDER = ("failed", "check", "done", "waiting")
"""order of statuses, most urgent first"""


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
