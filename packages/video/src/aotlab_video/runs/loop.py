"""The loop of a run: frames → tracker → store."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aotlab.media.masks import write_mask
from aotlab.sdk import load_segmenter, require_pixels
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import MALFORMED, reading, write_bytes
from aotlab.utils.progress import progress_bar
from aotlab.utils.signals import StopFlag
from aotlab.utils.streaming import HELPER_THREADS, ReadAhead, StallError, WriteBehind
from aotlab.utils.versioned_files import FileKind, unwrap, wrap
from aotlab_video.masks.regions import Annotations, ObjectClasses
from aotlab_video.masks.soft_masks import insert_soft_masks
from aotlab_video.runs.classes import merge_class_ids
from aotlab_video.runs.prepare import PreparedRun
from aotlab_video.runs.result import TrackResult
from aotlab_video.runs.store import (
    PROMPT_MASKS,
    STATE_FILE,
    Results,
    TrackedFrame,
    quantize_probabilities,
    remove_state,
)
from aotlab_video.runs.views import Views, make_context
from aotlab_video.sources.frames import FrameSource

if TYPE_CHECKING:
    from aotlab import VideoTracker
    from aotlab.sdk import ResumableTracker
    from aotlab_video.runs.directions import PredictedFrame

log = logging.getLogger("aotlab.video")

CHECKPOINT = FileKind("progress of a tracked video", 5, "tracking starts from the first frame")
SAVE_SECONDS = 60.0
"""Seconds between two saved states of the tracker."""
FrameItem = tuple[int, np.ndarray]
"""Index of a frame and its image, H×W×3 uint8 RGB."""


def track_frames(
    prepared: PreparedRun, results: Results, class_file: Path | None, stop: StopFlag, *, may_restart: bool = False
) -> TrackResult:
    """Track the frames of a run into its store until the end, an error or a signal, and complete the record.

    Earlier results are deleted once the first frame is predicted.

    Args:
        results: new results, or those of an interrupted run to resume.
        class_file: class ids of a list of videos, see `merge_class_ids`.
        may_restart: whether an interrupted run starts again if the tracker cannot continue it.

    Raises:
        InputError: no frame was tracked because of bad input, or the tracker cannot continue.
        Exception: an internal error, after the outputs are completed.
    """
    from aotlab.utils.devices import leave_cores_free  # loads PyTorch

    leave_cores_free(HELPER_THREADS)
    source = prepared.source
    tracker = prepared.loader.load(prepared.job.overrides)
    resumable = find_resumable(prepared, tracker)
    if prepared.is_resumable and resumable is None and results.entries:
        results.require_replaceable()
        require(
            may_restart, "this tracker cannot continue an interrupted run", subject=results.folder,
            remedy="--force starts again",
        )  # fmt: skip
    num_restored = restore_tracker(resumable, results) if resumable else 0
    if not num_restored:
        tracker.reset(prepared.frames.count)
    masks = add_prompt_masks(prepared, tracker)
    results.classes = make_classes(masks, class_file)
    if num_restored:
        results.start(num_restored)
    first = results.entries[-1]["index"] + 1 if num_restored else None
    reader, start = read_ahead(prepared, masks, stop, first), time.monotonic()
    end = store_predictions(prepared, results, tracker, masks, reader, stop, num_restored)
    error, num_frames = end.error, len(results.entries) if num_restored or end.num_predicted else 0
    if isinstance(error, StallError):
        stall = f"no frame for {source.options.timeout:g} seconds"
        remedy = "check the source, or wait longer with --source timeout=SECONDS"
        error = InputError(stall, subject=source.name, remedy=remedy)
    if error is not None and not (num_frames and isinstance(error, InputError)):
        raise error
    is_stopped = stop.is_set() and not error
    problem = str(error) if error else find_unused_inputs(prepared, masks, results.entries[:num_frames])
    if problem is None and results.is_present and (missing := results.describe_missing()):
        problem = f"{results.folder}: {missing} were removed during the run; start it again"
    cuts = [entry for entry in results.entries[:num_frames] if entry.get("cut")]
    ended_ids = {int(key) for entry in cuts for key, value in entry["confidence"].items() if not value}
    result = TrackResult(
        num_frames,
        time.monotonic() - start,
        summaries=tuple(end.summaries),
        restored_frames=num_restored,
        dropped_frames=reader.dropped,
        damaged_frames=tuple(source.damaged_frames),
        corrupt_packets=source.corrupt_packets,
        cuts=tuple(prepared.frames.number(entry["index"]) for entry in cuts),
        ended_ids=tuple(sorted(ended_ids)),
        levels=source.levels,
        signal_number=stop.signal_number if stop.is_set() else None,
        error=None if is_stopped else problem,
    )
    if num_frames:  # else earlier results keep their record
        can_save = num_frames == num_restored + end.num_predicted > num_restored
        # without space on the disk, the error of the run explains more than that of its record
        with suppress(InputError) if result.error else nullcontext():
            finish_record(results, result, resumable if can_save else None)
    return replace(result, resumable=(results.folder / STATE_FILE).is_file())


class LoopEnd(NamedTuple):
    """State at the end of the loop."""

    error: Exception | None
    num_predicted: int
    """Number of frames that the tracker has predicted; after an error, fewer may be stored."""
    summaries: Sequence[str]
    """Texts of the outputs that were written while tracking."""


def store_predictions(
    prepared: PreparedRun,
    results: Results,
    tracker: VideoTracker,
    masks: Annotations,
    reader: ReadAhead[FrameItem],
    stop: StopFlag,
    num_restored: int,
) -> LoopEnd:
    """Track frames while another thread stores them, and now and then the tracker's state."""
    resumable, error = find_resumable(prepared, tracker), None
    num_predicted, saved, summaries = 0, time.monotonic(), list[str]()
    progress = progress_bar(
        prepared.frames.count, unit="frame", enabled=prepared.options.progress, initial=num_restored
    )
    with closing(FrameSink(prepared, results, masks)) as sink:
        try:
            with (
                progress as bar,
                closing(iter(reader)) as frames,
                WriteBehind(sink.write) as writer,
                closing(predict_frames(prepared, tracker, frames, masks, stop, soft=results.soft)) as predictions,
            ):
                for predicted in predictions:
                    if not num_predicted:
                        sink.start(num_restored)
                    num_predicted += 1
                    state = None
                    if resumable and time.monotonic() - saved >= SAVE_SECONDS:
                        state, saved = resumable.state_dict(), time.monotonic()
                    writer.put((predicted, state))
                    bar.update()
        except Exception as caught:  # outputs are completed first
            error = caught
        try:
            summaries = sink.finish()
        except InputError as caught:
            error = error or caught
    return LoopEnd(error, num_predicted, summaries)


