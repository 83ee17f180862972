"""Agreement of two annotations of a video: pairs of objects, their J on each frame, and their classes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aotlab.evaluation.metrics import region_similarity
from aotlab.media.regions import Annotations

Pair = tuple[int, int]
"""Ids of one object in the first and the second annotation; 0: missing there."""
ID_COUNT = 2**32
"""More than the largest object id, and two ids fit into 64 bits."""


@dataclass(frozen=True)
class Agreement:
    """Comparison of two annotations of a video."""

    video: str
    """Name of the video."""
    scores: dict[tuple[int, Pair], float]
    """J by frame and pair of objects, for all objects that either annotation shows on the frames that both annotate."""
    names: dict[Pair, tuple[str, str]]
    """Class names of each pair in the first and the second annotation; empty if unset."""
    only_first: int
    """Number of frames that only the first annotation has."""
    only_second: int

    @property
    def classes(self) -> dict[Pair, tuple[str, str]]:
        """Class names of the objects in both annotations, "none" if unset; empty if one of them has no class names."""
        if not all(map(any, zip(*self.names.values(), strict=True))):
            return {}
        return {pair: (first or "none", second or "none") for pair, (first, second) in self.names.items() if all(pair)}


def compare_annotations(video: str, first: Annotations, second: Annotations) -> Agreement:
    """Compare two annotations of a video, on the frames that both annotate."""
    scores = {(frame, pair): score for frame, pair, score in measure_agreement(first, second)}
    names = {
        pair: (first.class_names.get(pair[0], ""), second.class_names.get(pair[1], ""))
        for pair in sorted({pair for _, pair in scores})
    }
    only_first, only_second = len(first.frames.keys() - second.frames), len(second.frames.keys() - first.frames)
    return Agreement(video, scores, names, only_first, only_second)


def measure_kappa(classes: Sequence[tuple[str, str]]) -> float:
    """Return Cohen's kappa of pairs of class names: 1 for equal ones, 0 for chance; NaN if all are one class.

    Needs scikit-learn.
    """
    from sklearn.metrics import cohen_kappa_score

    if len({name for names in classes for name in names}) < 2:
        return float("nan")
    return float(cohen_kappa_score(*zip(*classes, strict=True)))


def pair_objects(masks: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[Pair]:
    """Return the pairs of objects of two annotations, each once, from their masks of the same frames.

    The pair that shares most pixels is taken first; of pairs that share as many, one with the same id in both.
    """
    shared: Counter[Pair] = Counter()
    for first_mask, second_mask in masks:
        codes, counts = np.unique(first_mask.astype(np.int64) * ID_COUNT + second_mask, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            shared[divmod(code, ID_COUNT)] += count
    first, second = ({pair[side] for pair in shared} - {0} for side in (0, 1))
    pairs, same_ids = list[Pair](), {(object_id, object_id): 0 for object_id in first & second}
    for pair, _ in sorted((same_ids | shared).items(), key=lambda item: (-item[1], item[0][0] != item[0][1])):
        if pair[0] in first and pair[1] in second:
            pairs.append(pair)
            first.remove(pair[0])
            second.remove(pair[1])
    return sorted([*pairs, *((first_id, 0) for first_id in first), *((0, second_id) for second_id in second)])


def measure_agreement(first: Annotations, second: Annotations) -> Iterator[tuple[int, Pair, float]]:
    """Yield frame, pair and J of each object that either annotation shows, on the frames that both annotate."""
    frames = sorted(first.frames.keys() & second.frames.keys())
    pairs = pair_objects((first.mask(frame), second.mask(frame)) for frame in frames)
    for frame in frames:
        masks = first.mask(frame), second.mask(frame)
        for pair in pairs:
            first_object, second_object = (
                (mask == object_id) & (object_id > 0) for mask, object_id in zip(masks, pair, strict=True)
            )
            if first_object.any() or second_object.any():
                yield frame, pair, region_similarity(first_object, second_object)
