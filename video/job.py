"""Tracking of one video into a folder: checked before the model is loaded, resumed, and recorded."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aotlab.engine.prompting.load import load_segmenter
from aotlab.engine.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.annotations import SIDECAR_FILES
from aotlab.media.frames import FrameSource
from aotlab.media.masks import write_mask
from aotlab.media.prompt import Prompt, parse_prompts
from aotlab.media.regions import VideoInfo
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_file_name, is_folder, real_path, remove, sha256
from aotlab.utils.locks import locked_output
from aotlab.utils.streaming import HELPER_THREADS
from aotlab.utils.value_syntax import CAMERA_NUMBER, FrameObjectValue, parse_frame_object, strip_credentials
from aotlab.utils.versioned_json import load_record, save_record
from aotlab.video.inputs import (
    FrameSelection,
    VideoMasks,
    load_masks,
    resolve_mask_value,
    split_mask_value,
)
from aotlab.video.labels import VideoLabels
from aotlab.video.outputs import (
    OUTPUTS,
    estimate_bytes,
    find_existing,
    remove_temporary_files,
    require_source_outside,
)
from aotlab.video.resume import STATE_FILE, Progress
from aotlab.video.track import JobOptions, TrackResult, group_removals, track

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker

RECORD_FILE = ".track.json"
"""name of the record in a job's folder"""
CORRECTED_FILE = ".corrected"
"""name of the export's JSON record in the folder of a job whose results corrections have replaced; a list keeps them"""
PROMPT_MASKS = "given"
"""name of the folder with the masks of prompts in a job's folder"""
MASK_SUFFIXES = (".png", ".xml", ".json", ".masks")
"""suffixes of mask files beside a video: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks"""
WEIGHT_FILES = ("{stem}.*",)
"""patterns of files beside an ONNX file that may hold its weights"""
UNFINISHED = "not finished"
"""error of a record until its job has ended"""


@dataclass(frozen=True)
class Job:
    """One video to track."""

    name: str
    """name of its result folder"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[str, ...] = ()
    """masks, ``[FRAME][:ID]=FILE`` or FILE each; a single string is accepted, as for the other tuples"""
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
    classes: tuple[str, ...] = ()
    """class names of objects, ``[:ID]=NAME`` or NAME for object 1; they replace those of mask files"""
    rate: str | None = None
    """frames per second of an image folder or TIFF stack, as in `open_frames`"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "video", str(self.video))
        for name in ("masks", "overrides", "boxes", "points", "not_points", "segmenter", "classes"):
            value = getattr(self, name)
            values = (value,) if isinstance(value, str | Path) else value
            object.__setattr__(self, name, tuple(map(str, values)))


@dataclass
class JobRecord:
    """The result of a job."""

    name: str
    video: str = ""
    input_digest: str = ""
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
    outputs: list[str] = field(default_factory=list)
    """files and folders of this and earlier runs in the folder, complete or not, which another run may replace"""
    first_frame: int = 0
    """index of the first tracked frame"""
    masks: list[str] = field(default_factory=list)
    """masks, as in `Job.masks`; once its video was opened, with frame indices for FRAME"""
    levels: str | None = None
    """levels, as in `Job.levels`"""
    fingerprint: dict[str, Any] = field(default_factory=dict)
    """identity of the video's content, of `compute_fingerprint`; empty for a stream"""

    @classmethod
    def start(cls, job: Job) -> JobRecord:
        """Return the record of an unfinished job, with absolute paths, and addresses without passwords."""
        video, live = job.video, "://" in job.video or job.video == "-" or CAMERA_NUMBER.fullmatch(job.video)
        video = os.path.abspath(video) if os.path.exists(video) or not live else strip_credentials(video)
        masks = [resolve_mask_value(value, Path.cwd()) for value in job.masks]
        return cls(job.name, video, error=UNFINISHED, masks=masks, levels=job.levels)


