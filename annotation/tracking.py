"""Tracking from given masks through the frames of a span: forward, backward, or both and merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from aotlab.annotation import live
from aotlab.annotation.planning import Span
from aotlab.annotation.state import State
from aotlab.engine.prediction import Prediction
from aotlab.engine.tracker import Tracker
from aotlab.engine.transfers import on_gpu
from aotlab.engine.video.directions import Spill, as_bytes
from aotlab.engine.video.scores import disagreement
from aotlab.utils.errors import InputError

REFERENCES = 4
"""maximum number of given masks on the other side of the start that the tracker is shown"""


@dataclass(frozen=True)
class TrackedFrame:
    """Tracking result on one frame."""

    index: int
    labels: np.ndarray
    """H×W ids"""
    confidence: Mapping[int, float]
    """by id of each tracked object"""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 minus the IoU of both directions, where both were tracked"""
    gone: frozenset[int] = frozenset()
    """objects stated to be absent, which are not tracked any more"""
    reached: int | None = None
    """frame that the tracker has reached, if it is not this one"""


@dataclass(frozen=True)
class Opinion:
    """Prediction of one direction."""

    ids: tuple[int, ...]
    probabilities: Tensor
    """(1+n)×H×W, background first, then the objects in the order of ``ids``"""
    gone: frozenset[int] = frozenset()
    """see `TrackedFrame`"""


def results(tracker: Tracker, state: State, span: Span) -> Iterator[TrackedFrame]:
    """Yield the results of a span; frames between two references come twice, merged the second time.

    Frames and given masks are read when tracking reaches them. The caller stores the results.
    """
    if span.before is None:
        assert span.after is not None
        return _one_way(tracker, state, span.after, range(span.after - 1, span.first - 1, -1))
    if span.after is None:
        return _one_way(tracker, state, span.before, range(span.before + 1, span.last + 1))
    return _both_ways(tracker, state, span, span.before, span.after)


def live_results(tracker: Tracker, state: State, start: int) -> Iterator[TrackedFrame]:
    """Yield the results on the stream's images from now on; frame ``start`` and its masks are the reference.

    Raises:
        InputError: the stream ended with an error.
    """
    frames = state.frames
    assert isinstance(frames, live.LiveFrames)
    _begin(tracker, state, start, backward=False)
    for index, image in frames.follow():
        yield _tracked_frame(index, tracker.step(image), frozenset())
        if not frames.record and index >= live.KEPT:
            state.change("tracked", index - live.KEPT, None)
    if frames.problem is not None:
        raise InputError(frames.problem)


def _begin(tracker: Tracker, state: State, start: int, *, backward: bool) -> None:
    """Show the tracker its references: masks given on the other side of the start, then the start."""
    tracker.reset(state.frames.length)
    with state.lock:
        known = [index for index in state.given_frames if (index > start if backward else index < start)]
        # nearest last, as short-term memory is of the frame before
        nearest = sorted(known, key=lambda index: -abs(index - start))[-REFERENCES:]
        present = set(np.unique(state.labels(start)).tolist()) - {0}
        masks = [(index, state.labels(index)) for index in (*nearest, start)]
    for index, labels in masks:
        mask = np.where(np.isin(labels, list(present)), labels, 0)
        if mask.any():
            try:
                image = state.frames.read(index, "track")
            except InputError:
                if index == start:
                    raise
                continue  # a stream that is not recorded keeps recent frames only
            tracker.step(image, mask)


def _one_way(tracker: Tracker, state: State, start: int, frames: range) -> Iterator[TrackedFrame]:
    """Track away from a reference; given masks on the way are further references.

    A GPU computes the next frame while a result is received and stored.
    """
    behind = on_gpu(getattr(tracker, "device", None))
    waiting: list[tuple[int, Prediction, frozenset[int]]] = []
    for step in _steps(tracker, state, start, frames):
        if behind:
            step[1].receive(confidence=True)
        waiting.append(step)
        if len(waiting) > behind:
            yield replace(_tracked_frame(*waiting.pop(0)), reached=step[0])
    yield from (_tracked_frame(*step) for step in waiting)


