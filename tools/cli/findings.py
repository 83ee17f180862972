"""What ``aotlab track`` says of its results: lost objects, frames to check, damage in the source."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.engine.video.tracking import TrackReport
    from aotlab.media.video import FrameSource

LISTED = 20
"""Damaged frames that are named; of more there is the number."""


def show_levels(source: FrameSource) -> None:
    """Print what is black and white, where frames are not shown as they were stored."""
    if source.levels is not None:
        how = "found in the video; --levels LOW,HIGH states others" if source.levels.found else "as stated"
        print(f"{source.name}: levels {source.levels} ({how})")


def show_report(path: Path) -> None:
    """Print a report's table, and on stderr a warning for every object that was lost."""
    from aotlab.engine.video.report import table

    report = json.loads(path.read_text(encoding="utf-8"))
    print("\n".join(table(report)))
    for item in report["objects"]:
        for first, last in item["lost_on"]:
            print(f"warning: object {item['id']} is lost on frames {first} to {last}", file=sys.stderr)


def warn_of_damage(report: TrackReport) -> None:
    """Name what was damaged in the source and did not end the run."""
    if report.damaged:
        listed = ", ".join(map(str, report.damaged[:LISTED])) + (", ..." * (len(report.damaged) > LISTED))
        frames = counted(len(report.damaged), "damaged frame")
        print(f"warning: the decoder filled in {frames}: {listed}", file=sys.stderr)
    if report.lost:
        pieces = counted(report.lost, "damaged piece")
        print(f"warning: {pieces} of the stream left out", file=sys.stderr)
