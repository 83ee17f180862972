"""Tracking of one video into a folder: checked before the model is loaded, resumed, and recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.engine.streaming import HELPER_THREADS
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.engine.tracking.segmenters import load_segmenter, segment_objects
from aotlab.media.frames import FrameSource
from aotlab.media.masks import write_mask
from aotlab.media.prompt import Prompt, parse_prompts
from aotlab.media.regions import VideoInfo
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_file_name, is_folder, real_path, remove, sha256
from aotlab.utils.locks import locked_output
from aotlab.utils.places import CAMERA_NUMBER, FrameObjectValue
from aotlab.utils.versioned_json import load_record, save_record
from aotlab.video.class_list import share_classes
from aotlab.video.inputs import (
    FrameNumbers,
    VideoMasks,
    load_masks,
    resolve_mask_value,
    split_mask_value,
)
from aotlab.video.outputs import (
    OUTPUTS,
    find_output,
    remove_temporary_files,
    require_no_results,
    require_source_outside,
)
from aotlab.video.resume import SOURCE_OUTPUT, STATE_FILE, UNSUPPORTED_OUTPUTS, Progress
from aotlab.video.track import TrackOptions, TrackResult, group_removals, track

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.engine.tracking.tracker import Tracker

RECORD_FILE = ".track.json"
"""name of the record in a job's folder"""
CORRECTED_FILE = ".corrected"
"""name of an empty file in the folder of a job whose results corrections have replaced; a list keeps them"""
DRAWN_MASKS = "given"
"""name of the folder with the masks of prompts in a job's folder"""
MASK_SUFFIXES = (".png", ".xml", ".json", ".masks")
"""suffixes of mask files beside a video: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks"""
UNFINISHED = "not finished"
"""error of a record until its job has ended"""


@dataclass(frozen=True)
class Job:
    """One video to track."""

    name: str
    """name of its result folder"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[str, ...]
    """masks, ``[FRAME][:ID]=FILE`` or FILE each"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of this job only"""
    levels: str | None = None
    """levels, as in `open_frames`"""
    start: int | None = None
    """number of the first frame to track; None: the first of the video"""
    end: int | None = None
    """number of the last frame to track; None: the last of the video"""
    boxes: tuple[str, ...] = ()
    """boxes around objects without a mask, see `parse_prompts`"""
    points: tuple[str, ...] = ()
    """points on objects"""
    not_points: tuple[str, ...] = ()
    """points that are not on the objects"""
    segmenter: tuple[str, ...] = ()
    """segmenter of the prompts: two ONNX files, or the name of a plug-in; empty: that of the checkpoint"""


@dataclass(frozen=True)
class OpenJob:
    """A job whose video, masks and prompts were read and checked; no PyTorch is loaded for this."""

    job: Job
    source: FrameSource
    numbers: FrameNumbers
    options: TrackOptions
    """options with frame indices instead of frame numbers"""
    masks: VideoMasks
    """masks from files"""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """prompts by frame number and object id"""

    @property
    def objects(self) -> set[int]:
        """Ids of all objects."""
        return set(self.masks.annotations.objects()).union(*self.prompts.values())


@dataclass
class JobRecord:
    """The result of a job."""

    name: str
    video: str = ""
    made_by: str = ""
    """digest of the inputs of its results"""
    frames: int = 0
    seconds: float = 0.0
    """seconds spent in the tracker"""
    rate: str = "24"
    """frame rate of the video"""
    error: str | None = None
    """error message; None on success"""
    written: list[str] = field(default_factory=list)
    """outputs relative to the job's folder; once it has ended, the completed ones"""
    first_frame: int = 0
    """index of the first tracked frame"""
    masks: list[str] = field(default_factory=list)
    """masks, as in `Job.masks`; once its video was opened, with frame indices for FRAME"""
    levels: str | None = None
    """levels, as in `Job.levels`"""

    @classmethod
    def start(cls, job: Job) -> JobRecord:
        """Return the record of an unfinished job, with absolute paths."""
        video, live = job.video, "://" in job.video or job.video == "-" or CAMERA_NUMBER.fullmatch(job.video)
        video = os.path.abspath(video) if os.path.exists(video) or not live else video
        masks = [resolve_mask_value(value, Path.cwd()) for value in job.masks]
        return cls(job.name, video, error=UNFINISHED, masks=masks, levels=job.levels)


