"""Review of a tracked video, review.json: frames on which objects are lost, and frames to check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from aotlab.engine.video.review import frames_to_check
from aotlab.engine.video.scores import LOST_AFTER, MIN_CONFIDENCE, Score, measured, read_scores
from aotlab.engine.video.tracked import Output, Tracked
from aotlab.masks.doubts import Doubts
from aotlab.media.video import FrameSource
from aotlab.utils.files import write_text
from aotlab.utils.text import columns

SHOWN = 10
"""largest number of printed frames to check"""


class ReviewFile(Output):
    """``review.json``: the content of `review_of`, written at the end."""

    def __init__(self, path: Path, source: FrameSource) -> None:
        super().__init__(path)
        self._name, self._levels = source.name, source.levels
        self._scores: dict[int, dict[int, Score]] = {}
        self._doubts = Doubts()

    def write(self, name: str, tracked: Tracked) -> None:
        """Add one frame."""
        found = tracked.prediction
        signs = self._doubts.of(tracked.index, tracked.labels, tracked.frame, found.ids)
        self._scores[tracked.index] = read_scores(
            measured(tracked.labels, found.ids, found.confidence, found.disagreement, signs)
        )

    def finish(self) -> None:
        """Write the file."""
        review = review_of(self._name, self._scores)
        review["objects"] = [
            item | {"class_name": self.class_names[item["id"]]} if item["id"] in self.class_names else item
            for item in review["objects"]
        ]
        if self._levels is not None:
            review["levels"] = self._levels.report()
        write_text(self.path, json.dumps(review, indent=1) + "\n")


def review_of(name: str, scores: Mapping[int, Mapping[int, Score]]) -> dict[str, Any]:
    """Return the review of a video as JSON values: objects with the ranges on which each is lost, frames to check.

    Args:
        name: name of the video.
        scores: scores by frame and object id.
    """
    object_ids = sorted({object_id for found in scores.values() for object_id in found})
    return {
        "video": name,
        "frames": len(scores),
        "lost": {"frames": LOST_AFTER, "confidence": MIN_CONFIDENCE},
        "objects": [_object(object_id, scores) for object_id in object_ids],
        "check": [asdict(check) for check in frames_to_check(scores)],
    }


def table(review: Mapping[str, Any]) -> list[str]:
    """Return printed lines: a row per object, then the frames to check.

    If both directions were tracked, a column holds their mean disagreement.
    """
    both = any(item["disagreement"] is not None for item in review["objects"])
    rows = [["object", "visible", "absent", "lost", "confidence", *["disagreement"] * both]]
    ranges = ["lost on frames"]
    for item in review["objects"]:
        differ = "-" if item["disagreement"] is None else f"{item['disagreement']:.2f}"
        counts = [str(item[key]) for key in ("id", "visible", "absent", "lost")]
        rows.append([*counts, f"{item['confidence']:.2f}", *[differ] * both])
        ranges.append(", ".join(f"{first} to {last}" for first, last in item["lost_on"]) or "-")
    lines = ["  ".join([*row, last]) for row, last in zip(columns(rows, right=0), ranges, strict=True)]
    frames: dict[int, list[str]] = {}
    for check in review["check"]:
        told = f"object {check['object_id']} ({check['reason']}, {check['severity']:.2f})"
        frames.setdefault(check["frame"], []).append(told)
    if frames:
        lines.append("frames to check first:")
    lines += [f"  frame {frame}: {', '.join(found)}" for frame, found in list(frames.items())[:SHOWN]]
    return lines


def _object(object_id: int, scores: Mapping[int, Mapping[int, Score]]) -> dict[str, Any]:
    """Return counts and lost ranges of one object; a range starts at the first frame without the object."""
    own = {index: scores[index][object_id] for index in sorted(scores) if object_id in scores[index]}
    runs = [(seen, list(run)) for seen, run in groupby(own, lambda index: own[index].seen)]
    lost = [run for seen, run in runs if not seen and len(run) >= LOST_AFTER]
    visible = [score.confidence for score in own.values() if score.area]
    differ = [score.disagreement for score in own.values() if score.disagreement is not None]
    return {
        "id": object_id,
        "visible": len(visible),
        "absent": len(own) - len(visible),
        "lost": sum(map(len, lost)),
        "lost_on": [[run[0], run[-1]] for run in lost],
        "confidence": round(sum(visible) / len(visible), 4) if visible else 0.0,
        "disagreement": round(sum(differ) / len(differ), 4) if differ else None,
    }
