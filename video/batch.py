"""Tracking of many videos: jobs fail independently, resume, and may be split into shards."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    UNFINISHED,
    JobRecord,
    read_job_record,
    write_job_record,
)
from aotlab.utils.errors import (
    MEMORY_ADVICE,
    InputError,
    is_out_of_memory,
    require,
    require_free,
)
from aotlab.utils.files import atomic_path, make_folder, prefix_errors
from aotlab.utils.locks import LOCK_SUFFIX, InUseError, locked, locked_output, remove_leftovers
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_plugins
from aotlab.utils.processes import StopFlag
from aotlab.utils.shards import Shard
from aotlab.utils.text import format_count, strip_credentials
from aotlab.video.classes import CLASSES
from aotlab.video.digest import result_settings
from aotlab.video.job import Job
from aotlab.video.plan import JobRun, list_job_folders, make_record, plan_job
from aotlab.video.run import check_run, track_job
from aotlab.video.track import JobOptions

log = logging.getLogger(__name__)

SUMMARY_FILE = "summary.csv"
LIST_FILES = (SUMMARY_FILE, CLASSES)
"""files in the folder of a list, beside the folders of its jobs"""
LOCK_TIMEOUT = 60.0
"""seconds to wait while another shard holds the folder"""


class Batch:
    """A list of videos, each tracked into its own folder. A failing job does not stop the others.

    Args:
        jobs: the whole list.
        output: folder that holds a folder per job, ``summary.csv`` and ``classes.json``.
        tracker: the model of all jobs, which is loaded again when overrides change.
        options: options of every job; an installed review is always written.
        force: replace results of other inputs or settings.

    Raises:
        InputError: a job is named like a file of the list.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        output: Path,
        tracker: TrackerOptions,
        options: JobOptions,
        *,
        force: bool = False,
    ) -> None:
        for name in (job.name for job in jobs):
            message = f"job {name}: a file of the list has this name; give the job another"
            require(name.lower() not in LIST_FILES, message)
        self._jobs, self._output, self._tracker, self._force = jobs, output, tracker, force
        self._requested = options
        write = dict.fromkeys((*options.write, *({"review"} & list_plugins(OUTPUT_PLUGINS).keys())))
        self._options = replace(options, write=tuple(write), progress=False)
        self._load_tracker = lru_cache(1)(tracker.load)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings that the results of all jobs depend on."""
        return result_settings(self._tracker, self._requested)

    def track(self, stop: StopFlag, shard: Shard | None = None) -> list[JobRecord]:
        """Track all unfinished jobs, or those of one shard; return their records.

        Shards of a list share the output folder and nothing else: they may run at any time, on any machine, and again.
        Job i is of shard i modulo their count. The last shard to finish writes the summary.

        Args:
            stop: flag that stops the run; the current job resumes next time.
            shard: part of the list; None: all jobs, while no other process may use the output folder.

        Raises:
            InputError: the output cannot be written, is in use by another process, or has a file of another program
                that the list would replace; the device or the settings of a job cannot be used.
        """
        if shard is None:
            with locked_output(self._output):
                remove_leftovers(self._output)
                self._start(self._jobs, "")
                records = self._run_until_stopped(self._jobs, stop)
                write_summary(self._output, self._jobs, records)
                return records
        jobs = self._jobs[shard.index :: shard.count]
        with self._locked():
            self._start(jobs, f" in shard {shard}")
        records = self._run_until_stopped(jobs, stop)
        with self._locked():
            finished = self._read_finished()
            if len(finished) == len(self._jobs):
                write_summary(self._output, self._jobs, finished)
        return records

    def _start(self, jobs: Sequence[Job], part: str) -> None:
        """Check the settings and the locked output folder, and announce the jobs, which are a part of the list."""
        self._tracker.check()
        for job in {job.overrides: job for job in self._jobs if job.overrides}.values():
            with prefix_errors(job.name):
                replace(self._tracker, overrides=(*self._tracker.overrides, *job.overrides)).read_settings()
        self._check_output()
        log.info("%s%s, results in %s", format_count(len(jobs), "video"), part, self._output)
        for job in jobs:  # known before hours of tracking other videos
            if job.list_line and (problem := job.describe_missing_files()):
                log.warning("%s: %s", job.list_line, problem)

    def _check_output(self) -> None:
        """Raise `InputError` if the output folder holds other files that the list would replace, or inputs of it."""
        existing = [name for name in LIST_FILES if (self._output / name).exists()]
        has_results = bool(list_job_folders(self._output))
        if not has_results:
            require_free(self._output, f"{existing[0]}, but no results" if existing else "")
        require_free(
            self._output, "results of a single video" if (self._output / JOB_RECORD).exists() else ""
        )
        folders = {(self._output / job.name).resolve(): job for job in self._jobs}
        for job in self._jobs:
            for path in map(Path.resolve, job.input_paths):
                if not has_results and path.is_file() and path.parent == self._output.resolve():
                    require_free(self._output, f"the video or mask {path.name}")
                owner = next((folders[folder] for folder in (path, *path.parents) if folder in folders), job)
                if owner is not job:
                    raise InputError(
                        f"{job.name}: {path} belongs to the results of {owner.name}, which this list may replace; "
                        "copy it elsewhere"
                    )

    def _locked(self) -> AbstractContextManager[None]:
        """Lock the output folder briefly, as other shards do."""
        return locked(make_folder(self._output) / LOCK_SUFFIX, LOCK_TIMEOUT, subject=self._output)

    def _read_finished(self) -> list[JobRecord]:
        """Return the records of finished jobs."""
        records = (read_job_record(self._output / job.name) for job in self._jobs)
        return [record for record in records if record is not None and record.error != UNFINISHED]

    def summarize(self) -> list[JobRecord]:
        """Write the summary of a list that was tracked in shards; return the records of finished jobs.

        Raises:
            InputError: the folder holds no results of any of these jobs, or is in use.
        """
        if {job.name for job in self._jobs}.isdisjoint(path.name for path in list_job_folders(self._output)):
            raise InputError(
                f"{self._output}: no results of these jobs; give the folder that they were tracked into"
            )
        with self._locked():
            records = self._read_finished()
            write_summary(self._output, self._jobs, records)
        return records

    def preview(self) -> Iterator[JobRun | JobRecord | InputError]:
        """Yield the planned run of each job, the record of corrected masks, which are kept, or why it would fail.

        Everything is checked that `track` would refuse; nothing is written.

        Raises:
            InputError: `track` would raise it before the first job.
        """
        with locked_output(self._output):
            self._check_output()
            for job in self._jobs:
                try:
                    run = self._read_corrected(job) or self._plan(job)
                    if isinstance(run, JobRun):
                        check_run(run, self._load_tracker)
                    yield run
                except (InputError, OSError) as error:
                    yield InputError(str(error))

    def _plan(self, job: Job) -> JobRun:
        folder = self._output / job.name
        return plan_job(job, folder, self._options, lambda: self.settings, force=self._force, in_list=True)

    def _read_corrected(self, job: Job) -> JobRecord | None:
        """Return the record of a job whose masks were corrected, even if its inputs are gone; None for others."""
        record, folder = None, self._output / job.name
        if (folder / CORRECTED_FILE).exists() and (record := read_job_record(folder)) is not None:
            for object_id, class_name in job.classes.items():
                current = record.class_names.get(object_id, "object")
                if current != class_name:
                    message = "%s: object %d keeps its corrected masks and class %s, not %s as in the list"
                    log.warning(message, job.name, object_id, current, class_name)
        return record

    def _run_until_stopped(self, jobs: Sequence[Job], stop: StopFlag) -> list[JobRecord]:
        """Run jobs until the flag is set; return their records."""
        records = []
        for job in jobs:
            if stop.is_set() or (record := self.run(job, stop)) is None:
                break
            records.append(record)
        return records

    def run(self, job: Job, stop: StopFlag) -> JobRecord | None:
        """Track a job unless it is finished; log and return its record, None if stopped. Raises nothing."""
        try:
            if (corrected := self._read_corrected(job)) is not None:
                folder = self._output / job.name
                log.info("%s: corrected masks are kept; delete %s to track it again", job.name, folder)
                return corrected
            run = self._plan(job)
            result = track_job(run, self._load_tracker, class_list=self._output / CLASSES, stop=stop)
        except Exception as error:  # a failing job must not stop the others
            if not (job.list_line and job.describe_missing_files()):  # else known since the start
                log.info("%s: failed", job.name)
            return self._record_failure(job, error)
        if result.interrupted:
            return None
        if result.reused:
            outcome = "already tracked with these inputs"
        elif result.error is not None:
            outcome = "failed"
        else:
            finished = result.restored_frames == result.frames
            speed = "finished already" if finished else f"{result.frames_per_second:.1f} per second"
            outcome = f"{format_count(result.frames, 'frame')}, {speed}"
        log.info("%s: %s", job.name, outcome)
        return run.record

    def _record_failure(self, job: Job, error: Exception) -> JobRecord:
        """Return the record of a job that failed; it is saved unless the folder has finished results or other files."""
        if is_out_of_memory(error):
            problem = f"out of memory; {MEMORY_ADVICE}"
        elif isinstance(error, InputError | OSError):
            problem = str(error)
        else:
            log.error("%s: internal error in aotlab", job.name, exc_info=error)
            problem = strip_credentials(f"internal error in aotlab ({type(error).__name__}: {error})")
        folder, record = self._output / job.name, replace(make_record(job), error=problem)
        earlier = read_job_record(folder)
        is_kept = earlier.error is None if earlier else folder.is_dir() and any(folder.iterdir())
        if not (is_kept or isinstance(error, InUseError)):  # the other process writes the record
            with suppress(InputError):
                write_job_record(folder, replace(earlier or record, error=problem, video=record.video))
        return record


def write_summary(folder: Path, jobs: Sequence[Job], records: Sequence[JobRecord]) -> None:
    """Write ``summary.csv`` of a list, in which jobs without a record are waiting."""
    by_name = {record.name: record for record in records}
    rows = list[dict[str, Any]]()
    for job in jobs:
        record = by_name.get(job.name)
        values = {"name": job.name} if record is None else asdict(record)
        status = "waiting" if record is None else "failed" if record.error else "done"
        rows.append({**values, "status": status})
    with (
        atomic_path(folder / SUMMARY_FILE) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        columns = ("name", "status", "frames", "error", "video")
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
