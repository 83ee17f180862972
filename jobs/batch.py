"""Tracking of many videos: jobs fail independently, resume, and may be split into shards."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from aotlab.engine.tracking.options import TrackerLoader, TrackerOptions
from aotlab.jobs.check import JobRun, check_job, make_record
from aotlab.jobs.classes import CLASSES, read_class_ids
from aotlab.jobs.job import Job, JobOptions
from aotlab.jobs.results import Action, find_finished, list_job_folders, record_failure, resolve_links
from aotlab.jobs.shards import Shard
from aotlab.jobs.track import OpenRun, open_run, track_run
from aotlab.media.job_record import CORRECTED_FILE, JOB_RECORD, JobRecord, read_job_record, write_job_record
from aotlab.media.video import compute_fingerprint
from aotlab.utils.errors import MEMORY_REMEDY, InputError, is_out_of_memory, output_exists_error
from aotlab.utils.files import atomic_path, make_folder, prefix_errors, reading
from aotlab.utils.locks import LOCK_SUFFIX, InUseError, locked, locked_output, remove_leftovers
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_plugins
from aotlab.utils.signals import StopFlag
from aotlab.utils.text import format_count, strip_credentials

log = logging.getLogger(__name__)

LOCK_TIMEOUT = 60.0
"""Seconds to wait while another shard holds the folder."""
SUMMARY_FILE = "summary.csv"
SUMMARY_COLUMNS = ("name", "status", "frames", "error", "video")


@dataclass
class BatchResult:
    """Outcome of a list of videos, or of one shard."""

    records: dict[str, JobRecord] = field(default_factory=dict)
    """Records of the ended jobs by name."""
    errors: dict[str, str] = field(default_factory=dict)
    """Errors of this run by name. A failed job whose earlier results are finished has their record."""


@dataclass(frozen=True)
class JobPlan:
    """Action of a list for one of its jobs, from `Batch.plan`."""

    job: Job
    action: Action | Literal["keep", "fail"]
    """Action of the job's run; keep: its masks were corrected; fail: see `error`."""
    frames: int | None = None
    """Number of frames; None: unknown."""
    run: JobRun | None = None
    """The checked run; None to keep corrected masks or after an error."""
    error: str = ""


