"""Results of a job in its folder: its record, and what an earlier run left."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    JobRecord,
    has_all_masks,
    read_job_record,
    write_job_record,
)
from aotlab.media.matching import order_names
from aotlab.media.video import compute_fingerprint
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file_name, remove
from aotlab.utils.value_syntax import FrameObjectValue, locate_video, strip_credentials
from aotlab.utils.versioned_files import FileKind, read_versioned
from aotlab.video.job import CheckedJob, Job
from aotlab.video.outputs import OUTPUTS, remove_temporary_files, require_inputs_outside
from aotlab.video.plan import PreviousResults, RerunOptions, plan_job
from aotlab.video.resume import STATE_FILE, Progress
from aotlab.video.track import JobOptions, TrackResult

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker

RUN_FILE = ".jobs.json"
"""record of a list of jobs in the folder of all its results; no job's name starts with a dot"""
RUN_KIND = FileKind("record of a list of jobs", 1, "choose another folder")
PROMPT_MASKS = "given"
"""name of the folder with the masks of prompts in a job's folder"""
FORMAT_FILE = "data.yaml"
"""name of the only file of an output's folder that belongs to no frame, of YOLO"""
UNFINISHED = "not finished"
"""error of a record until its job has ended"""


def start_record(job: Job, options: JobOptions | None = None, input_digest: str = "") -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and addresses without passwords.

    Args:
        options: outputs to write; None: unknown.
        input_digest: digest of all inputs, of `digest_inputs`.
    """
    kind, video = locate_video(job.video)
    is_path = kind in ("stored", "pipe") or os.path.exists(video)
    video = os.path.abspath(video) if is_path else strip_credentials(video)
    masks = [str(mask._replace(value=str(Path.cwd() / mask.value))) for mask in job.masks]
    outputs = [] if options is None else [kind.file_name for kind in options.outputs.values()]
    outputs += [PROMPT_MASKS] if outputs and job.has_prompts else []
    return JobRecord(
        job.name, video, input_digest, error=UNFINISHED, written=outputs, outputs=outputs, masks=masks,
        levels=job.levels,
    )  # fmt: skip


def find_previous(folder: Path, outputs: Collection[str]) -> PreviousResults:
    """Return what an earlier run left in a job's folder, of its outputs and of the ``outputs`` of this one."""
    record = read_job_record(folder)
    names = {*outputs, *([] if record is None else filter(is_file_name, record.outputs))}
    return PreviousResults(
        record,
        frozenset(name for name in names if is_filled(folder / name)),
        has_all_masks=record is not None and record.error is None and has_all_masks(folder, record),
        has_progress=(folder / STATE_FILE).is_file(),
        corrected=(folder / CORRECTED_FILE).exists(),
        list_folder=(folder / RUN_FILE).exists(),
    )


def is_filled(path: Path) -> bool:
    """Return whether a file exists, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def read_run(output: Path) -> tuple[Any, list[str]]:
    """Return the settings and job names of the run in a folder; None and no names without one."""
    earlier = read_versioned(
        output / RUN_FILE, RUN_KIND, lambda content: (content["settings"], list(content["jobs"]))
    )
    return (None, []) if earlier is None else (earlier[0], list(filter(is_file_name, earlier[1])))


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders of a list's jobs in natural order, tracked or not; without a list, those with a record."""
    names = read_run(output)[1] or [path.parent.name for path in output.glob(f"*/{JOB_RECORD}")]
    return [output / name for name in order_names(names)]


def remove_results(folder: Path, kept: Collection[Path] = ()) -> None:
    """Remove the outputs of a job that its record in the folder names, its progress, and the record; other files stay.

    Args:
        kept: resolved paths of masks to keep, in the folder of prompts' masks.
    """
    record = read_job_record(folder) or JobRecord("")
    for path in (folder / name for name in filter(is_file_name, record.outputs)):
        is_folder = path.is_dir() and not path.is_symlink()
        files = _list_frame_files(path, record) if is_folder else [path]
        for file in files:
            if file.resolve() not in kept:
                remove(file)
        for emptied in sorted({path, *(file.parent for file in files)}, reverse=True) if is_folder else ():
            with suppress(OSError):
                emptied.rmdir()  # if it is empty
    for name in (STATE_FILE, JOB_RECORD):
        remove(folder / name)


def _list_frame_files(path: Path, record: JobRecord) -> list[Path]:
    """Return the files of frames that a run has written to the folder of an output."""
    if path.name == PROMPT_MASKS:  # its files have frame numbers
        record = replace(record, stems=[])
    kinds = {kind.file_name: kind.per_object for kind in OUTPUTS.values()} | {PROMPT_MASKS: False}
    patterns = ["*", "*/*"]  # of a format or plug-in
    if path.name in kinds:
        patterns = ["[0-9]*/*.png" if kinds[path.name] else "*.png"]
    files = (file for pattern in patterns for file in path.glob(pattern) if not file.is_dir())
    return [file for file in files if record.names_frame(file.stem) or file.name == FORMAT_FILE]