@dataclass(frozen=True)
class CheckedJob:
    """A job whose video, masks and prompts were read and checked by `check_job`; no PyTorch is loaded for this."""

    job: Job
    options: JobOptions
    source: FrameSource
    frames: FrameSelection
    masks: VideoMasks
    """masks from files"""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """prompts by frame index and object id"""
    class_names: Mapping[int, str]
    """class names by object id, of `Job.classes`"""

    @property
    def objects(self) -> set[int]:
        """Ids of all objects."""
        return set(self.masks.annotations.objects()).union(*self.prompts.values())

    def run(
        self,
        folder: Path,
        load_tracker: Callable[[tuple[str, ...]], Tracker],
        input_digest: str,
        *,
        class_list: Path | None = None,
        force: bool = False,
        restart: bool = False,
        dry_run: bool = False,
    ) -> TrackResult | None:
        """Track the video into a folder, or resume it; arguments and errors as in `run_job`.

        Args:
            load_tracker: returns a tracker with the job's overrides, for example a cached one.
            input_digest: digest of all inputs, of `digest_inputs`.
            class_list: file with the class ids of a list of jobs, to which this job's classes are added.
            dry_run: return None before the first frame, with everything checked and nothing written.
        """
        from aotlab.utils.devices import reserve_cores  # loads PyTorch

        with locked_output(folder):
            results = JobResults(folder, self, input_digest, restart=restart)
            if results.finished:
                return None
            results.require_replaceable(force=force)
            reserve_cores(HELPER_THREADS)
            loaded = load_tracker(self.job.overrides)
            segmenter = open_segmenter(self.job.segmenter, loaded) if self.prompts else None
            if dry_run:
                return None
            results.remove_temporary_files()
            drawn = {} if segmenter is None else self.draw_prompts(segmenter)
            loaded.reset(self.frames.count)
            results.load_progress(loaded)
            with results.record_run():
                masks = self.masks
                if drawn:
                    values = [*self.job.masks, *self.write_drawn(drawn, folder / PROMPT_MASKS)]
                    masks = load_masks(values, VideoInfo.from_source(self.source), self.frames)
                masks.annotations.class_names.update(self.class_names)
                labels = VideoLabels.from_annotations(masks.annotations, class_list)
                result = track(
                    loaded, self.source, masks, folder, self.options, frames=self.frames, labels=labels,
                    progress=results.progress,
                )  # fmt: skip
            return results.save(result)

    def estimate_bytes(self) -> int:
        """Return about how many bytes the results take; 0 for a stream."""
        height, width = self.source.size
        pixels = height * width * (self.frames.count or 0)
        return estimate_bytes(self.options.write, pixels, len(self.objects))

    def draw_prompts(self, segmenter: PromptSegmenter) -> dict[int, np.ndarray]:
        """Return H×W object ids of the prompts by frame index.

        Raises:
            InputError: no pixel is found for an object, or the segmenter fails.
        """
        drawn = {}
        for index, prompts in self.prompts.items():
            drawn[index] = segmenter(self.source.read(index), prompts)
            require_pixels(drawn[index], prompts)
        return drawn

    def write_drawn(self, drawn: Mapping[int, np.ndarray], folder: Path) -> list[str]:
        """Write the masks of the prompts into a folder; return them as in `Job.masks`."""
        values = []
        for index, labels in drawn.items():
            path = folder / f"{index:05d}.png"
            write_mask(path, labels, max_id=max(self.prompts[index]))
            values.append(f"{self.frames.number(index)}={path}")
        return values


def open_segmenter(names: Sequence[str], tracker: Tracker) -> PromptSegmenter:
    """Return the segmenter of `Job.segmenter`, else that of the tracker's model, else of the bundled model.

    Raises:
        InputError: the segmenter cannot be loaded.
    """
    if not names and tracker.model.prompts is not None:
        return tracker.segmenter
    return load_segmenter(
        [Path(name) for name in names] if len(names) == 2 else None,
        plugin=names[0] if len(names) == 1 else None,
        device=str(tracker.device),
    )


