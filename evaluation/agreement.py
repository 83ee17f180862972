"""Agreement of two annotations of a video: pairs of objects, and their J on each frame."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from aotlab.evaluation.metrics import region_similarity
from aotlab.media.regions import Annotations

Pair = tuple[int, int]
"""Ids of one object in the first and the second annotation; 0: missing there."""
ID_COUNT = 2**32
"""More than the largest object id, and two ids fit into 64 bits."""


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
