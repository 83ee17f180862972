"""Tracking from given masks through the frames of a state: forward, backward, or both and merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from aotlab.annotation.merging import Opinion, TrackedFrame, merge_directions
from aotlab.annotation.planning import Span, Tracking
from aotlab.annotation.state import State
from aotlab.engine.video.directions import Spill, as_bytes
from aotlab.utils.errors import InputError

REFERENCES = 4
"""Given masks on the other side of the start that a run may look back on."""


def results(tracker: Tracking, state: State, spans: Iterable[Span]) -> Iterator[TrackedFrame]:
    """Yield what is found, frame by frame; frames between two references come twice, merged the second time.

    Whoever iterates stores it: frames are read and masks looked up as tracking comes to them.
    """
    for span in spans:
        if span.before is None:
            assert span.after is not None
            yield from _one_way(tracker, state, span.after, range(span.after - 1, span.first - 1, -1))
        elif span.after is None:
            yield from _one_way(tracker, state, span.before, range(span.before + 1, span.last + 1))
        else:
            yield from _both_ways(tracker, state, span)


def _one_way(tracker: Tracking, state: State, start: int, frames: range) -> Iterator[TrackedFrame]:
    """Track away from a reference; given masks on the way are taken in as further references."""
    for index, prediction, gone in _steps(tracker, state, start, frames):
        yield _found(index, prediction, gone)


def _found(index: int, prediction: Any, gone: frozenset[int]) -> TrackedFrame:
    return TrackedFrame(index, np.asarray(prediction.labels), prediction.confidence, gone=gone)


def _steps(
    tracker: Tracking, state: State, start: int, frames: range
) -> Iterator[tuple[int, Any, frozenset[int]]]:
    """Yield number and prediction of every frame, and the objects that a given mask said are not there."""
    begin(tracker, state, start, backward=frames.step < 0)
    gone = state.described(start) - set(tracker.ids)
    for index in frames:
        with state.lock:
            described, given = state.described(index), state.given(index)
        for object_id in described & set(tracker.ids) - set(np.unique(given).tolist()):
            tracker.forget(object_id)
        prediction = tracker.step(state.frames.read(index, "track"), given if given.any() else None)
        gone = (gone | described) - set(tracker.ids)
        yield index, prediction, gone


def begin(tracker: Tracking, state: State, start: int, *, backward: bool) -> None:
    """Give the tracker its references: masks given on the far side of the start, and then the start itself."""
    tracker.reset(state.frames.length)
    with state.lock:
        known = [index for index in state.given_frames if (index > start if backward else index < start)]
        # the nearest ones, nearest last, as short-term memory is of the frame before
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
                continue  # of a stream that is not recorded, older frames are gone
            tracker.step(image, mask)


def _both_ways(tracker: Tracking, state: State, span: Span) -> Iterator[TrackedFrame]:
    """Track backward from the last reference, keeping probabilities on disk; then forward from the first, merging."""
    assert span.before is not None
    assert span.after is not None
    described = {index: _described(state, index) for index in span.given}
    known: dict[int, tuple[tuple[int, ...], frozenset[int]]] = {}
    with Spill(state.project.folder, compress=True) as stored:
        back, on = range(span.after - 1, span.first - 1, -1), range(span.before + 1, span.last + 1)
        for index, prediction, gone in _steps(tracker, state, span.after, back):
            if index > span.before:
                known[index] = tuple(prediction.ids), gone
                stored.append(as_bytes(prediction))
            yield _found(index, prediction, gone)
        for index, prediction, gone in _steps(tracker, state, span.before, on):
            if index >= span.after:
                yield _found(index, prediction, gone)
                continue
            forward = Opinion(tuple(prediction.ids), prediction.probabilities, gone)
            share = torch.from_numpy(stored[span.after - 1 - index].astype(np.float32))
            ids, missing = known[index]
            backward = Opinion(ids, share / share.sum(0).clamp(min=1), missing)
            yield merge_directions(
                index, forward, backward, _weights({*forward.ids, *backward.ids}, index, described)
            )


def _weights(
    object_ids: Iterable[int], index: int, described: Mapping[int, frozenset[int]]
) -> dict[int, float]:
    """How much the backward direction counts for each object: by how near the masks are that say something of it."""
    weights = {}
    for object_id in object_ids:
        before = max(
            (frame for frame in described if frame <= index and object_id in described[frame]), default=None
        )
        after = min(
            (frame for frame in described if frame > index and object_id in described[frame]), default=None
        )
        if before is None or after is None:
            weights[object_id] = 1.0 if before is None else 0.0
        else:
            weights[object_id] = (index - before) / (after - before)
    return weights


def _described(state: State, index: int) -> frozenset[int]:
    """Objects of which a reference says something: those given there; where none was, those that it shows."""
    return state.described(index) or frozenset(
        int(object_id) for object_id in np.unique(state.labels(index)) if object_id
    )
