"""Results of a job in its folder: its record, and what an earlier run left."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.media.job_record import (
    MASKS_FOLDER,
    RECORD_FILE,
    JobRecord,
    has_all_masks,
    read_job_record,
    write_job_record,
)
from aotlab.media.matching import order_names
from aotlab.media.video import compute_fingerprint
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file_name, real_path, remove
from aotlab.utils.plugins import suggest_convert
from aotlab.utils.value_syntax import CAMERA_NUMBER, FrameObjectValue, strip_credentials
from aotlab.utils.versioned_json import FileKind, read_versioned_or_none
from aotlab.video.inputs import resolve_mask_value, split_mask_value
from aotlab.video.job import CheckedJob, Job
from aotlab.video.outputs import (
    OUTPUTS,
    check_overwrite,
    find_existing,
    remove_temporary_files,
    require_inputs_outside,
)
from aotlab.video.resume import STATE_FILE, Progress
from aotlab.video.track import TrackResult

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker

RUN_FILE = ".jobs.json"
"""record of a list of jobs in the folder of all its results; no job's name starts with a dot"""
RUN_KIND = FileKind("record of a list of jobs", 1, "choose another folder")
PROMPT_MASKS = "given"
"""name of the folder with the masks of prompts in a job's folder"""
UNFINISHED = "not finished"
"""error of a record until its job has ended"""