def predict_frames(
    prepared: PreparedRun,
    tracker: VideoTracker,
    frames: Iterator[FrameItem],
    masks: Annotations,
    stop: StopFlag,
    *,
    soft: bool,
) -> Generator[PredictedFrame, None, None]:
    """Return the predictions of all frames, forward or in both directions; ``soft``: as `track_forward`."""
    from aotlab_video.runs.directions import track_both_directions, track_forward

    if prepared.options.both_directions:
        return track_both_directions(tracker, frames, masks, prepared.removals, prepared.folder, stop, soft=soft)
    return track_forward(tracker, frames, masks, prepared.removals, soft=soft)


class FrameSink:
    """Receiver of predicted frames: stores each, and writes the outputs of a source that can be read only once."""

    def __init__(self, prepared: PreparedRun, results: Results, masks: Annotations) -> None:
        self._prepared, self._results, self._masks = prepared, results, masks
        self._views: Views | None = None

    def start(self, num_restored: int) -> None:
        """Begin the store, once the first frame is predicted; earlier results are deleted unless it resumes them."""
        prepared, results = self._prepared, self._results
        if not num_restored:
            results.start()
        names = {index: f"{PROMPT_MASKS}/{prepared.source.frame_name(index)}.png" for index in prepared.prompts}
        if names:
            results.other_files[PROMPT_MASKS] = [*names.values()]
            results.save()
        for index, name in names.items():
            write_mask(results.folder / name, self._masks[index])
        outputs = {
            name: output for name, output in prepared.options.make_outputs().items() if name in prepared.streamed
        }
        context = make_context(results, prepared.source, prepared.frames.number)
        self._views = Views(results, outputs, prepared.options.output_options, context)

    def write(self, item: tuple[PredictedFrame, dict[str, Any] | None]) -> None:
        """Store a predicted frame, and the tracker's state after it if given; wait for the labels of the frame."""
        predicted, state = item
        frame = self._make_frame(predicted)
        self._results.append(frame)
        if state is not None:
            save_state(self._results, state)
        if self._views is not None:
            self._views.write(frame)

    def finish(self) -> list[str]:
        """Complete the outputs; return their texts. Raises `InputError` if one cannot be written."""
        return self._views.finish() if self._views is not None and self._results.is_present else []

    def close(self) -> None:
        """Remove outputs that are not complete."""
        if self._views is not None:
            self._views.discard()

    def _make_frame(self, predicted: PredictedFrame) -> TrackedFrame:
        index, image, prediction, disagreement = predicted
        masks, source = self._masks, self._prepared.source
        annotated, soft, given = frozenset[int](), None, masks.soft_masks(index)
        if index in masks:
            annotated = frozenset(np.unique(masks[index]).tolist()) - {0}
        if self._results.soft:
            probabilities = prediction.probabilities[1:].float().cpu().numpy()
            soft = quantize_probabilities(insert_soft_masks(probabilities, prediction.ids, given))
        return TrackedFrame(
            index=index,
            name=source.frame_name(index),
            frame=image,
            labels=np.asarray(prediction.labels),
            confidence={object_id: round(value, 6) for object_id, value in prediction.confidence.items()},
            time=source.time(index),
            annotated_ids=annotated,
            cut=bool(prediction.cut),
            disagreement={object_id: round(value, 6) for object_id, value in disagreement.items()},
            max_id=self._results.max_id,
            soft=soft,
            soft_ids=frozenset(given),
        )


