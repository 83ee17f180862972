"""Frame-by-frame scoring of a sequence.

A benchmark's rules turn a sequence into a `ScoringPlan`. Frames are independent and may be scored in any order by any
number of processes; `join` merges the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from aotlab.evaluation.measures import match_contours, object_box, tolerance_radius
from aotlab.evaluation.object_scores import score_objects, wanted_files
from aotlab.masks.id_maps import VOID, read_mask
from aotlab.masks.object_masks import ListedObject
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

Merge = Literal["ids", "void"]
"""treat all ids as one object: ids above 0 except void, or all ids above 0 if the object is stored as 255"""


FrameMeasure = Callable[[np.ndarray, np.ndarray, Sequence[int], tuple[int, int]], np.ndarray]
"""(annotation, prediction, ids, size) to M×K values of one frame; both are H×W ids cropped to the foreground,
``size`` is (height, width) of the whole frame"""


class AnnotatedSequence(Protocol):
    """A sequence with ground truth, as needed for scoring."""

    @property
    def name(self) -> str:
        """Name of the sequence and of its result folder."""

    @property
    def annotations(self) -> tuple[Path, ...]:
        """Annotations (ground truth) in temporal order."""

    @property
    def object_folders(self) -> Mapping[int, Path]:
        """Annotations of overlapping objects: a folder of binary PNGs per object."""

    @property
    def objects(self) -> Sequence[ListedObject]:
        """Objects listed in the metadata; empty if there is no list."""

    @property
    def merge_ids(self) -> bool:
        """Whether all ids are one object."""

    @property
    def seen(self) -> bool | None:
        """Whether the whole video belongs to the seen split; None: unknown."""


@dataclass(frozen=True)
class ScoringPlan:
    """Objects and frames of a sequence to score: K objects, N frames."""

    name: str
    frames: tuple[Path, ...]
    """annotations of the scored frames in temporal order"""
    ids: tuple[int, ...]
    names: tuple[str, ...] = ()
    """names of the objects in tables; empty: their ids"""
    counted: np.ndarray | None = None
    """K×N bool: frames that count for an object; None: all"""
    present: np.ndarray | None = None
    """K×N bool: frames whose annotation has the object, if it counts only from its first appearance"""
    zeros: tuple[int, ...] = ()
    """number of missing frames per object that count as 0"""
    seen: tuple[bool | None, ...] = ()
    """group of each object; empty: unknown"""
    merge: Merge | None = None
    contour: bool = True
    """compute F as well as J"""
    strict: bool = True
    """raise on a predicted id that is not an object of the sequence; false: report it and treat it as background"""
    object_folders: Mapping[int, Path] = field(default_factory=dict)
    """annotation folder of each object, if they may overlap; ``frames`` then hold file names only"""
    measures: int = 2
    """number of values per object and frame: J, F and further ones of the rules"""
    measure: FrameMeasure | None = None
    """function that computes these values; None: `score_frame`"""


@dataclass(frozen=True)
class SequenceScores:
    """J and F of every object in every scored frame; NaN if a frame does not count for an object."""

    region: np.ndarray
    """K×N float64"""
    contour: np.ndarray
    """K×N float64; all NaN if only J is scored"""
    ids: tuple[int, ...]
    """object id of each row"""
    names: tuple[str, ...] = ()
    """name of each row in tables; empty: the object ids"""
    frames: tuple[str, ...] = ()
    """stem of each column; "" for a missing frame that counts as 0"""
    seen: tuple[bool | None, ...] = ()
    """group of each row; empty: unknown"""
    unknown_ids: frozenset[int] = field(default=frozenset())
    """predicted ids that are not objects of the sequence and were ignored"""
    others: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))
    """m×K×N float64: further values of the rules"""

    @property
    def object_names(self) -> tuple[str, ...]:
        """Name of each row in tables."""
        return self.names or tuple(map(str, self.ids))


@dataclass(frozen=True)
class FrameScores:
    """Scores of some frames of a plan: J, F and others, M×K×n float64, and ignored predicted ids."""

    values: np.ndarray
    unknown_ids: frozenset[int]


def require_predictions(plan: ScoringPlan, results: Path) -> None:
    """Check that ``results`` has a PNG for every frame of the plan.

    Raises:
        InputError: files are missing; names the first and their number.
    """
    wanted = [file for path in plan.frames for file in _files(plan, results, path)]
    missing = [path for path in wanted if not is_file(path)]
    if missing:
        raise InputError(
            f"{missing[0]}: no such mask file ({len(missing)} of {len(wanted)} scored frames are missing); "
            "expected one palette PNG for each frame"
        )


def _files(plan: ScoringPlan, results: Path, path: Path) -> list[Path]:
    """Return the result files of one frame."""
    if plan.object_folders:
        return wanted_files(plan.object_folders, results, path.name)
    return [results / f"{path.stem}.png"]


def score_files(plan: ScoringPlan, results: Path, first: int = 0, stop: int | None = None) -> FrameScores:
    """Score frames ``first`` to ``stop`` - 1 of a plan against the PNGs with the same names in ``results``.

    Raises:
        InputError: a file is missing or not a mask, sizes differ, or an id is not in the plan.
    """
    columns, unknown = [np.empty((plan.measures, len(plan.ids), 0))], set()
    for path in plan.frames[first:stop]:
        if plan.object_folders:
            values, ids = score_objects(plan.object_folders, results, path.name)
        else:
            found = results / f"{path.stem}.png"
            values, ids = score_pair(plan, str(found), read_mask(path), read_mask(found))
        columns.append(values[:, :, None])
        unknown |= ids
    return FrameScores(np.concatenate(columns, axis=2), frozenset(unknown))


def score_pair(
    plan: ScoringPlan, name: str, annotation: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, set[int]]:
    """Return J, F and others (M×K) of one frame, and the ignored predicted ids.

    Args:
        plan: objects and rules.
        annotation: H×W ids, 255 for void.
        prediction: H×W ids.

    Raises:
        InputError: sizes differ, or an id is not in the plan.
    """
    if annotation.shape != prediction.shape:
        raise InputError(
            f"{name}: the prediction is {prediction.shape[1]}×{prediction.shape[0]}, its annotation "
            f"{annotation.shape[1]}×{annotation.shape[0]}; write predictions in the annotation's size"
        )
    size = (annotation.shape[0], annotation.shape[1])
    radius = tolerance_radius(*size)
    if plan.merge:
        annotation = annotation > 0 if plan.merge == "void" else (annotation > 0) & (annotation != VOID)
        annotation, prediction = _cut(annotation.view(np.uint8), (prediction > 0).view(np.uint8))
        return score_frame(annotation, prediction, plan, radius), set()
    annotation, prediction = _cut(annotation, prediction)
    unknown = unknown_ids(prediction, plan.ids)
    if unknown and plan.strict:
        last = max(plan.ids)
        known = f"1 to {last}" if plan.ids == tuple(range(1, last + 1)) else ", ".join(map(str, plan.ids))
        raise InputError(f"{name}: id {max(unknown)}, but the objects of the first annotation are {known}")
    if plan.measure is not None:
        return plan.measure(annotation, prediction, plan.ids, size), unknown
    return score_frame(annotation, prediction, plan, radius), unknown


def _cut(annotation: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop H×W ids to the foreground of both, padded by one pixel; 0×0 if both are empty."""
    rows = _span(*(np.bitwise_or.reduce(labels, axis=1) for labels in (annotation, prediction)))
    annotation, prediction = annotation[rows], prediction[rows]
    columns = _span(*(np.bitwise_or.reduce(labels, axis=0) for labels in (annotation, prediction)))
    return annotation[:, columns], prediction[:, columns]


