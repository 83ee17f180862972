"""The page about many jobs: thumbnails, what to check, and the command that opens a video for correction."""

from __future__ import annotations

import html
import shlex
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

SHOWN = 8
"""frames to check of a video on the page"""
ORDER = ("failed", "check", "done", "waiting")
"""statuses, those that a person has to look at first"""
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
    """HTML without anything from elsewhere but the thumbnails beside it.

    Args:
        output: folder of the results.
        entries: a dictionary a job, as in ``report.json``.
    """
    counts = Counter(entry["status"] for entry in entries)
    summary = ", ".join(f"{counts[status]} {status}" for status in ORDER if counts[status])
    ordered = sorted(entries, key=lambda entry: ORDER.index(entry["status"]))
    rows = "\n".join(_row(entry, output) for entry in ordered)
    name = html.escape(output.resolve().name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>\n'
        f"<h1>{name}</h1><p>{len(entries)} videos: {summary}. Pictures: first frame, least confident one, last. "
        "Run the command in a terminal to correct a video; corrected masks are exported from there.</p>\n"
        f"<table><tr><th>video<th>status<th>frames<th>objects<th>what to check\n{rows}\n</table>"
        f"<script>{SCRIPT}</script></html>\n"
    )


def _row(entry: dict[str, Any], output: Path) -> str:
    folder, status = quote(entry["name"]), entry["status"]
    picture, todo = "", html.escape(entry["error"])
    if status in ("done", "check"):
        picture = f'<a href="{folder}/"><img src="{folder}/thumbnail.jpg" alt="" loading="lazy"></a>'
        listed = "".join(f"<li>{html.escape(one)}" for one in _sentences(entry))
        command = html.escape("aotlab annotate " + shlex.quote(str(output.resolve() / entry["name"])))
        todo += (
            f"<ul>{listed}</ul>" if listed else ""
        ) + f'<div class="open"><code>{command}</code><button class="copy">copy</button></div>'
    return (
        f'<tr class="{status}"><td>{html.escape(entry["name"])}{picture}<td><span class="status">{status}</span>'
        f"<td>{entry['frames']}<td>{entry['objects']}<td>{todo}"
    )


def _sentences(entry: dict[str, Any]) -> list[str]:
    """What to check, object by object."""
    rate = Fraction(entry["record"]["rate"])
    sentences = [
        f"object {one['id']}: lost from frame {start} to {end} (at {float(start / rate):.1f} s)"
        for one in entry["notes"]["objects"]
        for start, end in one["lost_on"]
    ]
    checks = entry["notes"]["check"]
    sentences += [
        f"object {one['object']}: {one['reason']} at frame {one['frame']}" for one in checks[:SHOWN]
    ]
    more = len(checks) - SHOWN
    return [*sentences, f"and {more} more, in report.json"] if more > 0 else sentences
