"""Frames to check, ranked by how doubtful their masks are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

import aotlab_video
from aotlab_studio.document.scores import Score, find_lost_runs
from aotlab_studio.document.snapshot import Snapshot

REVIEW_FILE = "review.json"
MIN_DISTANCE = 5
"""Smallest distance in frames of checks for one object and reason. Correcting one frame helps those near it."""
MIN_SEVERITY = 0.25
GROWTH_FRAMES = 10
LONG_DISTANCES = {"contact": 25, "growth": 25}
"""`MIN_DISTANCE` for reasons that last many frames."""
MIN_STRAY_SHARE = 0.08
"""Smallest share of an object's pixels in a part that is detached, or was another object's, that needs a check."""
REASONS = {
    "lost": "is lost",
    "fragment": "has a stray piece",
    "flip": "has a part that was another object's a frame before",
    "contact": "touches an object of similar color",
    "unsure": "has low confidence",
    "area": "suddenly changes size",
    "growth": "changes size within ten frames",
    "far": "has a part far from its last mask",
    "jump": "jumps",
    "disagreement": "differs between forward and backward tracking",
}


@dataclass(frozen=True)
class Check:
    """A frame on which the mask of an object is doubtful."""

    frame: int
    object_id: int
    reason: str
    """Key of `REASONS`."""
    severity: float
    """How doubtful the mask is, 0 to 1."""

    @property
    def description(self) -> str:
        """The reason in words, to follow the name of the object."""
        return REASONS.get(self.reason, self.reason)


class ReviewedObject(Struct):
    """An object in the review of a video."""

    id: int
    lost_on: list[tuple[int, int]] = []
    """First and last frame of each range on which the object is lost."""
    class_name: str | None = None


class VideoReview(Struct, frozen=True):
    """Review of a video: its objects, frames to check, and cuts."""

    objects: list[ReviewedObject] = []
    check: list[Check] = []
    """Frames to check, worst first."""
    cuts: list[int] = []
    """First frame after each cut."""
    levels: dict[str, Any] | None = None
    """Levels of the images, see `open_frames`; None for a video file."""


def find_checks(
    scores: Mapping[int, Mapping[int, Score]], drawn_objects: Mapping[int, frozenset[int]] = {}
) -> list[Check]:
    """Return the checks for scores by frame and object id, worst first. Drawn masks need no check."""
    checks = []
    for object_id in sorted({key for by_object in scores.values() for key in by_object}):
        by_frame = {index: scores[index][object_id] for index in sorted(scores) if object_id in scores[index]}
        drawn_frames = {index for index, object_ids in drawn_objects.items() if object_id in object_ids}
        checks += _check_object(object_id, by_frame, drawn_frames)
    return sorted(checks, key=lambda check: (-check.severity, check.frame, check.object_id))


def list_checks(snapshot: Snapshot) -> list[Check]:
    """Return the checks of a snapshot, worst first, without frames that are marked as checked."""
    scores = {index: snapshot.scores(index) for index in snapshot.annotated_frames}
    drawn_ids = {index: frozenset(snapshot.drawn_masks(index)) for index in snapshot.drawn_frames}
    return [check for check in find_checks(scores, drawn_ids) if check.frame not in snapshot.checked_frames]


def _check_object(object_id: int, scores: Mapping[int, Score], drawn_frames: set[int]) -> list[Check]:
    """Return the checks of one object. Of neighboring frames with the same reason, only the worst is returned."""
    kept: dict[str, list[Check]] = {}
    seen = {index: index in drawn_frames or score.visible for index, score in scores.items()}
    lost = {run[aotlab_video.LostObjects.FRAMES - 1] for run in find_lost_runs(seen)}
    for index, score in scores.items():
        if index in drawn_frames:
            continue
        severities = {
            "lost": float(index in lost),
            # 0 at a confidence of 0.96 and above, `MIN_SEVERITY` at 0.82, 1 at 0.4
            "unsure": min(1.0, max(0.0, (0.96 - score.confidence) / 0.56)) if score.area else 0.0,
            "fragment": _rate_stray(score.signals.fragment),
            "flip": _rate_stray(score.signals.flip),
            "far": _rate_stray(score.signals.far),
            "contact": 0.8 * score.signals.contact,
            "disagreement": score.disagreement or 0.0,
        }
        if (before := scores.get(index - 1)) is not None:
            severities["area"] = _rate_area_change(before, score)
            severities["jump"] = _rate_jump(before, score)
        sudden = [check.frame for check in kept.get("area", ())] + [index] * (severities.get("area", 0) >= MIN_SEVERITY)
        earlier = scores.get(index - GROWTH_FRAMES)
        if earlier is not None and not any(index - frame < GROWTH_FRAMES for frame in sudden):
            severities["growth"] = _rate_growth(earlier, score)
        for reason, severity in severities.items():
            if severity >= MIN_SEVERITY:
                distance = LONG_DISTANCES.get(reason, MIN_DISTANCE)
                check = Check(index, object_id, reason, round(severity, 3))
                checks = kept.setdefault(reason, [])
                if not checks or index - checks[-1].frame >= distance:
                    checks.append(check)
                elif check.severity > checks[-1].severity:
                    checks[-1] = check
    return [check for checks in kept.values() for check in checks]


def _rate_stray(share: float) -> float:
    """Rate a part: 0 below `MIN_STRAY_SHARE`, then from 0.6 to 1 for a quarter of the object."""
    return min(1.0, 0.6 + 0.4 * (share - MIN_STRAY_SHARE) / 0.17) if share >= MIN_STRAY_SHARE else 0.0


def _rate_area_change(before: Score, after: Score) -> float:
    """Rate a change of area: 0 for a similar area, up to 0.75 for an object that appears or disappears."""
    smaller, larger = sorted((before.area, after.area))
    return 0.0 if larger < 16 else max(0.0, 1 - smaller / larger - 0.25)


def _rate_growth(earlier: Score, score: Score) -> float:
    """Rate a change of area within `GROWTH_FRAMES`: 0 up to a fifth more, `MIN_SEVERITY` at 1.4, 1 at 2 times."""
    smaller, larger = sorted((earlier.area, score.area))
    return min(1.0, max(0.0, (larger / smaller - 1.2) / 0.8)) if smaller >= 16 else 0.0


def _rate_jump(before: Score, after: Score) -> float:
    """Rate a move of the center: 0 up to a quarter of the square root of the area, 1 from 1.25 times the root."""
    if not before.area or not after.area:
        return 0.0
    distance = math.hypot(before.x - after.x, before.y - after.y)
    return max(0.0, min(1.0, distance / before.area**0.5 - 0.25))
