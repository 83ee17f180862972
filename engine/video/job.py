"""Tracking of one video into a folder: checked before the model is loaded, resumed, and recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from aotlab.configs.load import to_yaml
from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FirstFrame
from aotlab.engine.recurrence import propagate_reference, write_memory
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.video.inputs import (
    FrameNumbers,
    VideoMasks,
    load_masks,
    resolve_mask_value,
    split_mask_value,
)
from aotlab.engine.video.outputs import (
    OUTPUTS,
    remove_results,
    remove_temporary_files,
    require_no_results,
    require_source_outside,
)
from aotlab.engine.video.resume import SOURCE_OUTPUT, STATE_FILE, UNSUPPORTED_OUTPUTS, Progress
from aotlab.engine.video.streaming import HELPER_THREADS
from aotlab.engine.video.track import TrackOptions, TrackResult, group_removals, track
from aotlab.media.video import FrameSource, open_frames
from aotlab.networks.models import build_model
from aotlab.networks.preprocess import network_size
from aotlab.utils.devices import reserve_cores
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder, remove, require_writable, sha256
from aotlab.utils.locks import locked_output
from aotlab.utils.versioned_json import load_record, save_record

RECORD_FILE = ".track.json"
"""name of the record in a job's folder"""
UNFINISHED = "not finished"
"""error of a record until its job has ended"""

MakeMasks = Callable[[FrameSource, FrameNumbers, int], Sequence[str]]
"""from the video, its frame numbers and the index of the first frame to further masks, as in `Job.masks`"""


@dataclass(frozen=True)
class Job:
    """One video to track."""

    name: str
    """name of its result folder"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[str, ...]
    """masks, ``[FRAME:]FILE`` each"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of this job only"""
    levels: str | None = None
    """levels, as in `open_frames`"""
    start: int | None = None
    """number of the first frame to track; None: the first of the video"""
    end: int | None = None
    """number of the last frame to track; None: the last of the video"""


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
    """completed outputs, relative to the job's folder"""
    masks: list[str] = field(default_factory=list)
    """masks, as in `Job.masks`"""
    levels: str | None = None
    """levels, as in `Job.levels`"""

    @classmethod
    def start(cls, job: Job) -> JobRecord:
        """Return the record of an unfinished job, with absolute paths."""
        video = job.video if "://" in job.video or job.video == "-" else os.path.abspath(job.video)
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
    inputs: Mapping[str, Any] | None = None,
    load_tracker: Callable[[TrackerOptions], Tracker] = TrackerOptions.load,
    memory_budget: int | None = None,
    make_masks: MakeMasks | None = None,
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
        inputs: JSON values that results depend on, see `describe_inputs`; None: those of ``tracker`` and ``options``.
        load_tracker: returns the tracker of ``tracker`` with the job's overrides, for example a cached one.
        memory_budget: bytes of long-term memory; None: as in the settings.
        make_masks: makes further masks of this video, called once the folder is locked.
        force: replace results of other inputs.
        restart: track again from the first frame.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    tracker, options = tracker or TrackerOptions(), options or TrackOptions()
    inputs = describe_inputs(tracker, options) if inputs is None else inputs
    source, numbers, options = open_job(job, options)
    require_source_outside(options.write, folder, Path(job.video))
    record = JobRecord.start(job)
    record.made_by, record.rate = digest_inputs(job, inputs), str(source.rate)
    with locked_output(require_writable(folder)):
        remove_temporary_files(options.write, folder)
        repeatable = not options.realtime and (is_file(Path(job.video)) or is_folder(Path(job.video)))
        earlier = read_job_record(folder) if repeatable else None
        resumable = earlier is not None and earlier.made_by == record.made_by
        if earlier is not None and is_finished(earlier, folder, record.made_by) and not restart:
            return None
        if not (resumable or force):
            require_no_results(options.write, folder)
        made = () if make_masks is None else make_masks(source, numbers, options.frames.first)
        masks = load_masks([*job.masks, *made], source, numbers, options.frames)
        group_removals(options.removals, masks, source)
        tracker = replace(tracker, overrides=(*tracker.overrides, *job.overrides))
        if memory_budget is not None:
            fitted = fit_memory_budget(memory_budget, tracker.read_settings(), source, masks)
            tracker = replace(tracker, overrides=(*tracker.overrides, *fitted))
        saved = _make_progress(folder, source, options, record) if repeatable else None
        reserve_cores(HELPER_THREADS)
        loaded = load_tracker(tracker)
        loaded.reset(options.frames.count(source.length))
        if saved is not None and resumable and not restart:
            saved.load(loaded)
        if saved is None or saved.last < 0:
            remove_results(options.write, folder)  # after all checks: masks may be among them
        save_record(folder / RECORD_FILE, record)
        options = replace(options, class_names=masks.annotations.class_names)
        result = track(loaded, source, masks, folder, options, saved)
        record.frames, record.seconds = result.frames, round(result.seconds, 3)
        record.error = UNFINISHED if result.interrupted else result.error
        record.written = sorted(path.name for path in result.written.values())
        save_record(folder / RECORD_FILE, record)
        if record.error is None:
            remove(folder / STATE_FILE)
        return result


def open_job(job: Job, options: TrackOptions) -> tuple[FrameSource, FrameNumbers, TrackOptions]:
    """Open the video of a job; return it, its frame numbers, and the options with its frame indices.

    Raises:
        InputError: a bad video, or one without the first or last frame of the job.
    """
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels)
    numbers = FrameNumbers(source, by_name=options.by_name)
    return source, numbers, options.with_indices(numbers, job.start, job.end)


def describe_inputs(tracker: TrackerOptions, options: TrackOptions) -> dict[str, Any]:
    """Return all that results depend on apart from the job, as JSON values; raise `InputError` if unreadable."""
    inputs: dict[str, Any] = {
        "checkpoint": sha256(tracker.checkpoint),
        "settings": to_yaml(tracker.read_settings()),
        "write": sorted(options.write),
        "both_directions": options.both_directions,
    }
    optional = {"removals": [list(removal) for removal in options.removals], "by_name": options.by_name}
    return inputs | {name: value for name, value in optional.items() if value}


def digest_inputs(job: Job, inputs: Mapping[str, Any]) -> str:
    """Return a digest of ``inputs`` and a job: overrides, masks, and sizes and times of the video's files.

    Raises:
        InputError: a mask cannot be read.
    """
    masks = [(value, _digest_files(split_mask_value(value)[1])) for value in job.masks]
    path = Path(job.video)
    files = sorted(path.iterdir()) if is_folder(path) else [path] if is_file(path) else []
    video = [_read_stamp(file) for file in files]
    parts: tuple[Any, ...] = (dict(inputs), job.overrides, job.levels, masks, str(path), video)
    if (job.start, job.end) != (None, None):
        parts = (*parts, job.start, job.end)
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
