"""Runs: frames → tracker → store → outputs."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aotlab.engine.tracking.options import TrackerLoader, TrackerOptions
from aotlab.media.frame_numbers import FrameNumbers
from aotlab.media.frames import FrameSource
from aotlab.media.levels import Levels
from aotlab.media.masks import write_mask
from aotlab.media.prompt import Prompt
from aotlab.media.regions import Annotations, ObjectClasses
from aotlab.media.video import open_frames
from aotlab.prompting.load import load_segmenter
from aotlab.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.runs.classes import merge_class_ids
from aotlab.runs.inputs import FrameSelection
from aotlab.runs.job import ClassNames, Job, RunOptions
from aotlab.runs.output_options import NO_OPTIONS
from aotlab.runs.outputs import Views, find_output_file, list_missing_outputs, require_soft, write_views
from aotlab.runs.prepare import PreparedRun, prepare
from aotlab.runs.store import (
    MASKS,
    PROMPT_MASKS,
    STATE_FILE,
    Results,
    TrackedFrame,
    quantize_probabilities,
    remove_state,
)
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import MALFORMED, is_file_name, reading, write_bytes
from aotlab.utils.locks import locked_output
from aotlab.utils.progress import progress_bar
from aotlab.utils.signals import StopFlag, stop_flag
from aotlab.utils.streaming import HELPER_THREADS, ReadAhead, StallError, stream
from aotlab.utils.versioned_files import FileKind, unwrap, wrap

if TYPE_CHECKING:
    from aotlab.engine.tracking.prediction import Prediction
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.runs.directions import TimedTracker

log = logging.getLogger(__name__)

CHECKPOINT = FileKind("progress of a tracked video", 5, "tracking starts from the first frame")
SAVE_SECONDS = 60.0
"""Seconds between two saved states of the tracker."""
FrameItem = tuple[int, np.ndarray]
"""Index of a frame and its image, H×W×3 uint8 RGB."""
_Pending = tuple[int, np.ndarray, "Prediction", dict[str, Any] | None]
"""Index, image and prediction of a frame, and the state of the tracker after it, to be saved."""
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
    """Lines that summarize the outputs, from `Output.finish`."""
    reused: bool = False
    """Whether finished results were reused and nothing was tracked."""
    rendered: tuple[str, ...] = ()
    """Names of the outputs that were written after tracking."""
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


def render(
    folder: str | Path,
    outputs: str | Sequence[str],
    *,
    output_options: Mapping[str, Any] = NO_OPTIONS,
    missing: bool = False,
    progress: bool = True,
) -> TrackResult:
    """Write or replace outputs of the results in a folder, also of interrupted and of corrected ones.

    Args:
        folder: results of one video.
        outputs: names of outputs.
        output_options: as in `RunOptions`.
        missing: only write outputs that do not exist, or were written with other options.
        progress: whether to show a progress bar if stderr is a terminal.

    Raises:
        InputError: the video is missing or has changed, a mask is missing, or an output cannot be written.
    """
    folder = Path(folder)
    options = RunOptions(outputs, output_options=output_options)
    names, values = [name for name in options.write if name != MASKS], options.output_options
    with locked_output(folder):
        results = Results.read(folder)
        if results is None or not results.entries:
            raise InputError("no frame is tracked", subject=folder, remedy="track the video first")
        if missing:
            names = list_missing_outputs(results, names, values)
        if absent := results.describe_missing():
            raise InputError(f"{absent} are missing", subject=folder, remedy="track the video again")
        if results.edited:
            log.warning("%s: its masks lack later edits; export them first", folder)
        video = results.find_video()
        results.require_same_video(video)
        source = open_frames(video, **results.video_options)
        number = FrameNumbers(source, by_name=results.by_name).number
        texts = write_views(results, source, names, options=values, frame_number=number, progress=progress)
        return TrackResult(
            len(results.entries), results.seconds, _list_written(results, options), tuple(texts),
            reused=True, rendered=tuple(names),
        )  # fmt: skip


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
            result = TrackResult(len(results.entries), results.seconds, reused=True)
            return _write_views(prepared, results, result, ())
        results.status, results.error = "unfinished", None
        with nullcontext(stop) if stop else stop_flag() as flag:
            result = _Tracking(prepared, results, class_file).run(flag)
            if result.frames and results.is_present:  # after a signal too; a second one ends the program
                result = _write_views(prepared, results, result, prepared.streamed)
        return result


def _list_written(results: Results, options: RunOptions) -> dict[str, Path]:
    """Return the paths of the masks and complete outputs of a run by name."""
    paths = {name: results.folder / find_output_file(name, options.output_options) for name in options.write}
    return {name: path for name, path in paths.items() if name == MASKS or name in results.outputs}


def _write_views(prepared: PreparedRun, results: Results, result: TrackResult, streamed: Sequence[str]) -> TrackResult:
    """Write the outputs that results lack; return the result of the run with them.

    ``streamed``: outputs that were written while tracking.
    """
    options, error, texts = prepared.options, None, list[str]()
    names = [name for name in options.outputs if name not in streamed]
    missing = list_missing_outputs(results, names, options.output_options)
    try:
        texts = write_views(
            results, prepared.source, missing, options=options.output_options,
            frame_number=prepared.frames.number, progress=options.progress,
        )  # fmt: skip
    except InputError as caught:
        if result.reused:
            raise
        error = caught
    incomplete = [find_output_file(name, options.output_options) for name in {*missing, *streamed} - {*results.outputs}]
    problem = result.error or (None if error is None else str(error))
    if problem is not None and incomplete:
        problem = f"{problem} (not completed: {', '.join(sorted(incomplete))})"
    return replace(
        result, error=problem, written=_list_written(results, options), summaries=(*result.summaries, *texts),
        rendered=tuple(name for name in missing if name in results.outputs),
    )  # fmt: skip


class _Tracking:
    """The loop of a run: each frame is tracked, and its prediction is stored by another thread."""

    def __init__(self, prepared: PreparedRun, results: Results, class_file: Path | None) -> None:
        """Load the tracker, with its state if the run resumes."""
        from aotlab.runs.directions import TimedTracker
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
        self.streamed: Views | None = None
        """Outputs that are written while tracking."""
        self.num_predicted, self.has_started = self.num_restored, False
        self.last_saved = time.monotonic()

    def run(self, stop: StopFlag) -> TrackResult:
        """Track until the end, an error, or a signal; complete the record."""
        prepared, results, options = self.prepared, self.results, self.prepared.options
        first = results.entries[self.num_restored - 1]["index"] + 1 if self.num_restored else None
        reader = read_ahead(prepared, self.masks, stop, first)
        error: Exception | None = None
        texts = list[str]()
        try:
            try:
                bar = progress_bar(prepared.frames.count, unit="frame", enabled=options.progress)
                with bar, closing(stream(reader, partial(self._predict, stop), self._write)) as tracked:
                    bar.update(self.num_restored)
                    for _ in tracked:
                        bar.update()
            except Exception as caught:  # the record and outputs are completed first
                error = caught
            if self.streamed is not None and results.is_present:
                try:
                    texts = self.streamed.finish()
                except InputError as caught:
                    error = error or caught
        finally:
            if self.streamed is not None:
                self.streamed.discard()
        if isinstance(error, StallError):
            error = InputError(
                f"no frame for {options.timeout:g} seconds",
                subject=prepared.source.name,
                remedy="check the source, or wait longer (timeout)",
            )
        is_stopped = stop.is_set() and not error
        if self.num_restored and not (self.has_started or is_stopped or error):  # all frames were stored
            results.start(self.num_restored)
        has_frames = self.has_started or self.num_restored > 0
        if error is not None and not (has_frames and isinstance(error, InputError)):
            raise error
        num_frames = len(results.entries) if has_frames else 0
        cuts = [entry for entry in results.entries[:num_frames] if entry.get("cut")]
        result = TrackResult(
            num_frames,
            self.timed.seconds,
            summaries=tuple(texts),
            restored_frames=self.num_restored,
            dropped_frames=reader.dropped,
            damaged_frames=tuple(prepared.source.damaged_frames),
            corrupt_packets=prepared.source.corrupt_packets,
            cuts=tuple(prepared.frames.number(entry["index"]) for entry in cuts),
            ended_ids=tuple(
                sorted({int(key) for entry in cuts for key, value in entry["confidence"].items() if not value})
            ),
            levels=prepared.source.levels,
            signal_number=stop.signal_number if stop.is_set() else None,
            error=None if is_stopped else str(error) if error else self._describe_problem(num_frames),
        )
        if not num_frames:  # earlier results keep their record
            return result
        # without space on the disk, the error of the run explains more than that of its record
        with suppress(InputError) if result.error else nullcontext():
            self._finish_record(result, reader.dropped)
        return replace(result, resumable=(results.folder / STATE_FILE).is_file())

    def _predict(self, stop: StopFlag, frames: Iterator[FrameItem]) -> Generator[_Pending, None, None]:
        """Yield the frames with their predictions, and now and then the tracker's state after the frame."""
        from aotlab.runs.directions import track_both_directions, track_forward  # loads PyTorch

        prepared = self.prepared
        if prepared.options.both_directions:
            tracked = track_both_directions(self.timed, frames, self.masks, prepared.removals, prepared.folder, stop)
        else:
            tracked = track_forward(self.timed, frames, self.masks, prepared.removals)
        with closing(tracked):
            for index, image, prediction in tracked:
                self.num_predicted += 1
                state = None
                if prepared.is_resumable and time.monotonic() - self.last_saved >= SAVE_SECONDS:
                    state, self.last_saved = self.tracker.state_dict(), time.monotonic()
                yield index, image, prediction, state

    def _write(self, pending: _Pending) -> None:
        """Store a frame, and write it to the outputs of a source that can be read only once."""
        index, image, prediction, state = pending
        tracked = self._make_frame(index, image, prediction)
        if not self.has_started:
            self._start()
        self.results.append(tracked)
        if state is not None:
            save_state(self.results, state)
        if self.streamed is not None:
            self.streamed.write(tracked)

    def _start(self) -> None:
        """Begin the store, or continue it after the restored frames."""
        results, prepared = self.results, self.prepared
        results.start(self.num_restored)
        self.has_started = True
        names = {index: f"{PROMPT_MASKS}/{prepared.source.frame_name(index)}.png" for index in prepared.prompts}
        if names:
            results.other_files[PROMPT_MASKS] = [*names.values()]
            results.save()
        for index, name in names.items():
            write_mask(results.folder / name, self.masks[index])
        if prepared.streamed:
            options = prepared.options.output_options
            self.streamed = Views(results, prepared.source, prepared.streamed, options, prepared.frames.number)

    def _make_frame(self, index: int, image: np.ndarray, prediction: Prediction) -> TrackedFrame:
        """Return a predicted frame as it is stored."""
        source, annotated, soft = self.prepared.source, frozenset[int](), None
        if index in self.masks:
            annotated = frozenset(np.unique(self.masks[index]).tolist()) - {0}
        if self.results.soft:
            soft = quantize_probabilities(prediction.probabilities[1:].float().cpu().numpy())
        return TrackedFrame(
            index, source.frame_name(index), image, np.asarray(prediction.labels),
            {object_id: round(value, 6) for object_id, value in prediction.confidence.items()}, source.time(index),
            annotated, bool(prediction.cut),
            {object_id: round(value, 6) for object_id, value in prediction.disagreement.items()},
            self.results.max_id, soft,
        )  # fmt: skip

    def _describe_problem(self, num_frames: int) -> str | None:
        """Return the message about masks and removals on missing frames, or that there is no frame; else None."""
        name, entries = self.prepared.source.name, self.results.entries
        if not num_frames:
            return f"{name}: ended before the first frame to track; give an earlier start"
        count = entries[-1]["index"] + 1
        if unused := [index for index in (*self.masks, *self.prepared.removals) if index >= count]:
            return (
                f"{name}: the mask or removal of frame {min(unused)} was not used: the video has {count} frames; "
                f"give a frame from 0 to {count - 1}"
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


def read_ahead(
    prepared: PreparedRun, masks: Mapping[int, np.ndarray], stop: StopFlag, first: int | None = None
) -> ReadAhead[FrameItem]:
    """Return a reader of the frames to track, from index ``first`` on.

    In real time, it drops late frames without a mask or removal.
    """
    frames, options = prepared.frames.read(prepared.source, first), prepared.options
    if not options.realtime:
        return ReadAhead(frames, stop=stop, timeout=options.timeout)
    if not prepared.source.is_live:
        frames = pace_frames(frames, prepared.source)
    required = {*masks, *prepared.removals}
    return ReadAhead(frames, stop=stop, timeout=options.timeout, must_keep=lambda item: item[0] in required)


def pace_frames(frames: Iterator[FrameItem], source: FrameSource) -> Iterator[FrameItem]:
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
