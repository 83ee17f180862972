"""Printed results of ``aotlab track``: levels of the images, damage in the source."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.engine.video.options import TrackResult
    from aotlab.media.video import FrameSource

LISTED = 20
"""largest number of damaged frames that are named"""


def show_levels(source: FrameSource) -> None:
    """Print the black and white levels of images that are not shown as stored."""
    if source.levels is not None:
        how = "found in the video; --levels LOW,HIGH states others" if source.levels.found else "as stated"
        print(f"{source.name}: levels {source.levels} ({how})")


def warn_of_damage(result: TrackResult) -> None:
    """Print damage in the source that did not end the run."""
    if result.damaged:
        listed = ", ".join(map(str, result.damaged[:LISTED])) + (", ..." * (len(result.damaged) > LISTED))
        frames = counted(len(result.damaged), "damaged frame")
        print(f"warning: the decoder filled in {frames}: {listed}", file=sys.stderr)
    if result.lost:
        pieces = counted(result.lost, "damaged piece")
        print(f"warning: {pieces} of the stream left out", file=sys.stderr)