class JobResults:
    """Results in the locked folder of a job: its record, and the results and progress of an earlier run.

    Args:
        folder: output folder.
        input_digest: digest of all inputs, of `digest_inputs`.
        rerun: what the run may do about earlier results.

    Raises:
        InputError: earlier results or inputs would be overwritten.
    """

    def __init__(self, folder: Path, checked: CheckedJob, input_digest: str, rerun: RerunOptions) -> None:
        self.checked, self._folder = checked, folder
        self.record = _start_checked_record(checked, input_digest)
        previous = find_previous(folder, self.record.outputs)
        self._previous = previous.record or JobRecord(checked.job.name)
        self._repeatable = checked.job.is_repeatable(checked.options)
        self.action = plan_job(
            folder, self.record, checked.options, previous, rerun, repeatable=self._repeatable
        )
        if not self.finished:
            names = {*self.record.outputs, *filter(is_file_name, self._previous.outputs)}
            require_inputs_outside({checked.job.video: Path(checked.job.video)}, names, folder)

    @property
    def finished(self) -> bool:
        """Whether nothing is to be tracked."""
        return self.action in ("reuse", "keep_corrections")

    def load_result(self) -> TrackResult:
        """Return the result of the finished earlier run."""
        record, kinds = self._previous, self.checked.options.outputs
        written = {name: self._folder / kind.file_name for name, kind in kinds.items()}
        return TrackResult(record.frames, record.seconds, written, reused=True)

    def open_progress(self, tracker: Tracker) -> Progress | None:
        """Return the progress to save, after restoring the tracker if the run resumes.

        None: the outputs cannot be resumed.
        """
        options = self.checked.options
        supported = Progress.supports(options.outputs, both_directions=options.both_directions)
        if not (self._repeatable and supported):
            return None
        confidence = not {*options.write} <= {*OUTPUTS}  # annotation files and plug-ins may store it
        progress = Progress(self._folder, self.checked.source.stem, confidence=confidence)
        if self.action == "resume":
            progress.load(tracker)
        return progress

    @contextmanager
    def record_run(self) -> Iterator[None]:
        """Record the run of the block as unfinished, after removing earlier results unless they are resumed.

        A block that raises `InputError` has written no frame; what it has written is removed.
        """
        kept = {Path(mask.value).resolve() for mask in self.checked.job.masks}
        resumed = self.action == "resume"
        if self.checked.job.is_stored:
            self.record.fingerprint = compute_fingerprint(Path(self.checked.job.video))
        if not resumed:  # after all checks: masks may be among them
            remove_results(self._folder, kept)
        write_job_record(self._folder, self.record)
        try:
            yield
        except InputError:
            if not resumed:
                remove_results(self._folder, kept)
            raise

    def remove_temporary_files(self) -> None:
        """Remove temporary files of a killed run."""
        remove_temporary_files(filter(is_file_name, self._previous.outputs), self._folder)

    def save(self, result: TrackResult) -> None:
        """Save the record of a run that has ended."""
        record = self.record
        record.frames, record.seconds = result.frames, round(result.seconds, 3)
        record.error = UNFINISHED if result.interrupted else result.error
        masks = {PROMPT_MASKS} & {*record.written}
        record.written = sorted(masks.union(path.name for path in result.written.values()))
        # on a full disk, the run's error tells more than the record's, which stays unfinished
        with suppress(InputError) if result.error else nullcontext():
            write_job_record(self._folder, record)
        if record.error is None:
            remove(self._folder / STATE_FILE)


def _start_checked_record(checked: CheckedJob, input_digest: str) -> JobRecord:
    """Return the record of a checked job that is not finished."""
    record = start_record(checked.job, checked.options, input_digest)
    record.rate = str(checked.source.rate)
    record.first_frame, record.last_frame = checked.frames.first, checked.frames.last
    if checked.source.named and checked.frames.last is not None:
        record.stems = [*map(checked.source.stem, range(checked.frames.first, checked.frames.last + 1))]
    record.masks, record.video_name = _locate_masks(checked), checked.source.name
    record.class_names = dict(checked.class_names)
    return record


def _locate_masks(checked: CheckedJob) -> list[str]:
    """Return the masks of a job with absolute paths, and frame indices for masks of one frame."""
    masks, frames = [], checked.frames
    for mask in checked.job.masks:
        index = frames.first if frames.first and Path(mask.value).suffix.lower() == ".png" else None
        if mask.frame is not None:
            index = frames.index(mask.frame, f"mask {mask}")
        masks.append(str(FrameObjectValue(index, mask.object_id, os.path.abspath(mask.value))))
    return masks
