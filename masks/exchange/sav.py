"""SA-V's JSON of masklets, manual or automatic: https://ai.meta.com/datasets/segment-anything-video."""

from __future__ import annotations

from typing import Any

from aotlab.masks.exchange.matching import Target
from aotlab.masks.exchange.regions import Found, require_runs, require_size

STEP = 4
"""interval between annotated frames: videos have 24 frames a second, masklets 6"""


def parse_sav(tree: Any, target: Target) -> list[Found]:
    """Return the masklets of a video; object ids are one more than masklet ids, as in SA-V's folders of masks.

    Raises:
        ContentError: another size, or damaged run lengths.
    """
    require_size(tree["video_height"], tree["video_width"], target.size)
    count = tree.get("video_frame_count")
    step = 1 if isinstance(count, int) and len(tree["masklet"]) >= count else STEP
    found = []
    for index, masks in enumerate(tree["masklet"]):
        for masklet_id, mask in zip(tree["masklet_id"], masks, strict=False):
            if mask and mask["counts"]:
                runs = require_runs(mask["counts"], target.size)
                if runs[1::2].any():
                    found.append(Found(index * step, runs, key=int(masklet_id) + 1))
    return found