def read_job_record(folder: Path) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None without one, or if it is damaged."""
    return load_record(folder / RECORD_FILE, JobRecord)


def remove_results(folder: Path, kept: Collection[Path] = ()) -> None:
    """Remove the outputs of a job that its record in the folder names, its progress, and the record; other files stay.

    Args:
        kept: resolved paths of masks to keep, in the folder of prompts' masks.
    """
    record = read_job_record(folder)
    for path in [] if record is None else (folder / name for name in filter(is_file_name, record.outputs)):
        for file in path.glob("*") if path.name == PROMPT_MASKS else [path]:
            if real_path(file) not in kept:
                remove(file)
        with suppress(OSError):
            path.rmdir()  # if it is empty
    for name in (STATE_FILE, RECORD_FILE):
        remove(folder / name)


class JobResults:
    """Results in the locked folder of a job: its record, and the results and progress of an earlier run.

    Args:
        folder: output folder.
        input_digest: digest of all inputs, of `digest_inputs`.
        restart: ignore an earlier run of the same inputs.
    """

    def __init__(self, folder: Path, checked: CheckedJob, input_digest: str, *, restart: bool) -> None:
        job, options = checked.job, checked.options
        video = Path(job.video)
        repeatable = not options.realtime and (is_file(video) or is_folder(video))
        earlier = read_job_record(folder) or JobRecord(job.name)
        self._folder, self._video = folder, video
        self._kept = {real_path(split_mask_value(value)[-1]) for value in job.masks}
        self._same = repeatable and earlier.input_digest == input_digest
        self._resume = self._same and not restart
        self._earlier = [*filter(is_file_name, earlier.outputs)]
        self.record = JobRecord.start(job)
        self.record.input_digest, self.record.rate = input_digest, str(checked.source.rate)
        self.record.first_frame, self.record.masks = checked.frames.first, _locate_masks(checked)
        self.record.written = [kind.file_name for kind in options.outputs.values()]
        self.record.written += [PROMPT_MASKS] if checked.prompts else []
        self.record.outputs = self.record.written
        self.finished = self._resume and is_finished(earlier, folder, input_digest)
        """whether the results of these inputs exist"""
        self.progress: Progress | None = None
        """progress to save; None if the outputs cannot be resumed"""
        if repeatable and Progress.supports(options.outputs, both_directions=options.both_directions):
            confidence = not {*options.write} <= {*OUTPUTS}  # annotation files and plug-ins may store it
            self.progress = Progress(folder, checked.source.stem, input_digest, confidence=confidence)

    def require_replaceable(self, *, force: bool) -> None:
        """Raise `InputError` if results would overwrite the video, other files, or results without ``force``."""
        require_source_outside([*self.record.written, *self._earlier], self._folder, self._video)
        foreign = find_existing(set(self.record.written) - {*self._earlier}, self._folder)
        if foreign is not None:
            raise InputError(
                f"output {self._folder}: holds {foreign}, which aotlab track did not write; choose another folder"
            )
        results = None if self._same or force else find_existing(self._earlier, self._folder)
        if results is not None:
            raise InputError(
                f"output {self._folder}: holds {results} of another run; choose another folder, or replace it with "
                "--force"
            )

    def remove_temporary_files(self) -> None:
        """Remove temporary files of a killed run."""
        remove_temporary_files(self._earlier, self._folder)

    def load_progress(self, tracker: Tracker) -> None:
        """Restore the tracker of an interrupted run of the same inputs, if there is one."""
        if self.progress is not None and self._resume:
            self.progress.load(tracker)

    @contextmanager
    def record_run(self) -> Iterator[None]:
        """Record the run of the block as unfinished, after removing earlier results unless it resumes them.

        A block that raises `InputError` has written no frame; what it has written is removed.
        """
        if is_file(self._video) or is_folder(self._video):
            self.record.fingerprint = compute_fingerprint(self._video)
        fresh = self.progress is None or self.progress.last < 0
        if fresh:  # after all checks: masks may be among them
            remove_results(self._folder, self._kept)
        save_record(self._folder / RECORD_FILE, self.record)
        try:
            yield
        except InputError:
            if fresh:
                remove_results(self._folder, self._kept)
            raise

    def save(self, result: TrackResult) -> TrackResult:
        """Save the record of a run that has ended; return the result."""
        record = self.record
        record.frames, record.seconds = result.frames, round(result.seconds, 3)
        record.error = UNFINISHED if result.interrupted else result.error
        masks = {PROMPT_MASKS} & {*record.written}
        record.written = sorted(masks.union(path.name for path in result.written.values()))
        save_record(self._folder / RECORD_FILE, record)
        if record.error is None:
            remove(self._folder / STATE_FILE)
        return result


def _locate_masks(checked: CheckedJob) -> list[str]:
    """Return the masks of a job with absolute paths, and frame indices for those of one frame."""
    values, frames = [], checked.frames
    for value in checked.job.masks:
        number, object_id, file = split_mask_value(value)
        index = frames.first if number is None and frames.first and file.suffix.lower() == ".png" else None
        if number is not None:
            index = frames.index(number, f"mask {value}")
        values.append(str(FrameObjectValue(index, object_id, os.path.abspath(file))))
    return values


def is_finished(record: JobRecord, folder: Path, input_digest: str) -> bool:
    """Return whether a record is of a finished job with the same inputs whose results exist."""
    same = record.error is None and record.input_digest == input_digest
    return same and all((folder / name).exists() for name in record.written)


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
    restart: bool = False,
) -> TrackResult | None:
    """Track one video into a folder, or resume it; return None if the folder has its results already.

    Everything is checked before the model is loaded, and results are replaced only after that. A stopped run resumes
    if its inputs are the same; streams, and outputs that are not `OutputKind.resumable`, start over.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track; frame numbers in them are those of the job.
        force: replace results of other inputs.
        restart: track again from the first frame.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    tracker, options = tracker or TrackerOptions(), options or JobOptions()
    if not isinstance(options, JobOptions):
        raise InputError(f"options: expected JobOptions, got {type(options).__name__}; see run_job")
    if not isinstance(tracker, TrackerOptions) and not hasattr(tracker, "fresh"):
        raise InputError(
            f"tracker: expected TrackerOptions or a Tracker, got {type(tracker).__name__}; see run_job"
        )
    load = tracker.load if isinstance(tracker, TrackerOptions) else partial(_reuse_model, tracker)
    checked = check_job(job, options)
    digest = digest_inputs(job, result_settings(tracker, options))
    return checked.run(Path(folder), load, digest, force=force, restart=restart)