def start_record(job: Job) -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and addresses without passwords."""
    video, live = job.video, "://" in job.video or job.video == "-" or CAMERA_NUMBER.fullmatch(job.video)
    video = os.path.abspath(video) if os.path.exists(video) or not live else strip_credentials(video)
    masks = [resolve_mask_value(value, Path.cwd()) for value in job.masks]
    return JobRecord(job.name, video, error=UNFINISHED, masks=masks, levels=job.levels)


def read_run(output: Path) -> tuple[Any, list[str]]:
    """Return the settings and job names of the run in a folder; None and no names without one."""
    earlier = read_versioned_or_none(
        output / RUN_FILE, RUN_KIND, lambda content: (content["settings"], list(content["jobs"]))
    )
    return (None, []) if earlier is None else (earlier[0], list(filter(is_file_name, earlier[1])))


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders of a list's jobs in natural order, tracked or not; without a list, those with a record."""
    names = read_run(output)[1] or [path.parent.name for path in output.glob(f"*/{RECORD_FILE}")]
    return [output / name for name in order_names(names)]


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
        self.checked = checked
        self.record = _start_checked_record(checked, input_digest)
        self._folder, self._restart = folder, restart
        self._earlier = read_job_record(folder) or JobRecord(checked.job.name)

    @property
    def finished(self) -> bool:
        """Whether all outputs for these inputs exist, and are not to be made again."""
        complete = has_results(self._earlier, self._folder, self.record.outputs)
        return self._resume and self._earlier.error is None and not self._lacks_outputs and complete

    def load_result(self) -> TrackResult:
        """Return the result of the finished earlier run."""
        record, kinds = self._earlier, self.checked.options.outputs
        written = {name: self._folder / kind.file_name for name, kind in kinds.items()}
        return TrackResult(record.frames, record.seconds, written, reused=True)

    @property
    def _same(self) -> bool:
        """Whether the earlier run had these inputs."""
        return self.checked.repeatable and self._earlier.input_digest == self.record.input_digest

    @property
    def _resume(self) -> bool:
        return self._same and not self._restart

    @property
    def _lacks_outputs(self) -> bool:
        """Whether the earlier run does not write the outputs wanted, so that its frames must be tracked again."""
        earlier, wanted = self._earlier, {*self.record.outputs}
        return not wanted <= {*earlier.written} if earlier.error is None else wanted != {*earlier.outputs}

    def check_overwrite(self, *, force: bool) -> None:
        """Raise `InputError` if results would overwrite the video, other files, or results without ``force``.

        Results of the same inputs with other outputs need ``restart``.
        """
        if (self._folder / RUN_FILE).exists():
            paths = (self._folder.with_name(f"{self._folder.name}-{number}") for number in count(2))
            free = next(path for path in paths if not path.exists())
            raise InputError(
                f"output {self._folder}: holds the results of a list of videos; choose another folder, for example "
                f"{free}"
            )
        if self._resume and self._lacks_outputs:
            names = ", ".join(sorted(self._earlier.written or self._earlier.outputs))
            raise InputError(
                f"output {self._folder}: holds {names or 'no outputs'} of these inputs; {self._suggest_convert()}: "
                "choose another folder, or replace them with --restart"
            )
        written, earlier = self.record.written, [*filter(is_file_name, self._earlier.outputs)]
        video = self.checked.job.video
        require_inputs_outside({video: Path(video)}, [*written, *earlier], self._folder)
        foreign = find_existing({*written} - {*earlier}, self._folder)
        other = None if self._same else find_existing(earlier, self._folder)
        if other is not None:
            other = f"results of other inputs ({'; changed: '.join(filter(None, [other, self._changed]))})"
        check_overwrite(self._folder, foreign, other, force=force)

    @property
    def _changed(self) -> str:
        """Names of the inputs that differ from those that the earlier record states."""
        named = {
            "video": "video",
            "masks": "mask",
            "first_frame": "start",
            "last_frame": "end",
            "levels": "levels",
        }
        pairs = {
            name: (getattr(self._earlier, key), getattr(self.record, key)) for key, name in named.items()
        }
        return ", ".join(name for name, (earlier, now) in pairs.items() if earlier != now)

    def _suggest_convert(self) -> str:
        """Return how to get the outputs that the earlier run has not written."""
        written, kinds = self._earlier.written, self.checked.options.outputs
        missing = [name for name, kind in kinds.items() if kind.file_name not in written]
        convert = self._earlier.error is None and MASKS_FOLDER in written and suggest_convert(missing)
        return f"{convert}, or track it again" if convert else "other outputs need the video tracked again"

    def open_progress(self, tracker: Tracker) -> Progress | None:
        """Return the progress to save, after restoring the tracker of an interrupted run of the same inputs.

        None: the outputs cannot be resumed.
        """
        options = self.checked.options
        supported = Progress.supports(options.outputs, both_directions=options.both_directions)
        if not (self.checked.repeatable and supported):
            return None
        confidence = not {*options.write} <= {*OUTPUTS}  # annotation files and plug-ins may store it
        stem, digest = self.checked.source.stem, self.record.input_digest
        progress = Progress(self._folder, stem, digest, confidence=confidence)
        if self._resume:
            progress.load(tracker)
        return progress

    @contextmanager
    def record_run(self, *, resumed: bool) -> Iterator[None]:
        """Record the run of the block as unfinished, after removing earlier results unless they are ``resumed``.

        A block that raises `InputError` has written no frame; what it has written is removed.
        """
        kept = {real_path(split_mask_value(value)[-1]) for value in self.checked.job.masks}
        if self.checked.stored:
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
        remove_temporary_files(filter(is_file_name, self._earlier.outputs), self._folder)

    def save(self, result: TrackResult) -> None:
        """Save the record of a run that has ended."""
        record = self.record
        record.frames, record.seconds = result.frames, round(result.seconds, 3)
        record.error = UNFINISHED if result.interrupted else result.error
        masks = {PROMPT_MASKS} & {*record.written}
        record.written = sorted(masks.union(path.name for path in result.written.values()))
        # on a full disk, the error of the run says more than that of its record, which stays unfinished
        with suppress(InputError) if result.error else nullcontext():
            write_job_record(self._folder, record)
        if record.error is None:
            remove(self._folder / STATE_FILE)


def _start_checked_record(checked: CheckedJob, input_digest: str) -> JobRecord:
    """Return the record of a checked job that is not finished."""
    record = start_record(checked.job)
    record.input_digest, record.rate = input_digest, str(checked.source.rate)
    record.first_frame, record.last_frame = checked.frames.first, checked.frames.last
    record.masks, record.video_name = _locate_masks(checked), checked.source.name
    record.class_names = dict(checked.class_names)
    record.written = [kind.file_name for kind in checked.options.outputs.values()]
    record.written += [PROMPT_MASKS] if checked.prompts else []
    record.outputs = record.written
    return record


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


def is_finished(record: JobRecord, folder: Path, input_digest: str, outputs: Collection[str]) -> bool:
    """Return whether a record is of a finished job with the same inputs and these outputs, and all results exist."""
    same = record.error is None and record.input_digest == input_digest
    return same and {*outputs} <= {*record.written} and has_results(record, folder, record.written)


def has_results(record: JobRecord, folder: Path, outputs: Collection[str]) -> bool:
    """Return whether outputs of an ended job exist, with a mask of each frame."""
    return all((folder / name).exists() for name in outputs) and has_all_masks(folder, record)
