"""Runs: frames → tracker → store → outputs."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from aotlab.engine.tracking.options import TrackerLoader, TrackerOptions
from aotlab.jobs.classes import merge_class_ids
from aotlab.jobs.inputs import FrameSelection
from aotlab.jobs.job import ClassNames, Job, RunOptions
from aotlab.jobs.output_base import OutputContext
from aotlab.jobs.outputs import Outputs, find_output_file, list_missing_outputs, render, require_soft
from aotlab.jobs.prepare import PreparedRun, prepare
from aotlab.media.frames import FrameSource
from aotlab.media.levels import Levels
from aotlab.media.masks import write_mask
from aotlab.media.plates import Plate
from aotlab.media.prompt import Prompt
from aotlab.media.regions import Annotations, ObjectClasses
from aotlab.media.results import (
    MASKS,
    PROMPT_MASKS,
    STATE_FILE,
    Results,
    TrackedFrame,
    quantize_probabilities,
    remove_state,
)
from aotlab.media.video import open_frames
from aotlab.prompting.load import load_segmenter
from aotlab.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import MALFORMED, is_file_name, reading, write_bytes
from aotlab.utils.locks import locked_output
from aotlab.utils.progress import progress_bar
from aotlab.utils.signals import StopFlag, stop_flag
from aotlab.utils.streaming import HELPER_THREADS, ReadAhead, StallError, stream
from aotlab.utils.versioned_files import FileKind, unwrap, wrap

if TYPE_CHECKING:
    from tqdm import tqdm

    from aotlab.engine.tracking.prediction import Prediction
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.jobs.directions import TimedTracker

log = logging.getLogger(__name__)

CHECKPOINT = FileKind("progress of a tracked video", 5, "tracking starts from the first frame")
SAVE_SECONDS = 60.0
"""Seconds between two saved states of the tracker."""
FrameItem = tuple[int, np.ndarray, Plate]
"""Index of a frame, its image for the tracker, H×W×3 uint8 RGB, and the frame as stored."""
Frame = TypeVar("Frame")
Action = Literal["track", "resume", "reuse"]
"""Action of a run on its folder."""


@dataclass(frozen=True)
class TrackResult:
    """Result of a run: the written outputs, and the reason if it stopped early."""

    frames: int = 0
    """Number of frames in the results."""
    seconds: float = 0.0
    """Seconds spent in the tracker, without reading and writing."""
    written: dict[str, Path] = field(default_factory=dict)
    """Masks and completed outputs by name; after an early stop they hold the frames until then."""
    summaries: tuple[str, ...] = ()
    """Lines that summarize the outputs, from `Output.summary`."""
    reused: bool = False
    """Whether finished results were reused and nothing was tracked."""
    rendered: tuple[str, ...] = ()
    """Names of the outputs that were written from reused results."""
    restored_frames: int = 0
    """Number of frames that an earlier, interrupted run had tracked."""
    dropped_frames: int = 0
    """Number of frames dropped to keep up."""
    damaged_frames: tuple[int, ...] = ()
    """Indices of damaged frames concealed by the decoder."""
    corrupt_packets: int = 0
    """Number of undecodable packets of a stream."""
    cuts: tuple[int, ...] = ()
    """Numbers of the first frames after cuts, if ``rules.cuts`` is set."""
    ended_ids: tuple[int, ...] = ()
    """Ids of the objects that are not visible on one of them, as those that ``rules.after_cut`` has hidden."""
    levels: Levels | None = None
    """Intensities shown as black and white; None: images are shown as stored."""
    signal_number: int | None = None
    """Number of the signal that stopped the run, if one did."""
    resumable: bool = False
    """Whether another run with the same inputs resumes after an early stop."""
    error: str | None = None
    """Reason for an early stop or missing outputs; None on success."""

    @property
    def interrupted(self) -> bool:
        """Whether a signal stopped the run."""
        return self.signal_number is not None

    @property
    def status(self) -> Literal["unfinished", "failed", "done"]:
        """Status in the record of the run."""
        return "unfinished" if self.interrupted else "failed" if self.error else "done"

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the tracker only; 0 without frames."""
        return (self.frames - self.restored_frames) / self.seconds if self.seconds > 0 else 0.0

    @property
    def speed(self) -> str:
        """Frames per second of the tracker only, or seconds per frame if it takes longer than one, as text."""
        rate = self.frames_per_second
        return f"{1 / rate:.1f} seconds per frame" if 0 < rate < 1 else f"{rate:.1f} frames per second"


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: RunOptions | None = None,
    *,
    force: bool = False,
    verify_inputs: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; finished results of the same inputs are reused.

    Inputs are checked before the model is loaded, and earlier results deleted only once the first frame is segmented.
    A run that ends early does not raise: check `TrackResult.error` and `TrackResult.interrupted`. A stopped run
    resumes if its inputs are the same and `TrackResult.resumable`; any other starts over. With a loaded tracker, whose
    hooks and weights cannot be compared, a run needs a new folder or ``force``.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track.
        force: replace results of a different run.
        verify_inputs: read all inputs, also those whose size and time are as in the record of earlier results.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or has results of another run.
    """
    tracker = tracker or TrackerOptions()
    has_files = isinstance(tracker, TrackerOptions)
    if not isinstance(tracker, TrackerOptions):
        if job.overrides:
            raise InputError(
                "need TrackerOptions in place of a loaded tracker", subject=f"overrides {' '.join(job.overrides)}"
            )
        tracker = tracker.fresh()
    prepared = prepare(
        job, Path(folder), TrackerLoader(tracker), options or RunOptions(), verify_inputs=verify_inputs,
        has_files=has_files,
    )  # fmt: skip
    return run(prepared, force=force)


def track(
    source: FrameSource | str | Path,
    masks: Mapping[int, np.ndarray] | None,
    folder: str | Path,
    tracker: Tracker,
    options: RunOptions | None = None,
    *,
    prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
    frames: FrameSelection | None = None,
    classes: ClassNames = (),
    removals: Iterable[str | tuple[int | str, int]] = (),
    force: bool = False,
) -> TrackResult:
    """Track a video from masks or prompts in memory into a new folder; all else is as in `run_job`.

    Args:
        source: the video; a path or address is opened as `open_frames` does.
        masks: H×W object ids by frame index, of frames to track; later masks may add objects. None: only prompts.
        folder: output folder, created if missing.
        tracker: a `Tracker`, which forgets earlier videos first.
        options: outputs and how to track; None: the defaults.
        prompts: prompts by frame index and object id; on a frame with a mask, as in `Tracker.step`.
        frames: frames to track; None: all.
        classes: class names by object id, for outputs that store them.
        removals: as in `Job`.
        force: replace earlier results, which cannot be compared with a run of arrays and a loaded tracker.

    Raises:
        InputError: as `run_job`; or there are neither masks nor prompts, or the first frame failed.
        Exception: an internal error, raised after outputs are completed.
    """
    options, folder = options or RunOptions(), Path(folder)
    for name, value in (("masks", masks), ("prompts", prompts)):
        is_mapping = value is None or isinstance(value, Mapping)
        require(
            is_mapping, f"expected a dict by frame index, such as {{0: ...}}, got {type(value).__name__}", subject=name
        )
    require(masks or prompts, "none", subject="masks", remedy="pass {0: mask}")
    if not isinstance(source, FrameSource):
        source = open_frames(source, timeout=options.timeout)
    name = folder.name if is_file_name(folder.name) else "video"
    job = Job(name, "-" if source.path is None else source.path, classes=classes, removals=removals)
    prepared = prepare(
        job, folder, TrackerLoader(tracker), options, has_files=False, source=source, frames=frames, arrays=masks,
        prompts=prompts,
    )  # fmt: skip
    return run(prepared, force=force)


def find_action(prepared: PreparedRun, *, force: bool = False) -> Action:
    """Return what a run would do with its folder, after all its checks; the model is loaded unless results are reused.

    Raises:
        InputError: as `run`.
    """
    with locked_output(prepared.folder):
        results = prepared.new_results().open(force=force)
        if results.status == "done":
            options = prepared.options
            missing = list_missing_outputs(results, options.outputs, options.output_options)
            require_soft(results, missing, options.output_options)
            return "reuse"
        prepared.loader.load(prepared.job.overrides)
        return "resume" if results.entries and (prepared.folder / STATE_FILE).is_file() else "track"


def run(
    prepared: PreparedRun, *, force: bool = False, class_file: Path | None = None, stop: StopFlag | None = None
) -> TrackResult:
    """Track the video of a run, resume it, or return its finished results with outputs that are still missing.

    Args:
        force: replace results of a different run.
        class_file: class ids of a list of videos, see `merge_class_ids`.
        stop: flag that stops a list; None: a new one, which Ctrl-C, SIGTERM and SIGHUP set.

    Raises:
        InputError: as `run_job`.
    """
    with locked_output(prepared.folder):
        new = prepared.new_results()
        results = new.open(force=force)
        moved = (results.video, results.masks, results.digests) != (new.video, new.masks, new.digests)
        results.video, results.masks, results.digests = new.video, new.masks, new.digests
        if results.status == "done":
            if moved:
                results.save()
            return _reuse(results, prepared)
        results.status, results.error = "unfinished", None
        with nullcontext(stop) if stop else stop_flag() as flag:
            return _Tracking(prepared, results, class_file).run(flag)


def _reuse(results: Results, prepared: PreparedRun) -> TrackResult:
    """Write the outputs that finished results lack."""
    options = prepared.options
    missing = list_missing_outputs(results, options.outputs, options.output_options)
    outputs = render(
        results, prepared.source, missing, options=options.output_options,
        frame_number=prepared.frames.number, progress=options.progress,
    )  # fmt: skip
    return TrackResult(
        len(results.entries), results.seconds, _list_written(results, options), tuple(outputs.summaries),
        reused=True, rendered=tuple(missing),
    )  # fmt: skip


def _list_written(results: Results, options: RunOptions) -> dict[str, Path]:
    """Return the paths of the masks and outputs of a run by name."""
    paths = {name: results.folder / find_output_file(name, options.output_options) for name in options.write}
    return {name: path for name, path in paths.items() if name == MASKS or name in results.outputs}


@dataclass(frozen=True)
class _Pending:
    """A frame on its way to the store and the outputs."""

    index: int
    image: np.ndarray
    plate: Plate | None
    """The frame as its source stores it, if an output needs it."""
    source: Prediction | TrackedFrame
    """Its prediction, or the frame as an earlier run has stored it."""
    state: dict[str, Any] | None = None
    """State of the tracker after the frame, to be saved."""


class _Tracking:
    """One pass over the frames of a run: some are restored from the store, the others tracked and stored."""

    def __init__(self, prepared: PreparedRun, results: Results, class_file: Path | None) -> None:
        """Load the tracker, with its state if the run resumes, and prepare the outputs."""
        from aotlab.jobs.directions import TimedTracker
        from aotlab.utils.devices import leave_cores_free  # loads PyTorch

        leave_cores_free(HELPER_THREADS)
        self.prepared, self.results = prepared, results
        self.tracker = prepared.loader.load(prepared.job.overrides)
        self.timed: TimedTracker = TimedTracker(self.tracker, soft=results.soft)
        self.num_restored = restore_tracker(self.tracker, results) if prepared.is_resumable else 0
        if not self.num_restored:
            self.tracker.reset(prepared.frames.count)
        self.masks = prepared.masks
        if prepared.prompts:
            files = prepared.job.segmenter
            segmenter = load_segmenter(files) if files else self.tracker.segmenter
            self.masks = add_prompt_masks(prepared, segmenter)
        results.classes = make_classes(self.masks, class_file)
        options = prepared.options
        context = OutputContext(
            prepared.source, results.classes, prepared.frames.number, objects=tuple(results.objects)
        )
        self.outputs = Outputs(options.outputs, results, context, options.output_options)
        self._plates = dict[int, Plate]()
        """Plates of the frames that the tracker has taken and not returned."""
        self.num_predicted, self.frames = self.num_restored, 0
        """Numbers of frames that the tracker has seen, and that are written to all outputs."""
        self.last_saved = time.monotonic()

    def run(self, stop: StopFlag) -> TrackResult:
        """Track until the end, an error, or a signal; complete the outputs and the record."""
        prepared, results, options = self.prepared, self.results, self.prepared.options
        reader = read_ahead(prepared, self.masks, stop)
        bar = progress_bar(prepared.frames.count, unit="frame", enabled=options.progress)
        error = self._write_frames(stream(reader, partial(self._predict, stop), self._write), bar)
        if isinstance(error, StallError):
            error = InputError(
                f"no frame for {options.timeout:g} seconds",
                subject=prepared.source.name,
                remedy="check the source, or wait longer (timeout)",
            )
        if error is not None and not (self.frames and isinstance(error, InputError)):
            raise error
        is_stopped = stop.is_set() and not error
        num_frames = max(self.frames, self.num_restored) if self.frames else 0
        cuts = [entry for entry in results.entries[:num_frames] if entry.get("cut")]
        result = TrackResult(
            num_frames,
            self.timed.seconds,
            _list_written(results, options) if self.frames else {},
            tuple(self.outputs.summaries),
            restored_frames=min(self.num_restored, num_frames),
            dropped_frames=reader.dropped,
            damaged_frames=tuple(prepared.source.damaged_frames),
            corrupt_packets=prepared.source.corrupt_packets,
            cuts=tuple(prepared.frames.number(entry["index"]) for entry in cuts),
            ended_ids=tuple(
                sorted({int(key) for entry in cuts for key, value in entry["confidence"].items() if not value})
            ),
            levels=prepared.source.levels,
            signal_number=stop.signal_number if stop.is_set() else None,
            error=None if is_stopped else self._describe_problem(error),
        )
        if not self.frames:  # earlier results keep their record
            return result
        # without space on the disk, the error of the run explains more than that of its record
        with suppress(InputError) if result.error else nullcontext():
            self._finish_record(result, reader.dropped)
        return replace(result, resumable=(results.folder / STATE_FILE).is_file())

    def _predict(self, stop: StopFlag, items: Iterator[FrameItem]) -> Generator[_Pending, None, None]:
        """Yield the frames with their predictions, and now and then the tracker's state after the frame."""
        from aotlab.jobs.directions import track_both_directions, track_forward  # loads PyTorch

        prepared, restored = self.prepared, self.results.entries[: self.num_restored]
        frames = self._keep_plates(items)
        for entry in restored:
            index, frame = next(frames, (-1, None))
            if frame is None:
                return
            plate = self._take_plate(index)
            yield _Pending(index, frame, plate, self._restore(entry, frame, plate))
        if prepared.options.both_directions:
            tracked = track_both_directions(self.timed, frames, self.masks, prepared.removals, prepared.folder, stop)
        else:
            tracked = track_forward(self.timed, frames, self.masks, prepared.removals)
        with closing(tracked):
            for index, frame, prediction in tracked:
                self.num_predicted += 1
                state = None
                if prepared.is_resumable and time.monotonic() - self.last_saved >= SAVE_SECONDS:
                    state, self.last_saved = self.tracker.state_dict(), time.monotonic()
                yield _Pending(index, frame, self._take_plate(index), prediction, state)

    def _keep_plates(self, items: Iterator[FrameItem]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and image; in both directions, plates would fill the memory and are read again."""
        for index, image, plate in items:
            if self.outputs.need_plates and not self.prepared.options.both_directions:
                self._plates[index] = plate
            yield index, image

    def _take_plate(self, index: int) -> Plate | None:
        """Return the plate of a tracked frame; None if no output needs it, or a stream cannot be read again."""
        source, options = self.prepared.source, self.prepared.options
        if self.outputs.need_plates and options.both_directions and source.path is not None:
            return source.read_plate(index)
        return self._plates.pop(index, None)

    def _restore(self, entry: Mapping[str, Any], frame: np.ndarray, plate: Plate | None) -> TrackedFrame:
        """Return a stored frame; the next run starts over if it is damaged."""
        try:
            return self.results.read_frame(entry, frame, plate)
        except InputError as error:
            remove_state(self.results.folder)
            raise InputError(error, remedy="the next run starts from the first frame") from error

    def _write(self, pending: _Pending) -> None:
        """Store a frame that was tracked, and write it to the outputs."""
        source = pending.source
        tracked = source if isinstance(source, TrackedFrame) else self._make_frame(pending, source)
        if not self.frames:
            self._start()
        if tracked is not source:
            self.results.append(tracked)
            if pending.state is not None:
                save_state(self.results, pending.state)
        self.outputs.write(tracked)
        self.frames += 1

    def _start(self) -> None:
        """Begin the store, or continue it after the restored frames."""
        results, prompts = self.results, self.prepared.prompts
        names = {index: f"{PROMPT_MASKS}/{self.prepared.source.frame_name(index)}.png" for index in prompts}
        results.other_files |= {PROMPT_MASKS: [*names.values()]} if names else {}
        results.start(self.num_restored)
        for index, name in names.items():
            write_mask(results.folder / name, self.masks[index])

    def _make_frame(self, pending: _Pending, prediction: Prediction) -> TrackedFrame:
        """Return a predicted frame as it is stored."""
        index, source, annotated = pending.index, self.prepared.source, frozenset[int]()
        if index in self.masks:
            annotated = frozenset(np.unique(self.masks[index]).tolist()) - {0}
        soft = None
        if self.results.soft:
            soft = quantize_probabilities(prediction.probabilities[1:].float().cpu().numpy())
        return TrackedFrame(
            index, source.frame_name(index), pending.image, np.asarray(prediction.labels),
            {object_id: round(value, 6) for object_id, value in prediction.confidence.items()}, source.time(index),
            annotated, bool(prediction.cut),
            {object_id: round(value, 6) for object_id, value in prediction.disagreement.items()},
            self.results.max_id, soft, pending.plate,
        )  # fmt: skip

    def _write_frames(self, tracked: Generator[Any, None, None], bar: tqdm) -> Exception | None:
        """Write all frames and complete the outputs; return the first error. A second Ctrl-C drops outputs."""
        failure: Exception | None = None
        try:
            try:
                with bar, closing(tracked):
                    for _ in tracked:
                        bar.update()
            except Exception as error:  # outputs are completed first
                failure = error
            # a run that stops while frames are restored keeps the outputs of the earlier one
            has_new = self.frames > 0 and self.frames >= self.num_restored and self.results.is_present
            unfinished = self.outputs.finish() if has_new else None
            self.incomplete = self.outputs.incomplete
        finally:
            self.outputs.discard()
        return failure or unfinished

    def _describe_problem(self, error: Exception | None) -> str | None:
        """Return the message about an early stop, or about masks and removals on missing frames; None without."""
        if error is not None:
            missing = ", ".join(self.incomplete)
            return f"{error} (not completed: {missing})" if missing else str(error)
        name, entries = self.prepared.source.name, self.results.entries
        if not self.frames:
            return f"{name}: ended before the first frame to track; give an earlier start"
        num_frames = entries[-1]["index"] + 1
        if unused := [index for index in (*self.masks, *self.prepared.removals) if index >= num_frames]:
            return (
                f"{name}: the mask or removal of frame {min(unused)} was not used: the video has {num_frames} frames; "
                f"give a frame from 0 to {num_frames - 1}"
            )
        return None

    def _finish_record(self, result: TrackResult, dropped: int) -> None:
        """Record the end of the run; keep the tracker's state if it stopped early."""
        results = self.results
        results.require_present()
        if result.status == "done":
            results.frames = len(results.entries)
            remove_state(results.folder)
        elif self.prepared.is_resumable and len(results.entries) == self.num_predicted > self.num_restored:
            with suppress(InputError):
                save_state(results, self.tracker.state_dict())
        if results.last_frame is None and result.status == "done":  # a stream, whose length is known now
            results.last_frame = results.first_frame + result.frames + dropped - 1
        results.status, results.error, results.seconds = result.status, result.error, round(result.seconds, 3)
        results.save()


def read_ahead(prepared: PreparedRun, masks: Mapping[int, np.ndarray], stop: StopFlag) -> ReadAhead[FrameItem]:
    """Return a reader of the frames to track; in real time, it drops late frames without a mask or removal."""
    plates, options = prepared.frames.read_plates(prepared.source), prepared.options
    if options.realtime and not prepared.source.is_live:
        plates = pace_frames(plates, prepared.source)
    items = ((index, plate.to_image(), plate) for index, plate in plates)
    if not options.realtime:
        return ReadAhead(items, stop=stop, timeout=options.timeout)
    required = {*masks, *prepared.removals}
    return ReadAhead(items, stop=stop, timeout=options.timeout, must_keep=lambda item: item[0] in required)


def pace_frames(frames: Iterator[tuple[int, Frame]], source: FrameSource) -> Iterator[tuple[int, Frame]]:
    """Yield index and frame, at the frame rate of a source that is not live."""
    start: float | None = None
    for index, frame in frames:
        due = float(source.time(index))
        start = time.monotonic() - due if start is None else start
        time.sleep(max(0.0, start + due - time.monotonic()))
        yield index, frame


def add_prompt_masks(prepared: PreparedRun, segmenter: PromptSegmenter) -> Annotations:
    """Return the masks of a run with those of its prompts."""
    masks = replace(prepared.masks, frames=dict(prepared.masks.frames))
    for index, prompts in prepared.prompts.items():
        labels = segmenter(prepared.source.read(index), prompts, keep=masks.get(index))
        require_pixels(labels, prompts)
        masks.add_mask(index, labels)
    return masks


def make_classes(masks: Annotations, class_file: Path | None) -> ObjectClasses:
    """Return the classes of the objects in masks, with the class ids of ``class_file``, see `merge_class_ids`."""
    class_ids = masks.class_ids()
    if class_file is not None:  # names without an id in the masks may have any
        class_ids = merge_class_ids(class_file, {name: masks.classes.get(name) for name in class_ids})
    return ObjectClasses(masks.class_names, class_ids, masks.attribute_table())


def restore_tracker(tracker: Tracker, results: Results) -> int:
    """Load the saved state of a tracker; return the number of frames before it, 0 without a usable state."""
    from aotlab.networks.weights.checkpoints import load_pickle

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
