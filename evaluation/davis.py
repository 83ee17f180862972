"""Scores of label maps by the rules of DAVIS 2016 and 2017 (semi-supervised).

The objects are ids 1 to K, K the largest id of the first annotation. The first and the last annotated frame
are not scored. Void pixels (255) of an annotation are background. For DAVIS 2016 all ids are merged into one.
Source: Pont-Tuset et al. 2017 and the public evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.measures import contour_accuracy, region_similarity
from utils.errors import InputError
from utils.masks import VOID, read_mask

LabelPair = tuple[str, np.ndarray, np.ndarray]
"""A frame's name for messages, its true labels and its predicted labels, both H×W."""


@dataclass(frozen=True)
class SequenceScores:
    """J and F of every object in every scored frame: (K, N) float64 each, object k in row k - 1."""

    region: np.ndarray
    contour: np.ndarray


def annotation_labels(annotation: np.ndarray, *, merge_ids: bool = False) -> np.ndarray:
    """Object ids of an annotation: void becomes background; ``merge_ids`` makes every object id 1.

    The first release of DAVIS 2016 writes its single object as 255. So where ids are merged and an annotation
    holds nothing but 0 and 255, those 255 are the object, not void.

    Args:
        annotation: H×W unsigned integers as read from the PNG.
    """
    objects = (annotation != 0) & (annotation != VOID)
    if not merge_ids:
        return np.where(objects, annotation, 0)
    return (objects if objects.any() else annotation == VOID).astype(np.uint8)


def score_labels(
    truth: Sequence[np.ndarray], prediction: Sequence[np.ndarray], *, merge_ids: bool = False
) -> SequenceScores:
    """Score T label maps held in memory against T predicted ones.

    Args:
        truth: T arrays of H×W ids, 255 for void.
        prediction: T arrays of the same size; the first and last are not looked at.
        merge_ids: DAVIS 2016: every id is the one object.

    Raises:
        InputError: fewer than three frames, no object, sizes that differ, a predicted id above K.
    """
    if len(truth) != len(prediction):
        raise InputError(f"{len(prediction)} predicted frames for {len(truth)} annotated ones; give as many")
    _require_frames(len(truth), "the sequence")
    middle = range(1, len(truth) - 1)
    pairs = ((f"frame {index}", truth[index], prediction[index]) for index in middle)
    return _score(truth[0], "frame 0", pairs, merge_ids=merge_ids)


def score_sequence(truth: Sequence[Path], results_folder: Path, *, merge_ids: bool = False) -> SequenceScores:
    """Score the folder of one sequence, frame by frame.

    Args:
        truth: the sequence's annotations, in any order; frames are ordered by name.
        results_folder: holds one PNG of the same name for each; others are not looked at.
        merge_ids: DAVIS 2016: every id is the one object.

    Raises:
        InputError: fewer than three frames, no object, a missing or unreadable file, sizes that differ,
            a predicted id above the number of objects.
    """
    ordered = sorted(truth, key=lambda path: path.stem)
    _require_frames(len(ordered), str(results_folder))
    first = read_mask(ordered[0])
    return _score(first, str(ordered[0]), _read_pairs(ordered[1:-1], results_folder), merge_ids=merge_ids)


def score_folders(
    annotations: Path, results: Path, sequences: Iterable[str], *, merge_ids: bool = False
) -> dict[str, SequenceScores]:
    """Score ``results/<sequence>/*.png`` against ``annotations/<sequence>/*.png``.

    Raises:
        InputError: as `score_sequence`, or a sequence without annotations.
    """
    scores = {}
    for sequence in sequences:
        truth = [path for path in (annotations / sequence).glob("*.png") if not path.name.startswith(".")]
        if not truth:
            raise InputError(f"{annotations / sequence}: no annotation here; expected one PNG for each frame")
        scores[sequence] = score_sequence(truth, results / sequence, merge_ids=merge_ids)
    return scores


def score_frame(truth: np.ndarray, prediction: np.ndarray, count: int) -> tuple[list[float], list[float]]:
    """J and F of objects 1 to ``count`` in one frame; both maps are H×W ids."""
    masks = [(truth == identity, prediction == identity) for identity in range(1, count + 1)]
    region = [region_similarity(true, found) for true, found in masks]
    return region, [contour_accuracy(true, found) for true, found in masks]


def _require_frames(count: int, name: str) -> None:
    if count < 3:
        raise InputError(
            f"{name}: {count} annotated frames, but the first and last are not scored; at least 3 are needed"
        )


def _read_pairs(truth: Sequence[Path], results_folder: Path) -> Iterator[LabelPair]:
    """Read each annotation and its prediction when its turn comes."""
    for path in truth:
        found = results_folder / f"{path.stem}.png"
        yield str(found), read_mask(path), read_mask(found)


def _score(
    first: np.ndarray, first_name: str, pairs: Iterable[LabelPair], *, merge_ids: bool
) -> SequenceScores:
    """Score the pairs; the first annotation tells how many objects there are and how they are written."""
    # 0 and 255 alone in a later frame may be void around an absent object: only the first frame decides
    void_is_object = merge_ids and set(np.unique(first)) == {0, VOID}
    count = int(annotation_labels(first, merge_ids=merge_ids).max(initial=0))
    if count == 0:
        raise InputError(f"{first_name}: no object in the first annotation; expected ids 1 to 254")
    rows = []
    for name, truth, prediction in pairs:
        if truth.shape != prediction.shape:
            raise InputError(
                f"{name}: the prediction is {prediction.shape[1]}×{prediction.shape[0]}, its annotation "
                f"{truth.shape[1]}×{truth.shape[0]}; write predictions in the annotation's size"
            )
        largest = int(prediction.max(initial=0))
        if merge_ids:
            prediction = prediction > 0
            truth = truth > 0 if void_is_object else (truth > 0) & (truth != VOID)
        elif largest > count:
            raise InputError(f"{name}: id {largest}, but the first annotation has objects 1 to {count} only")
        else:
            truth = annotation_labels(truth)
        rows.append(score_frame(truth, prediction, count))
    measures = np.array(rows, dtype=np.float64)
    return SequenceScores(region=measures[:, 0].T, contour=measures[:, 1].T)