def read_job_record(folder: Path) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None without one, or if it is damaged."""
    return load_record(folder / RECORD_FILE, JobRecord)


def run_job(
    job: Job,
    folder: Path,
    tracker: TrackerOptions | None = None,
    options: TrackOptions | None = None,
    *,
    force: bool = False,
    restart: bool = False,
) -> TrackResult | None:
    """Track one video into a folder, or resume it; return None if the folder has its results already.

    Everything is checked before the model is loaded, and results are replaced only after that. A stopped run resumes
    if its inputs are the same; streams and outputs in `UNSUPPORTED_OUTPUTS` start over.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model; None: the bundled one.
        options: outputs and how to track; frame numbers in them are those of the job.
        force: replace results of other inputs.
        restart: track again from the first frame.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    tracker, options = tracker or TrackerOptions(), options or TrackOptions()
    opened, inputs = open_job(job, options, folder), describe_inputs(tracker, options)
    return track_job(opened, folder, tracker, inputs, force=force, restart=restart)


def track_job(
    opened: OpenJob,
    folder: Path,
    tracker: TrackerOptions,
    inputs: Mapping[str, Any],
    *,
    load_tracker: Callable[[TrackerOptions], Tracker] = TrackerOptions.load,
    class_list: Path | None = None,
    force: bool = False,
    restart: bool = False,
) -> TrackResult | None:
    """Track an open job, as `run_job`.

    Args:
        inputs: JSON values that results depend on, see `describe_inputs`.
        load_tracker: returns the tracker of ``tracker`` with the job's overrides, for example a cached one.
        class_list: file with the class ids of a list of jobs, to which this job's classes are added.
    """
    from aotlab.utils.devices import pick_device, reserve_cores  # loads PyTorch

    job, source, options = opened.job, opened.source, opened.options
    pick_device(tracker.device)
    record = JobRecord.start(job)
    record.made_by, record.rate = digest_inputs(job, inputs), str(source.rate)
    record.written = [find_output(name).file_name for name in options.write]
    record.first_frame, record.masks = options.frames.first, _locate_masks(opened)
    with locked_output(folder):
        repeatable = not options.realtime and (is_file(Path(job.video)) or is_folder(Path(job.video)))
        earlier = read_job_record(folder) or JobRecord(job.name)
        same = repeatable and earlier.made_by == record.made_by
        if same and is_finished(earlier, folder, record.made_by) and not restart:
            return None
        replaced = list(dict.fromkeys([*record.written, *filter(is_file_name, earlier.written)]))
        require_source_outside(replaced, folder, Path(job.video))
        remove_temporary_files(replaced, folder)
        if not (same or force):
            require_no_results(replaced, folder)
        masks, drawn = opened.masks, []
        if opened.prompts:
            record.written.append(DRAWN_MASKS)
            drawn = make_masks(opened, folder / DRAWN_MASKS, tracker.checkpoint)
            video = VideoInfo.from_source(source)
            masks = load_masks([*job.masks, *drawn], video, opened.numbers, options.frames)
        group_removals(options.removals, masks, source)
        tracker = _fit_settings(tracker, opened, masks)
        saved = _make_progress(folder, source, options, record) if repeatable else None
        reserve_cores(HELPER_THREADS)
        loaded = load_tracker(tracker)
        loaded.reset(options.frames.count(source.length))
        if saved is not None and same and not restart:
            saved.load(loaded)
        fresh = saved is None or saved.last < 0
        if fresh:  # after all checks: masks may be among them
            remove_results(replaced, folder, [*job.masks, *drawn])
        save_record(folder / RECORD_FILE, record)
        classes = masks.annotations.class_ids()
        if class_list is not None:
            classes = share_classes(class_list, classes)
        options = replace(
            options,
            class_names=masks.annotations.class_names,
            classes=classes,
            attributes=masks.annotations.attribute_table(),
        )
        try:
            result = track(loaded, source, masks, folder, options, saved)
        except InputError:  # no frame was written
            if fresh:
                remove(folder / RECORD_FILE)
            raise
        return _finish_record(record, folder, result)


def _fit_settings(tracker: TrackerOptions, opened: OpenJob, masks: VideoMasks) -> TrackerOptions:
    """Return the options with the overrides of a job and of its memory budget."""
    tracker = replace(tracker, overrides=(*tracker.overrides, *opened.job.overrides))
    budget = opened.options.memory_budget
    if budget is None:
        return tracker
    fitted = fit_memory_budget(budget, tracker.read_settings(), opened.source, masks)
    return replace(tracker, overrides=(*tracker.overrides, *fitted))


