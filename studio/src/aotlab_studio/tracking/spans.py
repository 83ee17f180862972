"""Tracking from keyframes through the frames of a span: forward, backward, or both and merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from aotlab import Prediction, Tracker
from aotlab.sdk import ObjectProbabilities, PredictionFile, measure_disagreement, merge_directions
from aotlab_studio.document.planning import Span
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.video import FrameStore

MAX_REFERENCES = 4
"""maximum number of keyframes on the other side of the start that the tracker is shown"""


@dataclass(frozen=True)
class SpanFrame:
    """Tracking result on one frame."""

    index: int
    labels: np.ndarray
    """H×W ids"""
    confidence: Mapping[int, float]
    """by id of each tracked object"""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 minus the IoU of both directions, where both were tracked"""
    absent_ids: frozenset[int] = frozenset()
    """objects stated to be absent, which are not tracked any more"""
    provisional: bool = False
    """of one direction, merged with the other one later"""


def track_span(
    tracker: Tracker, frames: FrameStore, snapshot: Snapshot, span: Span, folder: Path
) -> Iterator[SpanFrame]:
    """Yield the results of a span; frames between two references come twice, merged the second time.

    The caller stores the results.

    Args:
        snapshot: the document at the entry of the layer.
        folder: for a temporary file.
    """
    if span.forward_from is None:
        assert span.backward_from is not None
        return _track_one_way(
            tracker, frames, snapshot, span.backward_from, range(span.backward_from - 1, span.first - 1, -1)
        )
    if span.backward_from is None:
        return _track_one_way(
            tracker, frames, snapshot, span.forward_from, range(span.forward_from + 1, span.last + 1)
        )
    return _track_both_ways(tracker, frames, snapshot, span, folder)


def _add_references(
    tracker: Tracker, frames: FrameStore, snapshot: Snapshot, start: int, *, backward: bool
) -> None:
    """Show the tracker its references: keyframes on the other side of the start, then the start."""
    tracker.reset(frames.length)
    known = [index for index in snapshot.keyframes if (index > start if backward else index < start)]
    # nearest last, as short-term memory is of the frame before
    nearest = sorted(known, key=lambda index: -abs(index - start))[-MAX_REFERENCES:]
    present = set(np.unique(snapshot.labels(start)).tolist()) - {0}
    masks = [(index, snapshot.labels(index)) for index in (*nearest, start)]
    for index, labels in masks:
        mask = np.where(np.isin(labels, list(present)), labels, 0)
        if mask.any():
            tracker.step(frames.read(index, "track"), mask)


def _track_one_way(
    tracker: Tracker, frames: FrameStore, snapshot: Snapshot, start: int, indices: range
) -> Iterator[SpanFrame]:
    """Track away from a reference; keyframes on the way are further references.

    A GPU computes the next frame while a result is copied and stored.
    """
    on_gpu = str(tracker.device).startswith("cuda")
    pending: list[tuple[int, Prediction, frozenset[int]]] = []
    for step in _step_frames(tracker, frames, snapshot, start, indices):
        if on_gpu:
            step[1].start_host_copy(confidence=True)
        pending.append(step)
        if len(pending) > on_gpu:
            yield _make_frame(*pending.pop(0))
    yield from (_make_frame(*step) for step in pending)


