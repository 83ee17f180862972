"""MOSE v2: smoothed J, adaptive F for small objects, disappearance and reappearance scores.

The first and the last annotated frame do not count. J adds one pixel to intersection and union. The tolerance of
F_dot is a tenth of the square root of the object's area, but at most F's. J&F_d covers the frames on which an object
has disappeared, J&F_r the frames after it has reappeared; each run of frames has the same weight, and objects that
never disappear have no such value. Source: Ding et al. 2025 and the published scorer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation import metrics
from aotlab.evaluation.benchmark import VALID_LAYOUT
from aotlab.evaluation.benchmarks.mose import MOSE, read_mose
from aotlab.evaluation.label_scores import LabelScorer, plan_labels
from aotlab.evaluation.rows import Row, Summary, column_mean
from aotlab.evaluation.sequence_scores import ScoredObject, ScoringPlan

AREA_TOLERANCE = 0.1
"""Largest distance of matching contours, as a fraction of the square root of the object's area."""


@dataclass(frozen=True)
class MOSEv2(MOSE):
    """MOSE, second version: the same layout, whose objects meta.json lists if it exists."""

    layout = f"{VALID_LAYOUT}, optionally valid/meta.json"
    source = "https://mose.video"
    folder = "MOSEv2"
    columns = ("J&F_dot", "J", "F_dot", "J&F_d", "J&F_r", "J&F", "F")
    lower_is_better = ()
    metrics = ("J", "F_dot", "F", "absent")

    def read_videos(self, root: Path, split: str) -> list[Video]:
        return read_mose(root, split, list_objects=True)

    def plan(self, video: Video) -> ScoringPlan:
        """Plan the scoring of the objects of the metadata, else of the first annotation."""
        plan = plan_labels(video, self.measure, present_ids=True)
        objects = tuple(ScoredObject(item.object_id) for item in video.objects) or plan.objects
        ids = tuple(item.object_id for item in objects)
        return replace(plan, objects=objects, scorer=LabelScorer(ids, self.measure, refuse_unknown_ids=False))

    def measure(self, annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> Sequence[float]:
        """Return J, F_dot, F, and 1 if the annotation lacks the object, else 0."""
        area, union = np.count_nonzero(annotation), np.count_nonzero(annotation | prediction)
        region = min(1.0, (np.count_nonzero(annotation & prediction) + 1) / (union + 1))
        max_radius = metrics.CONTOUR_TOLERANCE * math.hypot(*size)
        radius = math.ceil(AREA_TOLERANCE * math.sqrt(area))
        if area > 0 and radius < max_radius:
            contour = metrics.match_contours(annotation, prediction, metrics.tolerance_radius(*size))
            return region, metrics.match_contours(annotation, prediction, radius), contour, 0.0
        # The published scorer does not round this radius. Below one pixel its disk is empty; here it is one pixel.
        count = metrics.count_matched if max_radius < 1 else count_in_disk
        contour = metrics.match_contours(annotation, prediction, max(1, max_radius), count)
        return region, contour, contour, float(area == 0)

    def make_row(self, *values: np.ndarray) -> Row:
        region, adaptive, contour, absent = values
        j, f_dot, f = (100 * float(scores.mean()) for scores in (region, adaptive, contour))
        row = {"J&F_dot": (j + f_dot) / 2, "J": j, "F_dot": f_dot}
        starts = [0, *(np.flatnonzero(np.diff(absent)) + 1).tolist(), len(absent)]
        # The object neither appeared nor disappeared before the first run, so that run does not count.
        runs = list(pairwise(starts))[1:]
        for column, is_absent in (("J&F_d", True), ("J&F_r", False)):
            means = [
                50 * float(region[start:stop].mean() + adaptive[start:stop].mean())
                for start, stop in runs
                if bool(absent[start]) is is_absent
            ]
            if means:
                row[column] = sum(means) / len(means)
        return {**row, "J&F": (j + f) / 2, "F": f}

    def summarize(self, rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
        """Return the means over all objects. For J&F_d and J&F_r, objects without them are skipped; None if all are."""
        return {column: column_mean(rows, column) for column in self.columns}


def count_in_disk(contour: np.ndarray, other: np.ndarray, radius: float) -> int:
    """Count the pixels of ``contour`` in a disk around those of ``other``, H×W bool each, as the published scorer does.

    It samples its disk from ``-radius`` in steps of one, so a fractional radius puts the disk off-center.
    """
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    return int(np.count_nonzero(contour & (cv2.dilate(other.astype(np.uint8), disk) > 0)))
