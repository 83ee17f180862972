"""Tracking of the frames of a layer: forward, backward, or in both directions with the predictions merged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import aotlab_video
from aotlab_studio.document.log import Layer
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.utils.video import FrameStore

if TYPE_CHECKING:
    from aotlab import Prediction, VideoTracker

MAX_REFERENCES = 4
"""Largest number of earlier drawn frames that the tracker sees before it starts from a reference."""


@dataclass(frozen=True)
class Span:
    """Frames that are tracked forward, backward, or both. If a frame is in both ranges, its predictions are merged.

    ``Span(range(11, 31))`` is tracked from frame 10, ``Span(range(11, 30), range(29, 10, -1), (10, 30))`` from both
    frame 10 and frame 30.
    """

    forward: range = range(0)
    """Frames to track after a reference."""
    backward: range = range(0)
    """Frames to track before a reference, nearest first."""
    references: tuple[int, ...] = ()
    """Reference frames, if both directions are tracked. The nearer one has more weight in a merged prediction."""
    visible_reference: int | None = None
    """Reference frame of which tracked masks are used too; of the others, only drawn masks are used."""

    def read_reference(self, snapshot: Snapshot, index: int) -> np.ndarray:
        return snapshot.labels(index) if index == self.visible_reference else snapshot.drawn_labels(index)


@dataclass(frozen=True)
class SpanFrame:
    """Prediction for one frame of a span."""

    index: int
    prediction: Prediction
    absent_ids: frozenset[int]
    """Objects that a drawn mask has marked as absent, so that they are not tracked."""
    partial: bool = False
    """Whether only one direction has tracked it yet; the frame comes again with the merged prediction."""
    disagreement: Mapping[int, float] = field(default_factory=dict)
    """1 − IoU of the masks of both directions by object id, for objects of both."""


def plan_spans(layer: Layer) -> list[Span]:
    """Return the spans of a layer in the order of tracking."""
    first, last, start, drawn_frames = layer.first, layer.last, layer.reference_frame, layer.drawn_frames
    references = tuple(sorted({start, *drawn_frames}))
    if layer.kind == "both" and drawn_frames:
        return [Span(range(references[0] + 1, last + 1), range(references[-1] - 1, first - 1, -1), references, start)]
    spans = Span(range(start + 1, last + 1)), Span(backward=range(start - 1, first - 1, -1))
    return [span for span in spans if span.forward or span.backward]


def track_span(
    tracker: VideoTracker, frames: FrameStore, snapshot: Snapshot, span: Span, folder: Path
) -> Iterator[SpanFrame]:
    """Track the frames of a span and yield the predictions, which the caller stores.

    Frames in both directions come twice: first the backward prediction, which is kept in a temporary file in
    ``folder``, then the merged one. The snapshot is that of the start.
    """
    forward = _step_frames(tracker, frames, snapshot, span, span.forward)
    backward = _step_frames(tracker, frames, snapshot, span, span.backward)
    if not (span.forward and span.backward):
        tracked_frames = chain(forward, backward)
        yield from _copy_ahead(tracked_frames) if str(tracker.device).startswith("cuda") else tracked_frames
        return
    references = {
        index: snapshot.drawn_masks(index).keys() | {*np.unique(span.read_reference(snapshot, index)).tolist()}
        for index in span.references
    }
    between = range(span.forward.start, span.backward.start + 1)
    absent_backward: dict[int, frozenset[int]] = {}
    with aotlab_video.PredictionFile(folder) as backward_file:
        for tracked in backward:
            if tracked.index in between:
                backward_file.store(tracked.index, tracked.prediction)
                absent_backward[tracked.index] = tracked.absent_ids
            yield replace(tracked, partial=tracked.index in between)
        for tracked in forward:
            index, prediction = tracked.index, tracked.prediction
            if index not in between:
                yield tracked
                continue
            stored = backward_file.load(index)
            weights = _compute_backward_weights({*prediction.ids, *stored.ids}, index, references)
            merged, disagreement = aotlab_video.merge_predictions(prediction, stored, weights)
            absent_ids = (tracked.absent_ids | absent_backward[index]) - {*merged.ids}
            yield SpanFrame(index, merged, absent_ids, disagreement=disagreement)


def _step_frames(
    tracker: VideoTracker, frames: FrameStore, snapshot: Snapshot, span: Span, indices: range
) -> Iterator[SpanFrame]:
    """Track frames from the reference just before the first one; references on the way are used too."""
    if not indices:
        return
    start = indices.start - indices.step
    tracker.reset(frames.count)
    earlier = [index for index in snapshot.drawn_frames if (index - start) * indices.step < 0]
    # the nearest one comes last, as short-term memory holds the previous frame
    nearest = sorted(earlier, key=lambda index: -abs(index - start))[-MAX_REFERENCES:]
    present = np.setdiff1d(snapshot.labels(start), 0)
    for index in (*nearest, start):
        labels = snapshot.labels(index)
        mask = np.where(np.isin(labels, present), labels, 0)
        if mask.any():
            tracker.step(frames.read(index, "track"), mask)
    absent_ids = frozenset(snapshot.drawn_masks(start)) - {*tracker.ids}
    for index in indices:
        drawn_ids, reference = snapshot.drawn_masks(index).keys(), span.read_reference(snapshot, index)
        empty_ids = drawn_ids - {*np.unique(reference).tolist()}
        for object_id in empty_ids & {*tracker.ids}:
            tracker.forget(object_id)
        prediction = tracker.step(frames.read(index, "track"), reference if reference.any() else None)
        absent_ids = (absent_ids | drawn_ids) - {*tracker.ids}
        yield SpanFrame(index, prediction, absent_ids)


def _copy_ahead(tracked_frames: Iterable[SpanFrame]) -> Iterator[SpanFrame]:
    """Yield the frames of a GPU, which computes the next frame while the caller stores one."""
    previous: list[SpanFrame] = []
    for tracked in tracked_frames:
        tracked.prediction.start_host_copy(confidence=True)
        yield from previous
        previous = [tracked]
    yield from previous


def _compute_backward_weights(
    object_ids: Iterable[int], index: int, references: Mapping[int, Collection[int]]
) -> dict[int, float]:
    """Return the weight of the backward prediction of each object, larger near the later reference."""
    weights = {}
    for object_id in object_ids:
        frames = [frame for frame, objects in references.items() if object_id in objects]
        before = max((frame for frame in frames if frame <= index), default=None)
        after = min((frame for frame in frames if frame > index), default=None)
        weights[object_id] = 1.0 if before is None else 0.0
        if before is not None and after is not None:
            weights[object_id] = (index - before) / (after - before)
    return weights
