"""Tracking in both directions between annotated frames.

An object that a mask lacks, or that is removed between two masks, is tracked forward only. A mask that contains all
objects resets the memory. The frames between two masks and the predictions of one direction are stored on disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from aotlab.engine.tracking.host_copy import LabelPipeline
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.runs.merging import PredictionFile, TemporaryArrays, merge_predictions

TrackedImage = tuple[int, np.ndarray, Prediction]
"""Index of a frame in its source, H×W×3 uint8 RGB, and its prediction."""


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


class TimedTracker:
    """A tracker that measures the time spent in `step`, including the wait for labels."""

    def __init__(self, tracker: Tracker, *, soft: bool = False) -> None:
        """``soft``: also predict the edges of frames with a mask."""
        self.tracker, self._labels, self._soft = tracker, LabelPipeline(tracker.device), soft
        self.seconds = 0.0

    def step(
        self,
        frame: np.ndarray,
        mask: np.ndarray | None = None,
        removed: Iterable[int] = (),
        *,
        tracker: Tracker | None = None,
    ) -> Prediction:
        """Forget the ``removed`` objects and step the tracker, or another of its model; see `Tracker.step`."""
        tracker, start = tracker or self.tracker, time.perf_counter()
        for object_id in removed:
            tracker.forget(object_id)
        prediction = tracker.step(frame, mask)
        if self._soft and mask is not None:
            prediction = tracker.soften_edges(frame, prediction)
        self._labels.push(prediction)
        self.seconds += time.perf_counter() - start
        return prediction


def track_forward(
    timed: TimedTracker,
    frames: Iterable[tuple[int, np.ndarray]],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
) -> Generator[TrackedImage, None, None]:
    """Yield index, image and prediction of every frame; ``removals``: object ids by frame index."""
    for index, frame in frames:
        yield index, frame, timed.step(frame, masks.get(index), removals.get(index, ()))


def track_both_directions(
    timed: TimedTracker,
    frames: Iterable[tuple[int, np.ndarray]],
    masks: Mapping[int, np.ndarray],
    removals: Mapping[int, Sequence[int]],
    folder: Path,
    stop: threading.Event,
) -> Generator[TrackedImage, None, None]:
    """Yield every frame with the merged prediction from the annotated frames on either side.

    Frames after the last annotated one are tracked forward. The frames between two masks are stored in ``folder``.
    """
    before: AnnotatedFrame | None = None
    frames, reverse = iter(frames), timed.tracker.fresh()
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
                yield from _track_gap_forward(timed, before, gap, indices, removals, stop)
                raise
            if after is None:
                yield from _track_gap_forward(timed, before, gap, indices, removals, stop)
                return
            cut = yield from _track_gap(timed, reverse, (before, after), gap, indices, removals, stop)
        removed = removals.get(after.frame_index, ())
        if not stop.is_set():
            complete = {*timed.tracker.ids} - {*removed} <= {*np.unique(after.mask).tolist()}
            if complete:
                timed.tracker.reset()
                removed = ()
            prediction = timed.step(after.frame, after.mask, removed)
            yield after.frame_index, after.frame, replace(prediction, cut=cut)
            before = after._replace(complete=complete)
        if after.frame_index == max(masks):
            yield from track_forward(timed, frames, {}, removals)
            return


def _start_gap(timed: TimedTracker, before: AnnotatedFrame | None, length: int) -> None:
    """Prepare the tracker for a gap of ``length`` frames; after a mask of some objects it keeps its memory."""
    if before is None or before.complete:
        timed.tracker.reset(length + 1)
        if before is not None and length:
            timed.step(before.frame, before.mask)


def _track_gap_forward(
    timed: TimedTracker,
    before: AnnotatedFrame | None,
    gap: TemporaryArrays,
    indices: list[int],
    removals: Mapping[int, Sequence[int]],
    stop: threading.Event,
) -> Iterator[TrackedImage]:
    """Yield the frames of a gap, tracked from the annotated frame before it; empty predictions without one."""
    _start_gap(timed, before, len(gap))
    for position, index in enumerate(indices):
        if stop.is_set():
            return
        frame = gap[position]
        yield index, frame, timed.step(frame, removed=removals.get(index, ()))


def _track_gap(
    timed: TimedTracker,
    reverse: Tracker,
    annotated: tuple[AnnotatedFrame | None, AnnotatedFrame],
    gap: TemporaryArrays,
    indices: list[int],
    removals: Mapping[int, Sequence[int]],
    stop: threading.Event,
) -> Generator[TrackedImage, None, bool]:
    """Yield the frames of a gap with their merged predictions; return whether it ends with a cut."""
    before, after = annotated
    if not indices:  # the tracker has just seen the annotated frame before
        return before is not None and timed.tracker.is_cut(after.frame)
    cuts: set[int] = set()
    removed = {object_id for index in (*indices, after.frame_index) for object_id in removals.get(index, ())}
    with PredictionFile(gap.folder) as backward:
        reverse.reset(len(gap) + 1)
        timed.step(after.frame, after.mask, tracker=reverse)
        for position in reversed(range(len(gap))):
            if stop.is_set():
                return False
            prediction = timed.step(gap[position], tracker=reverse)
            backward.store(position, prediction)
            if prediction.cut:  # between this frame and the next
                cuts.add(position + 1)
        reverse.reset()  # frees its memory
        _start_gap(timed, before, len(gap))
        for position, index in enumerate(indices):
            if stop.is_set():
                return False
            frame, weight = gap[position], (position + 1) / (len(gap) + 1)
            stored = backward.load(position)
            if before is None:
                nothing = torch.zeros_like(stored.probabilities[:1])
                temperature = timed.tracker.config.confidence_temperature
                forward = Prediction((), nothing, nothing[0].long(), temperature=temperature)
            else:
                forward = timed.step(frame, removed=removals.get(index, ()))
            visible_ids = [object_id for object_id in forward.ids if object_id not in forward.hidden]
            weights = weigh_directions(visible_ids, stored.ids, weight, removed)
            prediction = merge_predictions(forward, stored, weights)
            yield index, frame, replace(prediction, cut=position in cuts or forward.cut)
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
