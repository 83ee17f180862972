"""Bidirectional tracking between annotated frames.

Each mask must label every object in its frame. Masks are kept as given, and memory is reset at each, so only the frames
between two masks and the predictions of one direction are stored at a time, on disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from aotlab.engine.tracking.prediction import LabelPipeline, Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.video.merging import (
    ObjectProbabilities,
    PredictionFile,
    SpillFile,
    measure_disagreement,
    merge_directions,
)

FrameResult = tuple[int, np.ndarray, Prediction]
"""index of a frame in its source, H×W×3 uint8 RGB, and its prediction"""


class AnnotatedFrame(NamedTuple):
    """A frame and its mask."""

    frame_index: int
    """index of the frame in its source"""
    frame: np.ndarray
    """H×W×3 uint8 RGB"""
    mask: np.ndarray
    """H×W object ids"""


class TimedTracker:
    """A tracker and the seconds of its steps, with waiting for labels that are due."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self._labels = tracker, LabelPipeline(getattr(tracker, "device", None))
        self.seconds = 0.0

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Prediction:
        """Step the tracker, see `Tracker.step`."""
        start = time.perf_counter()
        prediction = self.tracker.step(frame, mask)
        self._labels.wait(prediction)
        self.seconds += time.perf_counter() - start
        return prediction


def track_both_directions(
    timed: TimedTracker,
    frames: Iterable[tuple[int, np.ndarray]],
    masks: Mapping[int, np.ndarray],
    folder: Path,
    stop: threading.Event,
) -> Generator[FrameResult, None, None]:
    """Yield every frame with the merged prediction from the annotated frames on either side.

    Args:
        timed: tracker to run forward and backward in turn.
        frames: indices and images in order. Frames after the last annotated one are tracked forward.
        masks: H×W object ids by frame index; each labels all objects.
        folder: folder with space for the frames between two masks.
        stop: flag that stops within a frame.
    """
    before: AnnotatedFrame | None = None
    frames = iter(frames)
    while not stop.is_set():
        with SpillFile(folder, compress=False) as gap:
            indices: list[int] = []
            try:
                after = _read_gap(frames, masks, gap, indices)
            except Exception:
                # track the frames received until then
                yield from _track_gap_forward(timed, before, gap, indices, stop)
                raise
            if after is None:
                yield from _track_gap_forward(timed, before, gap, indices, stop)
                return
            cut = yield from _track_gap(timed, (before, after), gap, indices, stop)
        if not stop.is_set():
            timed.tracker.reset()
            yield after.frame_index, after.frame, replace(timed.step(after.frame, after.mask), cut=cut)
        before = after
        if after.frame_index == max(masks):
            yield from ((index, frame, timed.step(frame)) for index, frame in frames)
            return


def _read_gap(
    frames: Iterator[tuple[int, np.ndarray]],
    masks: Mapping[int, np.ndarray],
    gap: SpillFile,
    indices: list[int],
) -> AnnotatedFrame | None:
    """Store frames up to the next annotated one; return it, or None at the end."""
    for index, frame in frames:
        if index in masks:
            return AnnotatedFrame(index, frame, masks[index])
        gap.append(frame)
        indices.append(index)
    return None


def _track_gap_forward(
    timed: TimedTracker,
    before: AnnotatedFrame | None,
    gap: SpillFile,
    indices: list[int],
    stop: threading.Event,
) -> Iterator[FrameResult]:
    """Yield the frames of a gap, tracked from the annotated frame before it; empty predictions without one."""
    timed.tracker.reset(len(gap) + 1)
    if before is not None and indices:
        timed.step(before.frame, before.mask)
    for position, index in enumerate(indices):
        if stop.is_set():
            return
        frame = gap[position]
        yield index, frame, timed.step(frame)


def _track_gap(
    timed: TimedTracker,
    annotated: tuple[AnnotatedFrame | None, AnnotatedFrame],
    gap: SpillFile,
    indices: list[int],
    stop: threading.Event,
) -> Generator[FrameResult, None, bool]:
    """Yield the frames of a gap with their merged predictions; return whether it ends with a cut."""
    before, after = annotated
    if not indices:  # the tracker has just seen the annotated frame before
        return before is not None and timed.tracker.is_cut(after.frame)
    cuts: set[int] = set()
    with PredictionFile(gap.folder) as backward:
        timed.tracker.reset(len(gap) + 1)
        timed.step(after.frame, after.mask)
        for position in reversed(range(len(gap))):
            if stop.is_set():
                return False
            prediction = timed.step(gap[position])
            backward.store(position, prediction)
            if prediction.cut:  # between this frame and the next
                cuts.add(position + 1)
        timed.tracker.reset(len(gap) + 1)
        if before is not None:
            timed.step(before.frame, before.mask)
        for position, index in enumerate(indices):
            if stop.is_set():
                return False
            forward = None if before is None else timed.step(gap[position])
            fused = fuse_directions(forward, backward.load(position), (position + 1) / (len(gap) + 1))
            cut = position in cuts or (forward is not None and forward.cut)
            yield index, gap[position], replace(fused, cut=cut)
    return len(gap) in cuts


def fuse_directions(forward: Prediction | None, backward: ObjectProbabilities, weight: float) -> Prediction:
    """Return the weighted mean of the probabilities of both directions.

    Args:
        forward: prediction from the annotated frame before; None: use only ``backward``.
        backward: prediction from the annotated frame after.
        weight: weight of ``backward``, 0 at the annotated frame before to 1 at the one after.
    """
    if forward is None:
        nothing = torch.zeros_like(backward.probabilities[:1])
        forward, weight = Prediction((), nothing, nothing[0].long()), 1.0
    merged = merge_directions(forward, backward, dict.fromkeys((*forward.ids, *backward.ids), weight))
    shared = [object_id for object_id in forward.ids if object_id in backward.ids]
    disagreement = measure_disagreement(shared, np.asarray(forward.labels), backward.labels)
    logits, temperature = merged.probabilities.clamp(min=1e-30).log(), forward.temperature
    return Prediction(
        merged.ids, logits, merged.probabilities.max(0).indices, disagreement=disagreement,
        temperature=temperature,
    )  # fmt: skip