class Batch:
    """A list of videos, each tracked into its own folder. A failing job does not stop the others.

    Args:
        output: folder that holds a folder per job, ``summary.csv`` and ``classes.json``.
        tracker: the model of all jobs, which is loaded again when overrides change.
        options: options of every job; an installed review is added to the outputs.
        force: replace results of other inputs or settings.
    """

    def __init__(
        self, jobs: Sequence[Job], output: Path, tracker: TrackerOptions, options: JobOptions, *, force: bool = False
    ) -> None:
        self._jobs, self._output, self._tracker, self._force = jobs, output, tracker, force
        write = dict.fromkeys((*options.write, *({"review"} & list_plugins(OUTPUT_PLUGINS).keys())))
        self._options = replace(options, write=tuple(write), progress=False)
        self._loader = TrackerLoader(tracker)

    def track(self, stop: StopFlag, shard: Shard | None = None) -> BatchResult:
        """Track all unfinished jobs, or those of one shard.

        Shard i of n has the jobs i, i + n, i + 2n and so on. Shards share only the output folder: run them on any
        machine, in any order, repeatedly. Each writes the summary when it ends.

        Args:
            stop: flag that stops the run; the current job resumes next time.
            shard: part of the list; None: all jobs, while no list or shard can start in the output folder.

        Raises:
            InputError: the output cannot be written, is in use by another process, or has a file of another program
                that the list would replace; the device or the settings of a job cannot be used.
        """
        jobs = self._jobs if shard is None else self._jobs[shard.index :: shard.count]
        with locked_output(self._output) if shard is None else nullcontext():
            with self._lock_briefly(shard):
                _require_list_folder(self._output, self._jobs)
            self._start(jobs, "" if shard is None else f" in shard {shard}")
            result = self.track_jobs(jobs, stop)
            try:
                with self._lock_briefly(shard):
                    write_summary(self._output, self._jobs, result.records)
            except InputError as error:  # the jobs have ended
                result.errors[SUMMARY_FILE] = str(error)
        return result

    def _lock_briefly(self, shard: Shard | None) -> AbstractContextManager[None]:
        """Lock the folder that a shard uses with others; without shards, the run holds the lock until it ends."""
        if shard is None:
            return nullcontext()
        return locked(make_folder(self._output) / LOCK_SUFFIX, LOCK_TIMEOUT, subject=self._output)

    def _start(self, jobs: Sequence[Job], part: str) -> None:
        """Check the settings, log the number of videos, and warn about missing files."""
        self._tracker.check()
        for job in {job.overrides: job for job in self._jobs if job.overrides}.values():
            with prefix_errors(job.label):
                replace(self._tracker, overrides=(*self._tracker.overrides, *job.overrides)).read_settings()
        log.info("%s%s, results in %s", format_count(len(jobs), "video"), part, self._output)
        # before hours of tracking other videos
        for job in jobs:
            if job.source_line and (problem := job.describe_missing_files()):
                log.warning("%s: %s", job.source_line, problem)

    def plan(self) -> Iterator[JobPlan]:
        """Yield the plan of each job, after all checks of `track`; nothing is written."""
        self._tracker.check()
        with locked_output(self._output):
            _require_list_folder(self._output, self._jobs)
        for job in self._jobs:
            try:
                if (record := self._find_corrected(job)) is not None:
                    plan = JobPlan(job, "keep", record.frames)
                else:
                    with self._open(job) as opened:
                        plan = JobPlan(job, opened.action, opened.run.frames.count, opened.run)
            except (InputError, OSError) as error:
                plan = JobPlan(job, "fail", error=str(error))
            yield plan

    def _open(self, job: Job) -> AbstractContextManager[OpenRun]:
        run = check_job(job, self._output / job.name, self._loader, self._options, from_list=True)
        return open_run(run, self._loader, force=self._force)

    def _find_corrected(self, job: Job) -> JobRecord | None:
        """Return the record of a job's corrected masks, with the path of a moved video; warn about other classes."""
        folder = self._output / job.name
        with reading(folder, "check its permissions, or choose another folder"):
            if not (folder / CORRECTED_FILE).exists() or (record := read_job_record(folder)) is None:
                return None
        video = make_record(job).video
        if video != record.video and os.path.exists(video) and compute_fingerprint(Path(video)) == record.fingerprint:
            record = replace(record, video=video)
        for object_id, class_name in job.classes.items():
            current = record.class_names.get(object_id, "object")
            if current != class_name:
                message = "%s: object %d keeps its corrected masks and class %s, not %s as in the list"
                log.warning(message, job.name, object_id, current, class_name)
        return record

    def track_jobs(self, jobs: Sequence[Job], stop: StopFlag) -> BatchResult:
        """Track jobs until the flag is set, and log the outcome of each."""
        result = BatchResult()
        for job in jobs:
            if stop.is_set():
                break
            try:
                record, outcome = self._track_job(job, stop)
            except Exception as error:  # a failing job must not stop the others
                record, outcome = self._store_failure(job, error), "failed"
            if record.status == "unfinished":
                break
            if record.error is not None:
                result.errors[job.name] = record.error
                if finished := find_finished(self._output / job.name):
                    record, outcome = finished, "not tracked; its earlier results are kept"
            log.info("%s: %s", job.name, outcome)
            result.records[job.name] = record
        for job in jobs:  # finished before, if this run was stopped
            if job.name not in result.records and (finished := find_finished(self._output / job.name)):
                result.records[job.name] = finished
        return result

    def _track_job(self, job: Job, stop: StopFlag) -> tuple[JobRecord, str]:
        """Track a job unless it is finished or corrected; return its record, and the outcome in words."""
        folder = self._output / job.name
        if (corrected := self._find_corrected(job)) is not None:
            if corrected != read_job_record(folder):
                with locked_output(folder):
                    write_job_record(folder, corrected)
            return corrected, f"corrected masks are kept; delete {folder} to track it again"
        with self._open(job) as opened:
            result = track_run(opened, class_file=self._output / CLASSES, stop=stop)
        record = opened.run.record
        if result.reused:
            return read_job_record(folder) or record, "already tracked with these inputs"
        if result.error is not None:
            return record, "failed"
        finished = result.restored_frames == result.frames
        speed = "finished already" if finished else f"{result.frames_per_second:.1f} per second"
        return record, f"{format_count(result.frames, 'frame')}, {speed}"

    def _store_failure(self, job: Job, error: Exception) -> JobRecord:
        """Return the record of a job that failed, after `record_failure` has stored it."""
        if is_out_of_memory(error):
            problem = f"out of memory; {MEMORY_REMEDY}"
        elif isinstance(error, InputError | OSError):
            problem = str(error)
        else:
            log.error("%s: internal error in aotlab", job.name, exc_info=error)
            problem = strip_credentials(f"internal error in aotlab ({type(error).__name__}: {error})")
        record = replace(make_record(job), status="failed", error=problem)
        if not isinstance(error, InUseError):  # the other process writes the record
            record_failure(self._output / job.name, record)
        return record


def _require_list_folder(output: Path, jobs: Sequence[Job]) -> None:
    """Raise `InputError` if a list would replace other programs' files, results of one video, or its jobs' inputs."""
    if (output / JOB_RECORD).exists():
        raise output_exists_error(output, "results of a single video")
    read_class_ids(output / CLASSES)
    _require_own_summary(output / SUMMARY_FILE)
    folders: dict[Path, str] = {}
    for job in jobs:
        folders.setdefault(resolve_links(output / job.name), job.name)
    for job in jobs:
        for path in map(resolve_links, (output / job.name, *job.input_paths)):
            if owners := {folders[folder] for folder in (path, *path.parents) if folder in folders} - {job.name}:
                raise InputError(f"{job.name}: {path} belongs to the results of {', '.join(owners)}; copy it elsewhere")


def write_summary(folder: Path, jobs: Sequence[Job], records: Mapping[str, JobRecord]) -> None:
    """Write ``summary.csv`` of jobs and of other lists in the locked folder; a job without a record is waiting."""
    _require_own_summary(folder / SUMMARY_FILE)
    remove_leftovers(folder, SUMMARY_FILE)
    rows = {job.name: records.get(job.name) for job in jobs}
    others = [path for path in list_job_folders(folder) if rows.get(path.name) is None]
    rows |= {path.name: read_job_record(path) for path in others}
    with (
        atomic_path(folder / SUMMARY_FILE) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SUMMARY_COLUMNS)
        for name, record in rows.items():
            if record is None or record.status == "unfinished":
                writer.writerow((name, "waiting", "", "", ""))
            else:
                writer.writerow((name, record.status, record.frames, record.error, record.video))


def _require_own_summary(path: Path) -> None:
    """Raise `InputError` if a file was not written by `write_summary`."""
    if path.exists():
        with reading(path, "move or delete it"), path.open(encoding="utf-8-sig", errors="replace") as file:
            if file.readline().strip() != ",".join(SUMMARY_COLUMNS):
                raise ValueError("not a summary of aotlab")
