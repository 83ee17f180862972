"""Tracking of many videos: jobs fail independently, resume, and may be split into shards."""

from __future__ import annotations

import csv
import logging
from collections.abc import Collection, Iterator, Sequence
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
from aotlab.utils.errors import MEMORY_ADVICE, InputError, is_out_of_memory, report_internal_error
from aotlab.utils.files import atomic_path, make_folder, prefix_errors, remove
from aotlab.utils.locks import LOCK_SUFFIX, InUseError, locked, locked_output, remove_leftovers
from aotlab.utils.plugins import OUTPUT_PLUGINS, list_plugins
from aotlab.utils.processes import StopFlag
from aotlab.utils.shards import Shard
from aotlab.utils.text import format_count
from aotlab.utils.versioned_files import write_versioned
from aotlab.video.classes import CLASSES
from aotlab.video.digest import digest_inputs, result_settings
from aotlab.video.job import CheckedJob, Job, check_job
from aotlab.video.plan import (
    FINISHED,
    RESERVED_NAMES,
    RUN_FILE,
    RUN_KIND,
    Action,
    RerunOptions,
    plan_list,
    read_run,
)
from aotlab.video.run import JobResults, load_models, start_checked_record, start_record, track_job
from aotlab.video.track import JobOptions

log = logging.getLogger(__name__)

CLAIM_TIMEOUT = 60.0
"""seconds to wait while another shard holds the folder"""


