"""Scoring a sequence frame by frame: what is scored of it, and its scores.

A benchmark's rules make a `ScoringPlan` of a sequence. Frames do not depend on one another, so they may be scored in
any order and by any number of processes; `join` puts the parts together.
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
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

Merge = Literal["ids", "void"]
"""All ids are one object: those above 0 but void, or every one above 0 where the object is written as 255."""


FrameMeasure = Callable[[np.ndarray, np.ndarray, Sequence[int], tuple[int, int]], np.ndarray]
"""(true labels, predicted labels, ids, size) to M×K values of one frame; labels are H×W ids cut to a box of all that is
not background, ``size`` is (height, width) of the whole frame"""


class ListedObject(Protocol):
    """An object that a data set lists by itself, not by the first annotation."""

    @property
    def identity(self) -> int:
        """Its id."""

    @property
    def frames(self) -> tuple[str, ...]:
        """Stems of its frames in time order, from the first mask on."""

    @property
    def length(self) -> int:
        """Number of frames that its metadata states."""

    @property
    def seen(self) -> bool | None:
        """Whether its category is among the training set's; None: not known."""


class AnnotatedSequence(Protocol):
    """A sequence with its ground truth, as far as scoring needs to know it."""

    @property
    def name(self) -> str:
        """The sequence's name, also of its folder of results."""

    @property
    def annotations(self) -> tuple[Path, ...]:
        """Its annotations (ground truth) in time order."""

    @property
    def object_folders(self) -> Mapping[int, Path]:
        """Ground truth where objects may overlap: a folder of binary PNGs for each."""

    @property
    def objects(self) -> Sequence[ListedObject]:
        """The objects where the data set lists them; else empty."""

    @property
    def merge_ids(self) -> bool:
        """Every id is the one object."""

    @property
    def seen(self) -> bool | None:
        """Whether the whole video is of the seen part; None: not known."""


@dataclass(frozen=True)
class ScoringPlan:
    """Which objects of a sequence are scored on which frames: K objects, N frames."""

    name: str
    frames: tuple[Path, ...]
    """annotations of the scored frames in time order"""
    ids: tuple[int, ...]
    counted: np.ndarray | None = None
    """K×N bool: frames that count for an object; None: all do"""
    present: np.ndarray | None = None
    """K×N bool: frames whose annotation has the object, where it counts from its first sight on only"""
    zeros: tuple[int, ...] = ()
    """frames for each object that count as 0 without being there"""
    seen: tuple[bool | None, ...] = ()
    """group of each object; empty: not known of any"""
    merge: Merge | None = None
    contour: bool = True
    """F is wanted as well as J"""
    strict: bool = True
    """a predicted id that is no object of the sequence is an error; else it is background, and reported"""
    object_folders: Mapping[int, Path] = field(default_factory=dict)
    """annotations of each object by itself; ``frames`` then are names alone"""
    measures: int = 2
    """how many values an object has in a frame: J, F, and what else the rules want"""
    measure: FrameMeasure | None = None
    """what gives these values; None: `score_frame`"""


@dataclass(frozen=True)
class SequenceScores:
    """J and F of every object in every scored frame; NaN in frames that do not count for an object."""

    region: np.ndarray
    """K×N float64"""
    contour: np.ndarray
    """K×N float64; all NaN where only J is wanted"""
    ids: tuple[int, ...]
    """object of each row"""
    frames: tuple[str, ...] = ()
    """stem of each column; "" for one that counts as 0 without being there"""
    seen: tuple[bool | None, ...] = ()
    """group of each row; empty: not known of any"""
    unknown_ids: frozenset[int] = field(default=frozenset())
    """predicted ids that are no object of the sequence, and were passed over"""
    others: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))
    """m×K×N float64: values beside J and F, where the rules want them"""


@dataclass(frozen=True)
class FrameScores:
    """Scores of some frames of a plan: J, F and others, M×K×n float64, and predicted ids that were passed over."""

    values: np.ndarray
    unknown_ids: frozenset[int]