def _finish_record(record: JobRecord, folder: Path, result: TrackResult) -> TrackResult:
    """Save the record of a job that has ended; return the result."""
    record.frames, record.seconds = result.frames, round(result.seconds, 3)
    record.error = UNFINISHED if result.interrupted else result.error
    drawn = {DRAWN_MASKS} & {*record.written}
    record.written = sorted(drawn.union(path.name for path in result.written.values()))
    save_record(folder / RECORD_FILE, record)
    if record.error is None:
        remove(folder / STATE_FILE)
    return result


def remove_results(names: Iterable[str], folder: Path, masks: Iterable[str]) -> None:
    """Remove files and folders of an earlier run from a folder; of its drawn masks only those not in ``masks``."""
    kept = {real_path(split_mask_value(value)[-1]) for value in masks}
    for path in (folder / name for name in names):
        for file in path.glob("*") if path.name == DRAWN_MASKS else [path]:
            if real_path(file) not in kept:
                remove(file)
        with suppress(OSError):
            path.rmdir()  # if it is empty


def _locate_masks(opened: OpenJob) -> list[str]:
    """Return the masks of a job with absolute paths, and frame indices for those of one frame."""
    values, first = [], opened.options.frames.first
    for value in opened.job.masks:
        number, object_id, file = split_mask_value(value)
        frame = first if number is None and first and file.suffix.lower() == ".png" else number
        frame = frame if number is None else opened.numbers.index(number)
        values.append(str(FrameObjectValue(frame, object_id, os.path.abspath(file))))
    return values


def open_job(job: Job, options: TrackOptions, folder: Path | None = None, *, strict: bool = False) -> OpenJob:
    """Open the video of a job and check its masks, prompts and removals.

    Args:
        folder: output folder, which must not hold the video; None: nothing is written.
        strict: raise if a mask file states the name of another video, as in lists, where lines may be mixed up.

    Raises:
        InputError: a bad video, mask or prompt, or the video lacks the first or last frame of the job.
    """
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels)
    if not (job.masks or job.boxes or job.points):
        names = ", ".join(f"{Path(job.video).stem}{suffix}" for suffix in MASK_SUFFIXES)
        raise InputError(f"{job.video}: no masks; put one of {names} beside it")
    numbers = FrameNumbers(source, by_name=options.by_name)
    options = options.with_indices(numbers, job.start, job.end)
    if folder is not None:
        require_source_outside(options.write, folder, Path(job.video))
    masks = load_masks(job.masks, VideoInfo.from_source(source), numbers, options.frames, strict=strict)
    prompts = parse_prompts(
        job.boxes, job.points, job.not_points, first_frame=numbers.number(options.frames.first)
    )
    if prompts and not Path(job.video).exists():
        raise InputError(f"{job.video}: prompts need a video file or a folder; give a mask for a stream")
    for frame, by_object in prompts.items():
        if source.length is not None and numbers.index(frame) >= source.length:
            raise InputError(
                f"prompt of frame {frame}: the video holds {source.length} frames; "
                f"give one from 0 to {source.length - 1}"
            )
        if numbers.index(frame) in masks:
            raise InputError(
                f"prompt of frame {frame}: the frame has a mask; draw its objects there, or leave it out"
            )
        for prompt in by_object.values():
            prompt.check_inside(source.size)
    if not prompts:
        group_removals(options.removals, masks, source)
    return OpenJob(job, source, numbers, options, masks, prompts)


def make_masks(opened: OpenJob, folder: Path, checkpoint: Path) -> list[str]:
    """Write the masks of a job's prompts into a folder; return them as in `Job.masks`.

    Args:
        checkpoint: model whose prompt network is used unless the job names a segmenter.

    Raises:
        InputError: no pixel is found for an object, or the segmenter cannot be loaded.
    """
    names = opened.job.segmenter
    segmenter = load_segmenter(
        [Path(name) for name in names] if len(names) == 2 else None,
        plugin=names[0] if len(names) == 1 else None,
        checkpoint=checkpoint,
    )
    values = []
    for frame, prompts in opened.prompts.items():
        index = opened.numbers.index(frame)
        path = folder / f"{index:05d}.png"
        write_mask(path, segment_objects(opened.source.read(index), prompts, segmenter), max_id=max(prompts))
        values.append(f"{frame}={path}")
    return values


def describe_inputs(tracker: TrackerOptions, options: TrackOptions) -> dict[str, Any]:
    """Return all that results depend on apart from the job, as JSON values; raise `InputError` if unreadable."""
    from aotlab.configs.load import to_yaml

    inputs: dict[str, Any] = {
        "checkpoint": sha256(tracker.checkpoint),
        "settings": to_yaml(tracker.read_settings()),
        "write": sorted(options.write),
        "both_directions": options.both_directions,
    }
    optional = {
        "removals": [list(removal) for removal in options.removals],
        "by_name": options.by_name,
        "budget": options.memory_budget,
    }
    return inputs | {name: value for name, value in optional.items() if value}


