"""SA-V's JSON of masklets, manual or automatic: https://ai.meta.com/datasets/segment-anything-video."""

from __future__ import annotations

from typing import Any

from aotlab.masks.exchange.matching import Target
from aotlab.masks.exchange.regions import Found, require_runs, require_size
from aotlab.masks.exchange.safe_files import ContentError, value_of

STEP = 4
"""frames from one annotated frame to the next: videos have 24 a second, masklets 6"""


def is_sav(tree: Any) -> bool:
    """Return whether JSON is a file of SA-V."""
    return isinstance(tree, dict) and {"masklet", "masklet_id", "video_height", "video_width"} <= tree.keys()


def parse_sav(tree: Any, target: Target) -> list[Found]:
    """Return the masklets of a video; object ids are one more than masklet ids, as in SA-V's folders of masks.

    Raises:
        ContentError: another size, or a field is missing or wrong.
    """
    require_size(tree["video_height"], tree["video_width"], target.size)
    ids, frames = value_of(tree, "masklet_id", list), value_of(tree, "masklet", list)
    if not all(isinstance(number, int) and number >= 0 for number in ids):
        raise ContentError("'masklet_id' holds something else than whole numbers; fetch the file again")
    count = tree.get("video_frame_count")
    step = 1 if isinstance(count, int) and len(frames) >= count else STEP
    found = []
    for index, masks in enumerate(frames):
        if not isinstance(masks, list) or len(masks) > len(ids):
            raise ContentError(f"'masklet' {index} is not a list of {len(ids)} masks; fetch the file again")
        for number, mask in zip(ids, masks, strict=False):
            counts = mask.get("counts") if isinstance(mask, dict) else None
            if counts:
                runs = require_runs(counts, target.size)
                if runs[1::2].any():
                    found.append(Found(index * step, runs, key=number + 1))
    return found
