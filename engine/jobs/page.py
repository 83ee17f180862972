"""HTML review of a batch: thumbnails, frames to check, commands that open a video for correction."""

from __future__ import annotations

import html
import shlex
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aotlab.engine.video.review import SENTENCES
from aotlab.utils.files import real_path
from aotlab.utils.text import counted

SHOWN = 8
"""number of frames to check per video"""
ORDER = ("failed", "check", "done", "waiting")
"""order of statuses, most urgent first"""
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}
td,th{padding:.6em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
th{position:sticky;top:0;background:#fff}
img{max-height:110px;max-width:420px;display:block;margin-top:.3em}
td:first-child{font-weight:600;overflow-wrap:anywhere}
td:last-child{overflow-wrap:anywhere;min-width:22em}
ul{margin:0;padding-left:1.2em}
.status{padding:.1em .6em;border-radius:1em;background:#e6f4ea;color:#1b5e20;white-space:nowrap}
.check .status{background:#fff3d6;color:#7a4b00}.failed .status{background:#fde7e9;color:#a0001c}
.waiting .status{background:#eee;color:#666}
.open{display:flex;gap:.5em;margin-top:.5em;align-items:baseline}
code{background:#f3f3f3;padding:.15em .4em;font-size:13px;overflow-wrap:anywhere}
button{font:inherit;font-size:13px;padding:.05em .7em;cursor:pointer;white-space:nowrap}
"""
SCRIPT = """
document.addEventListener('click', event => {
  if (!event.target.matches('button.copy')) return;
  const code = event.target.parentNode.querySelector('code');
  const range = document.createRange();
  range.selectNodeContents(code);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  document.execCommand('copy');
  event.target.textContent = 'copied';
  setTimeout(() => { event.target.textContent = 'copy'; }, 1500);
});
"""


def page(output: Path, entries: Sequence[dict[str, Any]]) -> str:
    """Return self-contained HTML, except for the thumbnails beside it.

    Args:
        entries: one dictionary per job, as in ``review.json``.
    """
    counts = Counter(entry["status"] for entry in entries)
    summary = ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
    ordered = sorted(entries, key=lambda entry: (ORDER.index(entry["status"]), -_loss(entry)))
    rows = "\n".join(_row(entry, output) for entry in ordered)
    name = html.escape(real_path(output).name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>\n'
        f"<h1>{name}</h1><p>{len(entries)} videos: {summary}. Images: first frame, least confident one, last. "
        "The videos with the most to check come first. Run the command in a terminal to correct one; corrected masks "
        "are exported from there.</p>\n"
        f"<table><tr><th>video<th>status<th>frames<th>objects<th>what to check\n{rows}\n</table>"
        f"<script>{SCRIPT}</script></html>\n"
    )


def _row(entry: dict[str, Any], output: Path) -> str:
    folder, status = quote(entry["name"]), entry["status"]
    image, todo = "", html.escape(entry["error"])
    if status in ("done", "check"):
        image = f'<a href="{folder}/"><img src="{folder}/thumbnail.jpg" alt="" loading="lazy"></a>'
        listed = "".join(f"<li>{html.escape(one)}" for one in _sentences(entry))
        command = html.escape("aotlab annotate " + shlex.quote(str(real_path(output) / entry["name"])))
        todo += (
            f"<ul>{listed}</ul>" if listed else ""
        ) + f'<div class="open"><code>{command}</code><button class="copy">copy</button></div>'
    return (
        f'<tr class="{status}"><td>{html.escape(entry["name"])}{image}<td><span class="status">{status}</span>'
        f"<td>{entry['frames']}<td>{entry['objects']}<td>{todo}"
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