def _reuse_model(tracker: Tracker, overrides: tuple[str, ...]) -> Tracker:
    """Return a fresh tracker of a loaded model; raise `InputError` for overrides, which need another."""
    if overrides:
        raise InputError(f"overrides {' '.join(overrides)}: need TrackerOptions in place of a loaded tracker")
    return tracker.fresh()


def check_job(job: Job, options: JobOptions, *, strict: bool = False) -> CheckedJob:
    """Open the video of a job and check its masks, prompts and removals.

    Args:
        strict: raise if a mask file states the name of another video, as in lists, where lines may be mixed up.

    Raises:
        InputError: a bad video, mask or prompt, or the video lacks the first or last frame of the job.
    """
    if not isinstance(job, Job):
        raise InputError(f"job: expected a Job, got {type(job).__name__}; give Job(name, video, masks)")
    shown = strip_credentials(job.video)
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    if not (job.masks or job.boxes or job.points):
        names = ", ".join(f"{Path(shown).stem}{suffix}" for suffix in MASK_SUFFIXES)
        raise InputError(f"{shown}: no masks; put one of {names} next to it")
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=strict)
    numbered = parse_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if numbered and not Path(job.video).exists():
        raise InputError(f"{shown}: prompts need a video file or a folder; give a mask for a stream")
    prompts = {frames.index(number, f"prompt of frame {number}"): numbered[number] for number in numbered}
    for index in prompts:
        if index in masks:
            raise InputError(
                f"prompt of frame {frames.number(index)}: the frame has a mask; draw its objects there, or leave it out"
            )
        for prompt in prompts[index].values():
            prompt.check_inside(source.size)
    ids: dict[int, Collection[int]] = {
        index: {region.object_id for region in regions} for index, regions in masks.annotations.frames.items()
    }
    group_removals(options.removals, {**ids, **prompts}, frames)
    class_names = parse_class_names(job.classes)
    for object_id in class_names.keys() - set().union(*ids.values(), *prompts.values()):
        raise InputError(
            f"class {class_names[object_id]}: no mask or prompt has object {object_id}; give its id, as in :2=NAME"
        )
    return CheckedJob(job, options, source, frames, masks, prompts, class_names)


