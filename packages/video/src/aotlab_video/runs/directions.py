"""Tracking in both directions between annotated frames.

An object that a mask lacks, or that is removed between two masks, is tracked forward only. A mask that contains all
objects resets the memory. The frames between two masks and the predictions of one direction are stored on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from aotlab import Prediction, VideoTracker
from aotlab.sdk import CutDetector, SoftEdgeTracker
from aotlab_video.runs.merging import PredictionFile, TemporaryArrays, merge_predictions


class PredictedFrame(NamedTuple):
    """A frame and its prediction."""

    frame_index: int
    """Index of the frame in its source."""
    image: np.ndarray
    """H×W×3 uint8 RGB."""
    prediction: Prediction
    disagreement: Mapping[int, float] = MappingProxyType({})
    """1 − IoU of the masks of both directions by object id, for objects of both."""


class AnnotatedFrame(NamedTuple):
    """A frame and its mask."""

    frame_index: int
    """Index of the frame in its source."""
    frame: np.ndarray
    """H×W×3 uint8 RGB."""
    mask: np.ndarray
    """H×W object ids."""
    complete: bool = True
    """Whether the mask contains all objects tracked so far."""


def step(
    tracker: VideoTracker, image: np.ndarray, mask: np.ndarray | None = None, removed: Iterable[int] = (), *,
    soft: bool = False,
) -> Prediction:  # fmt: skip
    """Forget the ``removed`` objects and track a frame; ``soft``: also predict the edges of a frame with a mask."""
    for object_id in removed:
        tracker.forget(object_id)
    prediction = tracker.step(image, mask)
    if soft and mask is not None and isinstance(tracker, SoftEdgeTracker):
        prediction = tracker.soften_edges(image, prediction)
    prediction.start_host_copy(confidence=True)  # which the writer waits for, while the next frame is tracked
    return prediction


def track_forward(
    tracker: VideoTracker,
    frames: Iterable[tuple[int, np.ndarray]],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
    *,
    soft: bool = False,
) -> Generator[PredictedFrame, None, None]:
    """Yield the prediction of every frame.

    Args:
        frames: index and H×W×3 uint8 RGB of each frame.
        masks: H×W object ids by frame index.
        removals: ids of the objects that are not tracked from a frame on, by its index.
        soft: also predict the edges of frames with a mask.
    """
    for index, image in frames:
        yield PredictedFrame(index, image, step(tracker, image, masks.get(index), removals.get(index, ()), soft=soft))


def track_both_directions(
    tracker: VideoTracker,
    frames: Iterable[tuple[int, np.ndarray]],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
    folder: Path,
    stop: threading.Event,
    *,
    soft: bool = False,
) -> Generator[PredictedFrame, None, None]:
    """Yield every frame with the merged prediction from the annotated frames on either side, as `track_forward`.

    Frames after the last annotated one are tracked forward. The frames between two masks are stored in ``folder``.
    """
    before: AnnotatedFrame | None = None
    frames, reverse = iter(frames), tracker.fresh()
    while not stop.is_set():
        with TemporaryArrays(folder, compress=False) as gap:
            indices: list[int] = []
            after: AnnotatedFrame | None = None
            try:
                for index, frame in frames:
                    if index in masks:
                        after = AnnotatedFrame(index, frame, masks[index])
                        break
                    gap.append(frame)
                    indices.append(index)
            except Exception:
                # track the frames received until then
                yield from _track_gap_forward(tracker, before, gap, indices, removals, stop)
                raise
            if after is None:
                yield from _track_gap_forward(tracker, before, gap, indices, removals, stop)
                return
            cut = yield from _track_gap(tracker, reverse, (before, after), gap, indices, removals, stop)
        removed = removals.get(after.frame_index, ())
        if not stop.is_set():
            complete = {*tracker.ids} - {*removed} <= {*np.unique(after.mask).tolist()}
            if complete:
                tracker.reset()
                removed = ()
            prediction = step(tracker, after.frame, after.mask, removed, soft=soft)
            yield PredictedFrame(after.frame_index, after.frame, replace(prediction, cut=cut))
            before = after._replace(complete=complete)
        if after.frame_index == max(masks):
            yield from track_forward(tracker, frames, {}, removals)
            return


def _start_gap(tracker: VideoTracker, before: AnnotatedFrame | None, length: int) -> None:
    """Prepare the tracker for a gap of ``length`` frames; after a mask of some objects it keeps its memory."""
    if before is None or before.complete:
        tracker.reset(length + 1)
        if before is not None and length:
            step(tracker, before.frame, before.mask)


def _track_gap_forward(
    tracker: VideoTracker,
    before: AnnotatedFrame | None,
    gap: TemporaryArrays,
    indices: list[int],
    removals: Mapping[int, Sequence[int]],
    stop: threading.Event,
) -> Iterator[PredictedFrame]:
    """Yield the frames of a gap, tracked from the annotated frame before it; empty predictions without one."""
    _start_gap(tracker, before, len(gap))
    for position, index in enumerate(indices):
        if stop.is_set():
            return
        frame = gap[position]
        yield PredictedFrame(index, frame, step(tracker, frame, removed=removals.get(index, ())))


def _track_gap(
    tracker: VideoTracker,
    reverse: VideoTracker,
    annotated: tuple[AnnotatedFrame | None, AnnotatedFrame],
    gap: TemporaryArrays,
    indices: list[int],
    removals: Mapping[int, Sequence[int]],
    stop: threading.Event,
) -> Generator[PredictedFrame, None, bool]:
    """Yield the frames of a gap with their merged predictions; return whether it ends with a cut."""
    before, after = annotated
    if not indices:  # the tracker has just seen the annotated frame before
        return before is not None and isinstance(tracker, CutDetector) and tracker.is_cut(after.frame)
    cuts: set[int] = set()
    removed = {object_id for index in (*indices, after.frame_index) for object_id in removals.get(index, ())}
    with PredictionFile(gap.folder) as backward:
        reverse.reset(len(gap) + 1)
        prediction = reverse.step(after.frame, after.mask)
        for position in reversed(range(len(gap))):
            if stop.is_set():
                return False
            prediction = reverse.step(gap[position])
            backward.store(position, prediction)
            if prediction.cut:  # between this frame and the next
                cuts.add(position + 1)
        reverse.reset()  # frees its memory
        _start_gap(tracker, before, len(gap))
        for position, index in enumerate(indices):
            if stop.is_set():
                return False
            frame, weight = gap[position], (position + 1) / (len(gap) + 1)
            stored = backward.load(position)
            if before is None:
                size = (frame.shape[0], frame.shape[1])
                forward = Prediction.empty(size, tracker.device, temperature=prediction.temperature)
            else:
                forward = step(tracker, frame, removed=removals.get(index, ()))
            visible_ids = [object_id for object_id in forward.ids if object_id not in forward.hidden]
            weights = weigh_directions(visible_ids, stored.ids, weight, removed)
            merged, disagreement = merge_predictions(forward, stored, weights)
            yield PredictedFrame(index, frame, replace(merged, cut=position in cuts or forward.cut), disagreement)
    return len(gap) in cuts


def weigh_directions(
    forward_ids: Collection[int], backward_ids: Collection[int], weight: float, removed: Collection[int]
) -> dict[int, float]:
    """Return the weight of the backward direction by object id; objects of one direction only are copied.

    ``weight`` is that of objects of both directions. Those ``removed`` between the annotated frames have weight 0.
    """
    weights = {**dict.fromkeys(forward_ids, 0.0), **dict.fromkeys(backward_ids, 1.0)}
    weights |= dict.fromkeys({*forward_ids} & {*backward_ids}, weight)
    return weights | dict.fromkeys(removed, 0.0)
