"""Frame-by-frame scoring of a sequence.

A benchmark turns a video into a `ScoringPlan`. Its `FrameScorer` scores frames in any order, in any number of
processes; `join_scores` merges them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from aotlab.utils.errors import InputError, require
from aotlab.utils.files import require_none_missing

FrameScores = tuple[np.ndarray, set[int]]
"""The M metrics of a frame, M×K float64, and the predicted ids that were ignored."""
METRICS = ("J", "F")
"""Names of the metrics of DAVIS."""


class ScoredObject(NamedTuple):
    """An object of a sequence, with its name in tables."""

    object_id: int
    seen_in_training: bool | None = None
    """Its category, video or kitchen occurs in the training set; None: unknown."""
    folder: str = ""
    """Name of the folder of its annotations; empty: annotations are id PNGs of all objects."""
    missing_frames: int = 0
    """Number of missing frames, which count as 0."""

    @property
    def name(self) -> str:
        """Name in tables."""
        return self.folder or str(self.object_id)


class FrameScorer(Protocol):
    """Scorer of single frames, which processes receive without the other frames of the sequence.

    `aotlab score --measure` replaces ``measure`` in dataclasses that have it.
    """

    def result_files(self, results: Path, frame: Path) -> list[Path]:
        """Return the result files of a frame."""

    def score(self, results: Path, frame: Path) -> FrameScores:
        """Score a frame."""


@dataclass(frozen=True)
class ScoringPlan:
    """Objects and frames of a sequence to score: K objects, N frames."""

    name: str
    frames: tuple[Path, ...]
    """Annotations of the scored frames in temporal order, or their file names if each object has a folder of them."""
    objects: tuple[ScoredObject, ...]
    scorer: FrameScorer
    is_counted: np.ndarray | None = None
    """K×N bool: frames that count for each object, if the metadata list them. None: all frames count."""
    object_present: np.ndarray | None = None
    """K×N bool: frames whose annotation shows each object, if objects may begin late. An object then counts from the
    first counted frame on which the annotation or the prediction shows it."""


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """Metrics, such as J and F, of every object in every scored frame, from 0 to 1."""

    values: np.ndarray
    """M×K×N float64; NaN if a frame does not count for an object."""
    objects: tuple[ScoredObject, ...]
    """Object of each row."""
    frames: tuple[str, ...] = ()
    """Stem of each column; "" for a missing frame that counts as 0."""
    unknown_ids: frozenset[int] = frozenset()
    """Predicted ids that are not objects of the sequence and were ignored."""
    metrics: tuple[str, ...] = METRICS
    """Names of the M values."""

    @property
    def J(self) -> float:  # noqa: N802
        """Mean J of the objects, from 0 to 1; raises `AttributeError` if it is not among the metrics."""
        return self._mean("J")

    @property
    def F(self) -> float:  # noqa: N802
        """Mean F of the objects, from 0 to 1; raises `AttributeError` if it is not among the metrics."""
        return self._mean("F")

    @property
    def mean(self) -> float:
        """J&F, the mean of J and F, from 0 to 1; raises `AttributeError` if one is not among the metrics."""
        return (self.J + self.F) / 2

    def _mean(self, metric: str) -> float:
        """Return the mean over the objects of their means over frames."""
        if metric not in self.metrics:
            raise AttributeError(f"no {metric}: the metrics are {', '.join(self.metrics)}")
        return float(np.nanmean(self.values[self.metrics.index(metric)], axis=1).mean())

    @property
    def region(self) -> np.ndarray:
        """The first metric, J in all built-in benchmarks, K×N."""
        return np.asarray(self.values[0])

    @property
    def ids(self) -> tuple[int, ...]:
        """Object ids."""
        return tuple(item.object_id for item in self.objects)


def require_predictions(plan: ScoringPlan, results: Path) -> None:
    """Check that ``results`` has a PNG for every frame of the plan."""
    expected = [file for path in plan.frames for file in plan.scorer.result_files(results, path)]
    missing = [path for path in expected if not path.is_file()]
    require_none_missing(missing, f"expected {len(expected)} palette PNGs for the scored frames")


def find_unknown_ids(labels: np.ndarray, ids: Sequence[int]) -> set[int]:
    """Return the ids of H×W labels that are neither background nor in ``ids``."""
    if labels.max(initial=0) <= len(ids) and tuple(ids) == tuple(range(1, len(ids) + 1)):
        return set()
    return set(np.flatnonzero(np.bincount(labels.ravel().astype(np.intp))).tolist()) - {0, *ids}


def raise_if_unknown(unknown: Collection[int], ids: Iterable[int], file: object) -> None:
    """Raise `InputError` with the unknown ids of a file of labels, if there are any, and those of its objects."""
    if unknown:
        listed, known = (", ".join(map(str, values)) for values in (sorted(unknown), ids))
        raise InputError(f"unknown ids {listed}", subject=file, remedy=f"the objects are {known}")


def join_scores(plan: ScoringPlan, frames: Sequence[FrameScores], metrics: tuple[str, ...]) -> SequenceScores:
    """Join the scores of all frames, in order, to a sequence's scores.

    ``metrics``: names of the M scores; raises `InputError` if there are others.
    """
    values = np.stack([values for values, _ in frames], axis=2)
    problem, remedy = f"the measure returned {len(values)} scores", "give a name for each as Benchmark.metrics"
    require(len(values) == len(metrics), problem, subject=f"metrics {', '.join(metrics)}", remedy=remedy)
    if plan.is_counted is not None:
        values = np.where(plan.is_counted, values, np.nan)
    if plan.object_present is not None:
        # J is 1 if both masks are empty. Below 1 without an object in the annotation, the prediction shows it.
        is_shown = plan.object_present | (values[0] < 1)
        values = np.where(np.maximum.accumulate(is_shown, axis=1), values, np.nan)
    stems = tuple(path.stem for path in plan.frames)
    missing_counts = [item.missing_frames for item in plan.objects]
    if any(missing_counts):
        missing = np.arange(max(missing_counts)) < np.array(missing_counts)[:, None]
        extra = np.broadcast_to(np.where(missing, 0, np.nan), (len(values), *missing.shape))
        values = np.concatenate([values, extra], axis=2)
        stems += ("",) * max(missing_counts)
    unknown = frozenset[int]().union(*(ids for _, ids in frames))
    return SequenceScores(values, plan.objects, stems, unknown, metrics)