def find_unused_inputs(prepared: PreparedRun, masks: Annotations, entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the message about masks and removals after the last frame, or that there is no frame; else None."""
    name = prepared.source.name
    if not entries:
        return f"{name}: ended before the first frame to track; give an earlier start"
    count = entries[-1]["index"] + 1
    if unused := [index for index in (*masks, *prepared.removals) if index >= count]:
        return (
            f"{name}: the mask or removal of frame {min(unused)} was not used: the video has {count} frames; "
            f"give a frame from 0 to {count - 1}"
        )
    return None


def finish_record(results: Results, result: TrackResult, tracker: ResumableTracker | None) -> None:
    """Record the end of a run; store the state of a tracker from which it can resume after an early stop."""
    results.require_present()
    if result.status == "done":
        results.frames = len(results.entries)
        remove_state(results.folder)
        if results.last_frame is None:  # a stream, whose length is known now
            results.last_frame = results.first_frame + result.frames + result.dropped_frames - 1
    elif tracker is not None:
        with suppress(InputError):
            save_state(results, tracker.state_dict())
    results.status, results.error, results.seconds = result.status, result.error, round(result.seconds, 3)
    results.save()


def read_ahead(
    prepared: PreparedRun, masks: Mapping[int, np.ndarray], stop: StopFlag, first: int | None = None
) -> ReadAhead[FrameItem]:
    """Return a reader of the frames to track, from index ``first`` on.

    In real time, it drops late frames without a mask or removal.
    """
    frames, timeout = prepared.frames.read(prepared.source, first), prepared.source.options.timeout
    if not prepared.options.realtime:
        return ReadAhead(frames, stop=stop, timeout=timeout)
    if not prepared.source.is_live:
        frames = pace_frames(frames, prepared.source)
    required = {*masks, *prepared.removals}
    return ReadAhead(frames, stop=stop, timeout=timeout, must_keep=lambda item: item[0] in required)


def pace_frames(frames: Iterator[FrameItem], source: FrameSource) -> Iterator[FrameItem]:
    """Yield index and frame, at the frame rate of a source that is not live."""
    start: float | None = None
    for index, frame in frames:
        due = float(source.time(index))
        start = time.monotonic() - due if start is None else start
        time.sleep(max(0.0, start + due - time.monotonic()))
        yield index, frame


def add_prompt_masks(prepared: PreparedRun, tracker: VideoTracker) -> Annotations:
    """Return the masks of a run with those of its prompts."""
    if not prepared.prompts:
        return prepared.masks
    from aotlab.sdk import SegmentingTracker

    chosen = prepared.job.segmenter
    segmenter = tracker.segmenter if chosen is None and isinstance(tracker, SegmentingTracker) else None
    segmenter = segmenter or load_segmenter(chosen, device=str(tracker.device))
    masks = replace(prepared.masks, frames=dict(prepared.masks.frames))
    for index, prompts in prepared.prompts.items():
        labels = segmenter(prepared.source.read(index), prompts, keep=masks.get(index))
        require_pixels(labels, prompts)
        masks.add_mask(index, labels)
    return masks


def find_resumable(prepared: PreparedRun, tracker: VideoTracker) -> ResumableTracker | None:
    """Return the tracker if an interrupted run can resume from its state, else None."""
    from aotlab.sdk import ResumableTracker

    return tracker if prepared.is_resumable and isinstance(tracker, ResumableTracker) else None


def make_classes(masks: Annotations, class_file: Path | None) -> ObjectClasses:
    """Return the classes of the objects in masks, with the class ids of ``class_file``, see `merge_class_ids`."""
    class_ids = masks.class_ids()
    if class_file is not None:  # names without an id in the masks may have any
        class_ids = merge_class_ids(class_file, {name: masks.classes.get(name) for name in class_ids})
    return ObjectClasses(masks.class_names, class_ids, masks.attribute_table())


def restore_tracker(tracker: ResumableTracker, results: Results) -> int:
    """Load the saved state of a tracker; return the number of frames before it, 0 without a usable state."""
    from aotlab.utils.versioned_files import load_pickle

    path = results.folder / STATE_FILE
    if not (results.entries and path.is_file()):
        return 0
    try:
        with reading(path, CHECKPOINT.remedy, RuntimeError, *MALFORMED):
            content = unwrap(CHECKPOINT, load_pickle(path))
            count = int(content["frames"])
            if count > len(results.entries):
                raise ValueError(f"{count} frames, but {len(results.entries)} are stored")
        names = {entry["name"] for entry in results.entries[:count]}
        if missing := [name for name in results.list_missing() if name in names]:
            raise InputError("no such file", subject=results.mask_path(missing[0]), remedy=CHECKPOINT.remedy)
        tracker.load_state_dict(content["state"])
    except InputError as error:
        log.warning("%s", error)
        return 0
    return count


def save_state(results: Results, state: Mapping[str, Any]) -> None:
    """Store the tracker's state after the last stored frame; raise `InputError` if it cannot be written."""
    import torch

    buffer = io.BytesIO()  # writing to a file, PyTorch hides why it failed
    torch.save(wrap(CHECKPOINT, {"frames": len(results.entries), "state": state}), buffer)
    write_bytes(results.folder / STATE_FILE, buffer.getbuffer())
