"""Tracking of one benchmark video, with a PNG per frame."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import extract_object_ids, read_labels, read_object_masks
from aotlab.engine.tracking.host_copy import LabelPipeline
from aotlab.engine.tracking.interfaces import VideoTracker
from aotlab.engine.tracking.overlap import OverlapPrediction, OverlapTracker
from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.images import read_image
from aotlab.media.masks import resize_labels, write_mask
from aotlab.media.smoothing import warn_if_smoothed
from aotlab.utils.errors import InputError, require
from aotlab.utils.streaming import ReadAhead, WriteBehind


@dataclass(frozen=True)
class FrameResult:
    """Result of one frame of a benchmark video."""

    path: Path
    """File of the frame."""
    source: Prediction | OverlapPrediction | np.ndarray
    """The prediction, or H×W ids, in the size of the results."""
    seconds: float
    """Seconds spent in the tracker."""
    max_id: int
    """Largest object id so far."""


def track_benchmark_video(tracker: VideoTracker, video: Video, output: Path) -> Generator[FrameResult, None, None]:
    """Track one video, write the result of each frame as it is computed, and yield it."""

    def write(result: FrameResult) -> None:
        stem = result.path.stem
        if video.result_stems is None or stem in video.result_stems:
            for file, mask in zip(video.result_files(stem), _result_masks(video, result), strict=True):
                write_mask(output / video.name / file, mask, max_id=result.max_id)

    tracker.reset(len(video.frames))
    reader = ReadAhead(read_image(path) for path in video.frames)
    with WriteBehind(write) as writer, closing(iter(reader)) as frames:
        for result in _track_frames(tracker, video, frames):
            writer.put(result)
            yield result


def _result_masks(video: Video, result: FrameResult) -> list[np.ndarray]:
    """Return the arrays to write for a frame: its ids, or 0 and 1 per object."""
    source = result.source
    if not isinstance(source, OverlapPrediction):
        return [source if isinstance(source, np.ndarray) else source.labels]
    objects, empty_mask = source.masks, np.zeros(source.size, dtype=bool)
    return [objects.get(object_id, empty_mask).astype(np.uint8) for object_id in video.object_folders]


def _track_frames(
    tracker: VideoTracker, video: Video, frames: Iterator[np.ndarray]
) -> Generator[FrameResult, None, None]:
    """Yield the result of every frame; objects that may overlap are tracked in layers."""
    layers = OverlapTracker(tracker, len(video.frames)) if video.object_folders else None
    pipeline, known_ids = LabelPipeline(tracker.device), set[int]()
    first_size: tuple[int, int] | None = None
    for index, (path, frame) in enumerate(zip(video.frames, frames, strict=True)):
        shape = (frame.shape[0], frame.shape[1])
        first_size = first_size or shape
        problem = f"{shape[1]}×{shape[0]}, but the first frame has {first_size[1]}×{first_size[0]}"
        require(shape == first_size, problem, subject=path, remedy="give frames of one size")
        size, mask_source = video.output_size(*shape), video.reference_masks.get(index)
        mask = _read_reference_mask(video, index, shape, known_ids) if layers is None else None
        objects = read_object_masks(mask_source, size=shape) if isinstance(mask_source, Mapping) else {}
        start = time.perf_counter()
        prediction: Prediction | OverlapPrediction = (
            layers.step(frame, objects) if layers else tracker.step(frame, mask, size=size)
        )
        pipeline.push(prediction)
        if index in (0, len(video.frames) - 1):  # its time ends here, not during the next frame
            pipeline.flush()
        seconds = time.perf_counter() - start
        # benchmarks expect the reference mask itself in the first frame
        result = resize_labels(mask, size) if mask is not None and not known_ids else prediction
        known_ids.update(() if mask is None else np.unique(mask).tolist())
        yield FrameResult(path, result, seconds, max(known_ids, default=0))


def _read_reference_mask(video: Video, index: int, size: tuple[int, int], known: set[int]) -> np.ndarray | None:
    """Return the object ids of a reference frame, H×W with void as background, or None.

    Only new objects count; masks of later frames may show known ones too.
    """
    if index not in video.reference_masks:
        return None
    labels = read_labels(video.reference_masks[index], size=size)
    warn_if_smoothed(labels, video.reference_masks[index])
    labels = extract_object_ids(labels, merge_ids=video.merge_ids)
    new = video.new_ids(index)
    if new is not None:
        labels = np.where(np.isin(labels, list(new)), labels, 0)
    elif known:
        labels = np.where(np.isin(labels, list(known)), 0, labels)
    if labels.any():
        return labels
    if new is None and known:
        return None
    raise InputError("no object in the mask", subject=video.reference_masks[index], remedy="expected ids 1 to 254")