class Batch:
    """A list of videos, each tracked into its own folder. A failing job does not stop the others.

    Args:
        jobs: the whole list.
        output: folder that holds a folder per job, ``summary.csv`` and ``classes.json``.
        tracker: the model of all jobs, which is loaded again when overrides change.
        options: options of every job; an installed review is always written.
        force: replace the results of another run.
        restart: run finished jobs again.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        output: Path,
        tracker: TrackerOptions,
        options: JobOptions,
        *,
        force: bool = False,
        restart: bool = False,
    ) -> None:
        self._jobs, self._output, self._tracker = jobs, output, tracker
        self._rerun = RerunOptions(force, restart, in_batch=True)
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
        Job i is of shard i modulo their count. The last shard to end writes the summary.

        Args:
            stop: flag that stops the run; the current job resumes next time.
            shard: part of the list; None: all jobs, while no other process may use the output folder.

        Raises:
            InputError: the output cannot be written, is in use by another process, or holds another run's results; the
                device or the settings of a job cannot be used.
        """
        if shard is None:
            with locked_output(self._output):
                remove_leftovers(self._output)
                self._start(self._jobs, "")
                records = list(self._run_until_stopped(self._jobs, stop))
                self._write_summary(records)
                return records
        jobs = self._jobs[shard.index :: shard.count]
        with self._locked():
            self._start(jobs, f" in shard {shard}")
        records = list(self._run_until_stopped(jobs, stop))
        with self._locked():
            ended = self._read_ended()
            if len(ended) == len(self._jobs):
                self._write_summary(ended)
        return records

    def _start(self, jobs: Sequence[Job], part: str) -> None:
        """Check the settings, claim the locked output folder, and announce the jobs, which are a part of the list."""
        self._tracker.check()
        for job in {job.overrides: job for job in self._jobs if job.overrides}.values():
            with prefix_errors(job.name):
                replace(self._tracker, overrides=(*self._tracker.overrides, *job.overrides)).read_settings()
        claim_folder(self._output, self._jobs, self.settings, force=self._rerun.force)
        log.info("%s%s, results in %s", format_count(len(jobs), "video"), part, self._output)
        for job in jobs:  # known before hours of tracking other videos
            if job.list_line and (problem := job.describe_missing_files()):
                log.warning("%s: %s", job.list_line, problem)

    def _locked(self) -> AbstractContextManager[None]:
        """Lock the output folder briefly, as other shards do."""
        return locked(make_folder(self._output) / LOCK_SUFFIX, CLAIM_TIMEOUT, subject=self._output)

    def _read_ended(self) -> list[JobRecord]:
        """Return the records of the jobs that have ended."""
        records = (read_job_record(self._output / job.name) for job in self._jobs)
        return [record for record in records if record is not None and record.error != UNFINISHED]

    def summarize(self) -> list[JobRecord]:
        """Write the summary of a list that was tracked in shards; return the records of the jobs that have ended.

        Raises:
            InputError: the folder holds no run of any of these jobs, or is in use.
        """
        if {job.name for job in self._jobs}.isdisjoint(read_run(self._output)[1]):
            raise InputError(
                f"{self._output}: no results of these jobs; give the folder that they were tracked into"
            )
        with self._locked():
            records = self._read_ended()
            self._write_summary(records)
        return records

    def _write_summary(self, records: Sequence[JobRecord]) -> None:
        """Write ``summary.csv``, in which jobs without a record are waiting."""
        by_name = {record.name: record for record in records}
        rows = list[dict[str, Any]]()
        for name in (job.name for job in self._jobs):
            record = by_name.get(name)
            values = {"name": name} if record is None else asdict(record)
            status = "waiting" if record is None else "failed" if record.error else "done"
            rows.append({**values, "status": status})
        with (
            atomic_path(self._output / "summary.csv") as temporary,
            temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            columns = ("name", "status", "frames", "error", "video")
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def preview(self) -> Iterator[tuple[Action, CheckedJob | None] | InputError]:
        """Yield the plan of each job, with the checked job if it is tracked, or why it would fail; write nothing.

        Everything is checked that `track` would refuse.

        Raises:
            InputError: `track` would raise it before the first job.
        """
        with locked_output(self._output):
            plan_list(self._output, self._jobs, self.settings, force=self._rerun.force)
            for job in self._jobs:
                try:
                    results, checked = self._plan(job), None
                    if not results.finished:
                        checked = check_job(job, self._options, strict=True)
                        with results.lock():
                            load_models(checked, self._load_tracker)
                    yield results.action, checked
                except (InputError, OSError) as error:
                    yield InputError(str(error))

    def _run_until_stopped(self, jobs: Sequence[Job], stop: StopFlag) -> Iterator[JobRecord]:
        """Run jobs until the flag is set; yield their records."""
        for job in jobs:
            record = None if stop.is_set() else self.run(job, stop)
            if record is None:
                return
            yield record

    def run(self, job: Job, stop: StopFlag) -> JobRecord | None:
        """Track a job unless it is finished; log and return its record, None if stopped. Raises nothing."""
        folder = self._output / job.name
        try:
            return self._run(job, stop)
        except InUseError as error:  # the other process writes the record
            record = replace(start_record(job), error=str(error))
        except InputError as error:
            record = _save_failure(job, folder, str(error))
        except Exception as error:  # a failing job must not stop the others; internal errors get a message
            if is_out_of_memory(error):
                problem = f"out of memory; {MEMORY_ADVICE}"
            else:
                problem = str(error) if isinstance(error, OSError) else report_internal_error(error)
            record = _save_failure(job, folder, problem)
        log.info("%s: failed", job.name)
        return record

    def _plan(self, job: Job) -> JobResults:
        """Return the results in the folder of a job, with what to do about them."""
        folder = self._output / job.name
        input_digest = ""
        if not (folder / CORRECTED_FILE).exists():  # else they are kept, even if the inputs are gone
            if problem := job.describe_missing_files():
                raise InputError(problem)
            input_digest = digest_inputs(job, self.settings)
        record = start_record(job, self._options, input_digest)
        results = JobResults(job, folder, self._options, record, self._rerun)
        if results.action == "keep_corrections":
            for object_id, class_name in job.classes.items():
                current = results.earlier.class_names.get(object_id, "object")
                if current != class_name:
                    message = "%s: object %d keeps its corrected masks and class %s, not %s as in the list"
                    log.warning(message, job.name, object_id, current, class_name)
        return results

    def _run(self, job: Job, stop: StopFlag) -> JobRecord | None:
        results = self._plan(job)
        if results.finished:
            kept = f"corrected masks are kept; delete {results.folder} to track it again"
            log.info("%s: %s", job.name, FINISHED if results.action == "reuse" else kept)
            return results.earlier
        checked = check_job(job, self._options, strict=True)
        results.record = start_checked_record(checked, results.record.input_digest)
        result = track_job(results, checked, self._load_tracker, class_list=self._output / CLASSES, stop=stop)
        if result.interrupted:
            return None
        speed = f"{result.frames_per_second:.1f} per second"
        if result.restored_frames == result.frames:
            speed = "finished already"
        frames = format_count(result.frames, "frame")
        log.info("%s: %s", job.name, f"{frames}, {speed}" if result.error is None else "failed")
        return results.record


def _save_failure(job: Job, folder: Path, problem: str) -> JobRecord:
    """Return the record of a job that failed, after saving it if its folder can be written.

    Finished results keep their record if the job failed before its first frame, as without its video.
    """
    record = replace(start_record(job), error=problem)
    earlier = read_job_record(folder)
    is_damaged = earlier is None and (folder / JOB_RECORD).exists()
    started = earlier or record  # names what is in the folder
    if started.error is not None and not is_damaged:
        with suppress(InputError):
            write_job_record(folder, replace(started, error=problem, video=record.video))
    return record


def claim_folder(output: Path, jobs: Sequence[Job], settings: dict[str, Any], *, force: bool) -> None:
    """Start or resume a run in a folder.

    Args:
        output: existing folder.
        settings: `result_settings` of this run.
        force: replace the results of another run, except those of corrected jobs; each when its video is tracked.

    Raises:
        InputError: the folder holds other results or files, or outputs would overwrite inputs.
    """
    names = sorted(job.name for job in jobs)
    if plan_list(output, jobs, settings, force=force) == "track":
        _reset_run(output, names)
    earlier_settings, _ = read_run(output)
    # earlier settings differ by more outputs only, which finished jobs keep
    write_versioned(output / RUN_FILE, RUN_KIND, {"settings": earlier_settings or settings, "jobs": names})


def _reset_run(output: Path, names: Collection[str]) -> None:
    """Remove the files of the run in a folder, and mark its results of these jobs as unfinished, unless corrected."""
    _, earlier_names = read_run(output)
    corrected_names = {name for name in earlier_names if (output / name / CORRECTED_FILE).exists()}
    for name in {*names} & {*earlier_names} - corrected_names:
        if (record := read_job_record(output / name)) is not None:
            write_job_record(output / name, replace(record, error=UNFINISHED))
    for name in {*RESERVED_NAMES, RUN_FILE} - (
        {CLASSES} if corrected_names else set()
    ):  # they keep their class ids
        remove(output / name)