def _span(one: np.ndarray, other: np.ndarray) -> slice:
    """Return the range of nonzero entries of either array, padded by one."""
    found = np.flatnonzero(one | other)
    return slice(max(found[0] - 1, 0), found[-1] + 2) if len(found) else slice(0)


def score_frame(annotation: np.ndarray, prediction: np.ndarray, plan: ScoringPlan, radius: int) -> np.ndarray:
    """Return J and F of the plan's objects in one frame, 2×K, from H×W ids cropped to a box of all objects.

    Contours match within ``radius`` pixels.
    """
    scores = np.ones((2, len(plan.ids)))
    if not plan.contour:
        scores[1] = np.nan
    for index, object_id in enumerate(plan.ids):
        true, found = annotation == object_id, prediction == object_id
        union = true | found
        # a second crop removes only empty pixels or the border of the frame
        box = object_box(union) if union.size else None
        if box is None:
            continue
        true, found = true[box], found[box]
        total = cv2.countNonZero(union[box].view(np.uint8))
        # one bit of each byte is set, so the Hamming norm counts pixels
        different = int(cv2.norm(true.view(np.uint8), found.view(np.uint8), cv2.NORM_HAMMING))
        scores[0, index] = (total - different) / total
        if plan.contour and different:
            scores[1, index] = match_contours(true, found, radius)
    return scores


def unknown_ids(labels: np.ndarray, ids: Sequence[int]) -> set[int]:
    """Return the ids of H×W labels that are neither background nor in ``ids``."""
    if labels.max(initial=0) <= len(ids) and tuple(ids) == tuple(range(1, len(ids) + 1)):
        return set()
    return set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0, *ids}


def join(plan: ScoringPlan, parts: Sequence[FrameScores]) -> SequenceScores:
    """Join the scores of all frames, in order, to those of the sequence."""
    region, contour, *others = np.concatenate([part.values for part in parts], axis=2)
    counted = plan.counted
    if plan.present is not None:
        # if the annotation lacks the object, J below 1 means that the prediction has it
        from_first = np.maximum.accumulate(plan.present | (region < 1), axis=1)
        counted = from_first if counted is None else counted & from_first
    if counted is not None:
        region, contour = np.where(counted, region, np.nan), np.where(counted, contour, np.nan)
    stems = tuple(path.stem for path in plan.frames)
    if any(plan.zeros):
        extra = np.full((len(plan.ids), max(plan.zeros)), np.nan)
        for row, count in zip(extra, plan.zeros, strict=True):
            row[:count] = 0
        region, contour = np.hstack([region, extra]), np.hstack([contour, extra])
        stems += ("",) * max(plan.zeros)
    unknown = frozenset().union(*(part.unknown_ids for part in parts))
    beside = {"others": np.stack(others)} if others else {}
    return SequenceScores(region, contour, plan.ids, plan.names, stems, plan.seen, unknown, **beside)