def parse_class_names(values: Sequence[str]) -> dict[int, str]:
    """Return class names by object id of texts like ``NAME`` (object 1) and ``:2=NAME``.

    Raises:
        InputError: a frame, no name, or two names for one object.
    """
    names: dict[int, str] = {}
    for value in values:
        frame, object_id, name = parse_frame_object(value)
        object_id, name = 1 if object_id is None else object_id, name.strip()
        if frame is not None or not name or object_id in names:
            raise InputError(f"class {value}: expected one [:ID]=NAME for each object, for example :2=dog")
        names[object_id] = name
    return names


def result_settings(tracker: TrackerOptions | Tracker, options: JobOptions) -> dict[str, Any]:
    """Return all that results depend on apart from the job, as JSON values; raise `InputError` if unreadable."""
    from aotlab.configs.load import to_yaml

    if isinstance(tracker, TrackerOptions):
        checkpoint, settings = sha256(tracker.checkpoint), tracker.settings_as_yaml()
    else:
        checkpoint, settings = tracker.origin["weights"], to_yaml(tracker.config)
    inputs: dict[str, Any] = {
        "checkpoint": checkpoint,
        "settings": settings,
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
    masks = [(value, _digest_files(split_mask_value(value)[-1], SIDECAR_FILES)) for value in job.masks]
    path = Path(strip_credentials(job.video))
    files = sorted(path.iterdir()) if is_folder(path) else [path] if is_file(path) else []
    video = [_read_stamp(file) for file in files]
    segmenter = [
        (name, _digest_files(Path(name), WEIGHT_FILES) if is_file(Path(name)) else [])
        for name in job.segmenter
    ]
    prompts = (job.boxes, job.points, job.not_points, job.classes, segmenter)
    parts = (
        dict(inputs), job.overrides, job.levels, job.rate, masks, str(path), video, job.start, job.end, prompts
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _digest_files(path: Path, sidecars: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return names and digests of a file and its sidecar files, patterns beside it, or of all files of a folder.

    Raises:
        InputError: as `sha256`.
    """
    if is_folder(path):
        files = [file for file in path.rglob("*") if file.is_file()]
        return [(str(file.relative_to(path)), sha256(file)) for file in sorted(files)]
    stem = glob.escape(path.stem)
    beside = {file for each in sidecars for file in path.parent.glob(each.format(stem=stem)) if is_file(file)}
    return [("", sha256(path)), *((file.name, sha256(file)) for file in sorted(beside - {path}))]


def _read_stamp(file: Path) -> tuple[str, int, int]:
    """Return name, size and time of a file; only the name of a dangling link."""
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_size, stat.st_mtime_ns