def _both_ways(tracker: Tracker, state: State, span: Span, before: int, after: int) -> Iterator[TrackedFrame]:
    """Track backward from the last reference, storing probabilities on disk; then forward, merging."""
    described = {index: _described(state, index) for index in span.given}
    known: dict[int, tuple[tuple[int, ...], frozenset[int]]] = {}
    with Spill(state.project.folder, compress=True) as stored:
        back, on = range(after - 1, span.first - 1, -1), range(before + 1, span.last + 1)
        for index, prediction, gone in _steps(tracker, state, after, back):
            if index > before:
                known[index] = prediction.ids, gone
                stored.append(as_bytes(prediction))
            yield _tracked_frame(index, prediction, gone)
        for index, prediction, gone in _steps(tracker, state, before, on):
            if index >= after:
                yield _tracked_frame(index, prediction, gone)
                continue
            forward = Opinion(prediction.ids, prediction.probabilities, gone)
            share = torch.from_numpy(stored[after - 1 - index].astype(np.float32))
            ids, missing = known[index]
            backward = Opinion(ids, share / share.sum(0).clamp(min=1), missing)
            weights = _weights({*forward.ids, *backward.ids}, index, described)
            yield merge_directions(index, forward, backward, weights)


def _steps(
    tracker: Tracker, state: State, start: int, frames: range
) -> Iterator[tuple[int, Prediction, frozenset[int]]]:
    """Yield frame number, prediction, and the objects that a given mask stated to be absent."""
    _begin(tracker, state, start, backward=frames.step < 0)
    gone = state.described(start) - set(tracker.ids)
    for index in frames:
        with state.lock:
            described, given = state.described(index), state.given(index)
        for object_id in described & set(tracker.ids) - set(np.unique(given).tolist()):
            tracker.forget(object_id)
        prediction = tracker.step(state.frames.read(index, "track"), given if given.any() else None)
        gone = (gone | described) - set(tracker.ids)
        yield index, prediction, gone


def _tracked_frame(index: int, prediction: Prediction, gone: frozenset[int]) -> TrackedFrame:
    return TrackedFrame(index, np.asarray(prediction.labels), prediction.confidence, gone=gone)


def _weights(
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


def _described(state: State, index: int) -> frozenset[int]:
    """Return the objects that a reference describes; without a given mask, those it shows."""
    shown = np.unique(state.labels(index)).tolist()
    return state.described(index) or frozenset(shown) - {0}


def merge_directions(
    index: int, forward: Opinion, backward: Opinion, weights: Mapping[int, float]
) -> TrackedFrame:
    """Return the weighted mean of both directions, object by object.

    Args:
        forward: from the given masks before it.
        backward: from the given masks after it.
        weights: of ``backward`` by object id, from 0 at the given mask before to 1 at the one after; 0 or 1 if only
            masks on one side describe the object, so that only this direction counts.
    """
    ids = forward.ids + tuple(each for each in backward.ids if each not in forward.ids)
    total = torch.zeros(1 + len(ids), *forward.probabilities.shape[1:])
    for channel, object_id in enumerate(ids, start=1):
        weight = weights[object_id]
        for share, opinion in ((1 - weight, forward), (weight, backward)):
            if share and object_id in opinion.ids:
                total[channel] += share * opinion.probabilities[1 + opinion.ids.index(object_id)].cpu()
    total[0] = (1 - total[1:].sum(0)).clamp(min=0)
    sure, channels = total.max(0)
    confidence = {}
    for channel, object_id in enumerate(ids, start=1):
        pixels = sure[channels == channel]
        confidence[object_id] = float(pixels.mean()) if len(pixels) else 0.0
    both = [object_id for object_id in ids if 0 < weights[object_id] < 1]
    first, second = (_labels(opinion.ids, opinion.probabilities) for opinion in (forward, backward))
    gone = (forward.gone | backward.gone) - set(ids)
    return TrackedFrame(index, _labels(ids, total), confidence, disagreement(both, first, second), gone)


def _labels(ids: tuple[int, ...], probabilities: Tensor) -> np.ndarray:
    channels = probabilities.max(0).indices.cpu().numpy()
    return np.asarray(np.array([0, *ids], dtype=np.uint16)[channels])
