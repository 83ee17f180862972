"""Tracking of many videos: jobs fail independently, resume, and may be split into shards."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from aotlab.engine.tracking.options import TrackerLoader, TrackerOptions
from aotlab.jobs.check import JobRun, check_job, make_record
from aotlab.jobs.classes import CLASSES, read_class_ids
from aotlab.jobs.job import Job, JobOptions
from aotlab.jobs.results import Action, find_finished, list_job_folders, record_failure, resolve_links
from aotlab.jobs.shards import Shard
from aotlab.jobs.track import OpenRun, finish_record, open_run, track_run
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


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job of a list, or what a run would do, from `Batch.plan`."""

    job: Job
    status: Action | Literal["waiting", "done", "corrected", "failed", "kept"]
    """An action in a plan; corrected: masks were corrected and stay; kept: failed, earlier results stay."""
    record: JobRecord | None = None
    """Record of the results or of the failed run; None: waiting, or in a plan."""
    run: JobRun | None = None
    """The checked run in a plan."""
    error: str = ""


@dataclass(frozen=True)
class BatchResult:
    """Outcomes of a list of videos, or of one shard, in order."""

    outcomes: list[Outcome]
    summary_error: str = ""
    """Error message if the summary could not be written."""


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
        if shard is None:
            with locked_output(self._output):
                return self._track(self._jobs, stop, nullcontext)
        lock = partial(locked, make_folder(self._output) / LOCK_SUFFIX, LOCK_TIMEOUT, subject=self._output)
        return self._track(self._jobs[shard.index :: shard.count], stop, lock)

    def _track(
        self, jobs: Sequence[Job], stop: StopFlag, lock: Callable[[], AbstractContextManager[None]]
    ) -> BatchResult:
        """Track jobs; ``lock`` locks the output folder while files of the list are read and written."""
        with lock():
            _require_list_folder(self._output, self._jobs)
        self._tracker.check()
        for job in {job.overrides: job for job in self._jobs if job.overrides}.values():
            with prefix_errors(job.label):
                replace(self._tracker, overrides=(*self._tracker.overrides, *job.overrides)).read_settings()
        log.info("%s, results in %s", format_count(len(jobs), "video"), self._output)
        # before hours of tracking other videos
        for job in jobs:
            if job.source_line and (problem := job.describe_missing_files()):
                log.warning("%s: %s", job.source_line, problem)
        outcomes = [self._track_job(job, stop) for job in jobs]
        try:
            with lock():
                write_summary(self._output, self._jobs, outcomes)
        except InputError as error:  # the jobs have ended
            return BatchResult(outcomes, str(error))
        return BatchResult(outcomes)

    def plan(self) -> Iterator[Outcome]:
        """Yield what a run would do with each job, after all checks of `track`; nothing is written."""
        self._tracker.check()
        with locked_output(self._output):
            _require_list_folder(self._output, self._jobs)
        for job in self._jobs:
            try:
                if (corrected := self._find_corrected(job)) is not None:
                    outcome = Outcome(job, "corrected", corrected)
                else:
                    with self._open_run(job) as opened:
                        outcome = Outcome(job, opened.action, run=opened.run)
            except (InputError, OSError) as error:
                outcome = Outcome(job, "failed", error=str(error))
            yield outcome

    def _open_run(self, job: Job) -> AbstractContextManager[OpenRun]:
        """Check a job and open its run."""
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

    def _track_job(self, job: Job, stop: StopFlag) -> Outcome:
        """Track a job unless the flag is set, and log its outcome."""
        folder, outcome = self._output / job.name, Outcome(job, "waiting")
        if not stop.is_set():
            try:
                if (corrected := self._find_corrected(job)) is not None:
                    outcome = Outcome(job, "corrected", corrected)
                    if corrected != read_job_record(folder):  # the video was moved
                        with locked_output(folder):
                            write_job_record(folder, corrected)
                    log.info("%s: corrected masks are kept; delete %s to track it again", job.name, folder)
                else:
                    with self._open_run(job) as opened:
                        outcome = self._track_run(job, opened, stop)
            except Exception as error:  # a failing job must not stop the others
                outcome = self._record_failure(job, error)
        if outcome.status in ("waiting", "failed") and (finished := find_finished(folder)):
            outcome = replace(outcome, status="kept" if outcome.error else "done", record=finished)
        if outcome.error:
            kept = outcome.status == "kept"
            log.info("%s: %s", job.name, "not tracked; its earlier results are kept" if kept else "failed")
        return outcome

    def _track_run(self, job: Job, opened: OpenRun, stop: StopFlag) -> Outcome:
        """Track a run until the flag is set, or reuse its results."""
        result = track_run(opened, class_file=self._output / CLASSES, stop=stop)
        if result.reused:
            log.info("%s: already tracked with these inputs", job.name)
            return Outcome(job, "done", read_job_record(opened.run.folder))
        if result.interrupted:
            return Outcome(job, "waiting")
        record = finish_record(opened.run, result)
        if result.error is not None:
            return Outcome(job, "failed", record, error=result.error)
        finished = result.restored_frames == result.frames
        speed = "finished already" if finished else f"{result.frames_per_second:.1f} per second"
        log.info("%s: %s, %s", job.name, format_count(result.frames, "frame"), speed)
        return Outcome(job, "done", record)

    def _record_failure(self, job: Job, error: Exception) -> Outcome:
        """Return the outcome of a job that failed, after `record_failure` has stored it."""
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
        return Outcome(job, "failed", record, error=problem)


def _require_list_folder(output: Path, jobs: Sequence[Job]) -> None:
    """Raise `InputError` if a list would replace other programs' files, results of one video, or its jobs' inputs."""
    if (output / JOB_RECORD).exists():
        raise output_exists_error(output, "results of a single video")
    read_class_ids(output / CLASSES)
    if (summary := output / SUMMARY_FILE).exists():
        with reading(summary, "move or delete it"), summary.open(encoding="utf-8-sig", errors="replace") as file:
            if file.readline().strip() != ",".join(SUMMARY_COLUMNS):
                raise ValueError("not a summary of aotlab")
    folders: dict[Path, str] = {}
    for job in jobs:
        folders.setdefault(resolve_links(output / job.name), job.name)
    for job in jobs:
        for path in map(resolve_links, (output / job.name, *job.input_paths)):
            if owners := {folders[folder] for folder in (path, *path.parents) if folder in folders} - {job.name}:
                raise InputError(f"{job.name}: {path} belongs to the results of {', '.join(owners)}; copy it elsewhere")


def write_summary(folder: Path, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Write ``summary.csv`` of jobs and of other lists in the locked folder; a job without a record is waiting."""
    remove_leftovers(folder, SUMMARY_FILE)
    records = {outcome.job.name: outcome.record for outcome in outcomes}
    names = dict.fromkeys([*(job.name for job in jobs), *(path.name for path in list_job_folders(folder))])
    rows = {name: records.get(name) or read_job_record(folder / name) for name in names}
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