def _track_both_ways(
    tracker: Tracker, frames: FrameStore, snapshot: Snapshot, span: Span, folder: Path
) -> Iterator[SpanFrame]:
    """Track backward from the last reference, storing probabilities on disk; then forward, merging."""
    before, after = span.forward_from, span.backward_from
    assert before is not None
    assert after is not None
    described = {index: _list_objects(snapshot, index) for index in span.keyframes}
    absent_backward: dict[int, frozenset[int]] = {}
    with PredictionFile(folder) as stored:
        for index, prediction, absent_ids in _step_frames(
            tracker, frames, snapshot, after, range(after - 1, span.first - 1, -1)
        ):
            if index > before:
                stored.store(index, prediction)
                absent_backward[index] = absent_ids
            found = _make_frame(index, prediction, absent_ids)
            yield replace(found, provisional=index > before)
        for index, prediction, absent_ids in _step_frames(
            tracker, frames, snapshot, before, range(before + 1, span.last + 1)
        ):
            if index >= after:
                yield _make_frame(index, prediction, absent_ids)
                continue
            forward = ObjectProbabilities(prediction.ids, prediction.probabilities.cpu())
            backward = stored.load(index)
            weights = _weigh_backward({*forward.ids, *backward.ids}, index, described)
            yield merge_frame(index, forward, backward, weights, absent_ids | absent_backward[index])


def _step_frames(
    tracker: Tracker, frames: FrameStore, snapshot: Snapshot, start: int, indices: range
) -> Iterator[tuple[int, Prediction, frozenset[int]]]:
    """Yield frame number, prediction, and the objects that a keyframe states to be absent."""
    _add_references(tracker, frames, snapshot, start, backward=indices.step < 0)
    absent_ids = frozenset(snapshot.keyframe(start)) - set(tracker.ids)
    for index in indices:
        described, drawn = frozenset(snapshot.keyframe(index)), snapshot.keyframe_labels(index)
        for object_id in described & set(tracker.ids) - set(np.unique(drawn).tolist()):
            tracker.forget(object_id)
        prediction = tracker.step(frames.read(index, "track"), drawn if drawn.any() else None)
        absent_ids = (absent_ids | described) - set(tracker.ids)
        yield index, prediction, absent_ids


def _make_frame(index: int, prediction: Prediction, absent_ids: frozenset[int]) -> SpanFrame:
    return SpanFrame(index, np.asarray(prediction.labels), prediction.confidence, absent_ids=absent_ids)


def _weigh_backward(
    object_ids: Iterable[int], index: int, described: Mapping[int, frozenset[int]]
) -> dict[int, float]:
    """Return the weight of the backward direction for each object, by the distance of the masks that describe it."""
    weights = {}
    for object_id in object_ids:
        frames = [frame for frame, objects in described.items() if object_id in objects]
        before = max((frame for frame in frames if frame <= index), default=None)
        after = min((frame for frame in frames if frame > index), default=None)
        if before is None or after is None:
            weights[object_id] = 1.0 if before is None else 0.0
        else:
            weights[object_id] = (index - before) / (after - before)
    return weights


def _list_objects(snapshot: Snapshot, index: int) -> frozenset[int]:
    """Return the objects that a reference describes; without a drawn mask, those it shows."""
    shown = np.unique(snapshot.labels(index)).tolist()
    return frozenset(snapshot.keyframe(index)) or frozenset(shown) - {0}


def merge_frame(
    index: int,
    forward: ObjectProbabilities,
    backward: ObjectProbabilities,
    weights: Mapping[int, float],
    absent_ids: frozenset[int],
) -> SpanFrame:
    """Return the weighted mean of both directions, object by object.

    Args:
        forward: from the keyframes before it.
        backward: from the keyframes after it.
        weights: of ``backward`` by object id, from 0 at the keyframe before to 1 at the one after; 0 or 1 if only
            masks on one side describe the object, so that only this direction counts.
        absent_ids: objects that a keyframe of either direction states to be absent.
    """
    merged = merge_directions(forward, backward, weights)
    highest, channels = merged.probabilities.max(0)
    confidence = {}
    for channel, object_id in enumerate(merged.ids, start=1):
        pixels = highest[channels == channel]
        confidence[object_id] = float(pixels.mean()) if len(pixels) else 0.0
    both = [object_id for object_id in merged.ids if 0 < weights[object_id] < 1]
    disagreement = measure_disagreement(both, forward.labels, backward.labels)
    labels = merged.labels.astype(np.uint16)
    return SpanFrame(index, labels, confidence, disagreement, absent_ids - {*merged.ids})