def require_predictions(plan: ScoringPlan, results: Path) -> None:
    """Raise unless ``results`` has a PNG for every frame of the plan.

    Raises:
        InputError: names the first missing one and the number of all.
    """
    wanted = [file for path in plan.frames for file in _files(plan, results, path)]
    missing = [path for path in wanted if not is_file(path)]
    if missing:
        raise InputError(
            f"{missing[0]}: no such mask file ({len(missing)} of {len(wanted)} scored frames are missing); "
            "expected one palette PNG for each frame"
        )


def _files(plan: ScoringPlan, results: Path, path: Path) -> list[Path]:
    """The files that one frame's results are read from."""
    if plan.object_folders:
        return wanted_files(plan.object_folders, results, path.name)
    return [results / f"{path.stem}.png"]


def score_files(plan: ScoringPlan, results: Path, first: int = 0, stop: int | None = None) -> FrameScores:
    """Score frames ``first`` to ``stop`` - 1 of a plan against the PNGs of the same names in ``results``.

    Raises:
        InputError: a file is missing or no mask, sizes differ, an id that the plan does not have.
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
    """J, F and others (M×K) of one frame, and the predicted ids that were passed over.

    Args:
        plan: says which ids are the objects.
        name: of the prediction, for messages.
        annotation: H×W ids, 255 for void.
        prediction: H×W ids.

    Raises:
        InputError: the sizes differ, or an id that the plan does not have.
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
        raise InputError(f"{name}: id {max(unknown)}, but the first annotation has objects {known} only")
    if plan.measure is not None:
        return plan.measure(annotation, prediction, plan.ids, size), unknown
    return score_frame(annotation, prediction, plan, radius), unknown


def _cut(annotation: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H×W ids each, cut to what is not background in either, grown by one; 0×0 where nothing is."""
    rows = _span(*(np.bitwise_or.reduce(labels, axis=1) for labels in (annotation, prediction)))
    annotation, prediction = annotation[rows], prediction[rows]
    columns = _span(*(np.bitwise_or.reduce(labels, axis=0) for labels in (annotation, prediction)))
    return annotation[:, columns], prediction[:, columns]


def _span(one: np.ndarray, other: np.ndarray) -> slice:
    """From the first to the last index where either is not 0, grown by one."""
    found = np.flatnonzero(one | other)
    return slice(max(found[0] - 1, 0), found[-1] + 2) if len(found) else slice(0)


def score_frame(annotation: np.ndarray, prediction: np.ndarray, plan: ScoringPlan, radius: int) -> np.ndarray:
    """J and F of the plan's objects in one frame, 2×K, from H×W ids cut to a box of them all.

    Contours match within ``radius`` pixels.
    """
    scores = np.ones((2, len(plan.ids)))
    if not plan.contour:
        scores[1] = np.nan
    for index, identity in enumerate(plan.ids):
        true, found = annotation == identity, prediction == identity
        union = true | found
        # cutting again only cuts off what is empty, or the border of the frame itself
        box = object_box(union) if union.size else None
        if box is None:
            continue
        true, found = true[box], found[box]
        total = cv2.countNonZero(union[box].view(np.uint8))
        # one bit of a byte says what the pixel is
        different = int(cv2.norm(true.view(np.uint8), found.view(np.uint8), cv2.NORM_HAMMING))
        scores[0, index] = (total - different) / total
        if plan.contour and different:
            scores[1, index] = match_contours(true, found, radius)
    return scores


def unknown_ids(labels: np.ndarray, ids: Sequence[int]) -> set[int]:
    """Ids of H×W labels that are neither background nor among ``ids``."""
    if labels.max(initial=0) <= len(ids) and tuple(ids) == tuple(range(1, len(ids) + 1)):
        return set()
    return set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0, *ids}


def join(plan: ScoringPlan, parts: Sequence[FrameScores]) -> SequenceScores:
    """The scores of a sequence from those of all its frames, in order."""
    region, contour, *others = np.concatenate([part.values for part in parts], axis=2)
    counted = plan.counted
    if plan.present is not None:
        # where the annotation lacks the object, J below 1 says that the prediction has it
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
    return SequenceScores(region, contour, plan.ids, stems, plan.seen, unknown, **beside)