def digest_inputs(job: Job, inputs: Mapping[str, Any]) -> str:
    """Return a digest of ``inputs`` and a job: overrides, masks, and sizes and times of the video's files.

    Raises:
        InputError: a mask cannot be read.
    """
    masks = [(value, _digest_files(split_mask_value(value)[-1])) for value in job.masks]
    path = Path(job.video)
    files = sorted(path.iterdir()) if is_folder(path) else [path] if is_file(path) else []
    video = [_read_stamp(file) for file in files]
    parts: tuple[Any, ...] = (dict(inputs), job.overrides, job.levels, masks, str(path), video)
    if (job.start, job.end) != (None, None):
        parts = (*parts, job.start, job.end)
    if job.boxes or job.points:
        parts = (*parts, job.boxes, job.points, job.not_points, job.segmenter)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def is_finished(record: JobRecord, folder: Path, made_by: str) -> bool:
    """Return whether a record is of a finished job with the same inputs whose results exist."""
    same = record.error is None and record.made_by == made_by
    return same and all((folder / name).exists() for name in record.written)


def _make_progress(
    folder: Path, source: FrameSource, options: TrackOptions, record: JobRecord
) -> Progress | None:
    """Return where to save progress; None if the outputs cannot be resumed."""
    write = set(options.write)
    if options.both_directions or SOURCE_OUTPUT not in write or write & UNSUPPORTED_OUTPUTS:
        return None
    confidence = not write <= set(OUTPUTS)  # annotation files and plug-ins may store it
    return Progress(folder, source.stem, record.made_by, confidence=confidence)


def _digest_files(path: Path) -> str:
    """Return a digest of a mask file, or of the files of a folder."""
    total = hashlib.sha256()
    folder = is_folder(path)
    if not folder and not is_file(path):
        raise InputError(f"{path}: no such mask; check the path")
    files = sorted(file for file in path.rglob("*") if file.is_file()) if folder else [path]
    try:
        for file in files:
            total.update(repr(file.relative_to(path) if folder else "").encode())
            total.update(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    return total.hexdigest()


def _read_stamp(file: Path) -> tuple[str, int, int]:
    """Return name, size and time of a file; only the name of a dangling link."""
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_size, stat.st_mtime_ns


def fit_memory_budget(
    budget: int, settings: Config, source: FrameSource, masks: VideoMasks
) -> tuple[str, ...]:
    """Return overrides for as many frames of long-term memory as fit into ``budget`` bytes.

    Raises:
        InputError: two frames do not fit.
    """
    objects, memory = len(masks.annotations.objects()), settings.memory
    size = memory_bytes_per_frame(settings, source.size, objects)
    frames = budget // size
    if frames < 2:
        raise InputError(
            f"memory budget: {budget / 1e6:.1f} MB is too little, a frame of this video with {objects} objects "
            f"takes {size / 1e6:.1f} MB; give at least {2 * size / 1e6:.1f}MB"
        )
    if source.length is not None:
        frames = min(frames, max(2, 1 + len(masks) + source.length // memory.every))
    overrides = ["memory.newest=null", f"memory.frames={frames}"]
    if memory.insertions is not None:
        overrides.append(f"memory.insertions={max(memory.insertions, frames)}")
    return tuple(overrides)


def memory_bytes_per_frame(config: Config, size: tuple[int, int], objects: int) -> int:
    """Return the bytes of long-term memory per frame, at most if frames are enlarged for small objects.

    Measured by storing a reference frame on the meta device, so it holds for any model.

    Args:
        config: settings of model and input.
        size: (height, width) of the video.
        objects: number of tracked objects, at least 1.
    """
    import torch

    from aotlab.engine.memory.bank import MemoryBank
    from aotlab.engine.memory.policies import FirstFrame
    from aotlab.engine.recurrence import propagate_reference, write_memory
    from aotlab.networks.build import build_model
    from aotlab.networks.preprocess import network_size

    identities = config.model.max_objects
    height, width = network_size(
        size, config.input, align_corners=config.model.align_corners, min_object_area=1
    )
    groups, bank = -(-objects // identities), MemoryBank(FirstFrame())
    with torch.device("meta"), torch.inference_mode():
        model = build_model(config.model).eval()
        features = model.encode(torch.empty(1, 3, height, width))
        masks = torch.empty(groups, identities + 1, height, width)
        write_memory(model, [bank], propagate_reference(model, [bank], features, [masks]))
    return bank.nbytes
