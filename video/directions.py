"""Bidirectional tracking between annotated frames.

Each mask must label every object in its frame. Masks are kept as given, and memory is reset at each, so only the frames
between two masks and the predictions of one direction are stored at a time, on disk.
"""

from __future__ import annotations

import tempfile
import threading
import time
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from aotlab.engine.tracking.prediction import LabelPipeline, Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.files import make_folder, writing

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


class SpillFile(AbstractContextManager["SpillFile"]):
    """Arrays in an unnamed temporary file, read in any order.

    A context manager; raises `InputError` if the disk is full.
    """

    def __init__(self, folder: Path, *, compress: bool) -> None:
        self._file = tempfile.TemporaryFile(dir=make_folder(folder))  # noqa: SIM115
        self.folder, self._compress = folder, compress
        self._places: list[tuple[int, int, tuple[int, ...]]] = []  # offset, bytes and shape
        self._end = 0

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def append(self, array: np.ndarray) -> None:
        """Append an array of uint8."""
        content = np.ascontiguousarray(array).tobytes()
        content = zlib.compress(content, 1) if self._compress else content
        with writing(self.folder):
            self._file.seek(self._end)
            self._file.write(content)
            self._file.flush()
        self._places.append((self._end, len(content), array.shape))
        self._end += len(content)

    def __getitem__(self, index: int) -> np.ndarray:
        offset, size, shape = self._places[index]
        self._file.seek(offset)
        content = self._file.read(size)
        content = zlib.decompress(content) if self._compress else content
        return np.frombuffer(bytearray(content), np.uint8).reshape(shape)  # writable, as PyTorch wants it


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
    with SpillFile(gap.folder, compress=True) as backward:
        timed.tracker.reset(len(gap) + 1)
        ids = timed.step(after.frame, after.mask).ids
        for position in reversed(range(len(gap))):
            if stop.is_set():
                return False
            prediction = timed.step(gap[position])
            backward.append(quantize_probabilities(prediction))
            if prediction.cut:  # between this frame and the next
                cuts.add(position + 1)
        timed.tracker.reset(len(gap) + 1)
        if before is not None:
            timed.step(before.frame, before.mask)
        for position, index in enumerate(indices):
            if stop.is_set():
                return False
            forward = None if before is None else timed.step(gap[position])
            later, weight = backward[len(gap) - 1 - position], (position + 1) / (len(gap) + 1)
            fused = fuse_directions(forward, ids, later, weight)
            cut = position in cuts or (forward is not None and forward.cut)
            yield index, gap[position], replace(fused, cut=cut)
    return len(gap) in cuts


def fuse_directions(
    forward: Prediction | None, ids: tuple[int, ...], backward: np.ndarray, weight: float
) -> Prediction:
    """Return the weighted mean of the probabilities of both directions; objects unknown to one have 0 there.

    Args:
        forward: prediction from the annotated frame before; None: use only ``backward``.
        ids: objects of ``backward``.
        backward: probabilities from the annotated frame after, (1+n)×H×W, 0 to 255.
        weight: weight of ``backward``, 0 at the annotated frame before to 1 at the one after.
    """
    probabilities = torch.from_numpy(backward.astype(np.float32))
    probabilities = probabilities / probabilities.sum(0).clamp(min=1)
    if forward is None:
        nothing = torch.zeros_like(probabilities[:1])
        forward, weight = Prediction((), nothing, nothing[0].long()), 1.0
    all_ids = forward.ids + tuple(object_id for object_id in ids if object_id not in forward.ids)
    known = forward.probabilities
    total = torch.zeros(1 + len(all_ids), *backward.shape[1:], device=known.device)
    total[: len(known)] = (1 - weight) * known
    rows = [0, *(1 + all_ids.index(object_id) for object_id in ids)]
    total[rows] += weight * probabilities.to(known.device)
    shared = [object_id for object_id in forward.ids if object_id in ids]
    backward_labels = np.array([0, *ids])[probabilities.max(0).indices.numpy()]
    disagreement = measure_disagreement(shared, np.asarray(forward.labels), backward_labels)
    logits, temperature = total.clamp(min=1e-30).log(), forward.temperature
    return Prediction(
        all_ids, logits, total.max(0).indices, disagreement=disagreement, temperature=temperature
    )


def quantize_probabilities(prediction: Prediction) -> np.ndarray:
    """Return probabilities (1+n)×H×W as uint8, 0 to 255."""
    return (prediction.probabilities * 255).round().byte().cpu().numpy()


def measure_disagreement(
    object_ids: Iterable[int], first: np.ndarray, second: np.ndarray
) -> dict[int, float]:
    """Return 1 minus the IoU of each object in two label maps (H×W ids); 0 if neither has it."""
    disagreement = {}
    for object_id in object_ids:
        mask, other = first == object_id, second == object_id
        union = int((mask | other).sum())
        disagreement[object_id] = 1 - int((mask & other).sum()) / union if union else 0.0
    return disagreement
