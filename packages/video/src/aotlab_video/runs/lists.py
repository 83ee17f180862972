"""Tracking of many videos: jobs fail independently, resume, and may be split into shards."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from aotlab import TrackerOptions
from aotlab.media.names import natural_sort
from aotlab.utils.errors import MEMORY_REMEDY, InputError, is_out_of_memory, output_exists_error, require
from aotlab.utils.files import atomic_path, make_folder, prefix_errors
from aotlab.utils.locks import LOCK_SUFFIX, InUseError, locked, locked_output, remove_leftovers
from aotlab.utils.plugins import list_plugins
from aotlab.utils.provenance import describe_program
from aotlab.utils.run_folder import RECORD, list_unexpected, read_record, write_record
from aotlab.utils.shards import Shard
from aotlab.utils.signals import StopFlag
from aotlab.utils.text import format_count, join_truncated, strip_credentials
from aotlab_video.plugins import LIST_OUTPUT_PLUGINS
from aotlab_video.runs.classes import CLASSES, read_class_ids
from aotlab_video.runs.job import Job, RunOptions
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.prepare import PreparedRun, prepare
from aotlab_video.runs.run import Action, plan_action, run
from aotlab_video.runs.store import Results, has_results
from aotlab_video.sources.video import digest_video

log = logging.getLogger("aotlab.video")

LOCK_TIMEOUT = 60.0
"""Seconds to wait while another shard holds the folder."""
SUMMARY_FILE = "summary.csv"
SUMMARY_COLUMNS = ("name", "status", "frames", "error", "video")
KIND = "list"
"""Kind of the record in the folder of a list."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job of a list, or what a run would do with it."""

    job: Job
    status: Action | Literal["waiting", "done", "corrected", "failed", "kept"]
    """An action in a plan; corrected: masks were corrected and stay; kept: failed, earlier results stay."""
    frames: int = 0
    error: str = ""
    prepared: PreparedRun | None = None
    """The checked run in a plan."""


class Batch:
    """A list of videos, each tracked into its own folder. A failing job does not stop the others.

    Args:
        output: folder that holds a folder per job, ``summary.csv`` and ``classes.json``.
        tracker: the model of all jobs, which is loaded again when overrides change.
        options: options of every job; outputs that packages register for lists are added.
        force: replace results of a different run or settings.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        output: Path,
        tracker: TrackerOptions,
        options: RunOptions,
        *,
        force: bool = False,
    ) -> None:
        self._jobs, self._output, self._tracker, self._force = jobs, output, tracker, force
        write = dict.fromkeys((*options.write, *list_plugins(LIST_OUTPUT_PLUGINS)))
        self._options = options.replace(write=tuple(write), progress=False)
        self._loader = LazyTracker(tracker)
        self.summary_error = ""
        """Error message if the summary could not be written."""

    def track(self, stop: StopFlag, shard: Shard | None = None) -> list[Outcome]:
        """Track all unfinished jobs, or those of one shard; return their outcomes in order.

        Shard i of n has the jobs i, i + n, i + 2n and so on. Shards share only the output folder: run them on any
        machine, in any order, repeatedly. Each writes the summary when it ends.

        Args:
            stop: flag that stops the run; the current job resumes next time.
            shard: part of the list; None: all jobs, while no list or shard can start in the output folder.

        Raises:
            InputError: the output cannot be written, is in use by another process, or has results of another list or
                files of another program; the device or the settings of a job cannot be used.
        """
        if shard is None:
            with locked_output(self._output):
                return self._track(self._jobs, stop, nullcontext)
        lock = partial(locked, make_folder(self._output) / LOCK_SUFFIX, LOCK_TIMEOUT, subject=self._output)
        return self._track(self._jobs[shard.index :: shard.count], stop, lock)

    def plan(self) -> Iterator[Outcome]:
        """Yield what a run would do with each job, after all checks of `track`; nothing is written."""
        self._tracker.check()
        with locked_output(self._output):
            self._require_own_folder()
        for job in self._jobs:
            try:
                if (kept := self._find_kept(job)) is not None:
                    yield Outcome(job, "corrected" if kept.protected else "reuse", len(kept.entries))
                    continue
                prepared = self._prepare(job)
                yield Outcome(job, plan_action(prepared, force=self._force), prepared=prepared)
            except (InputError, OSError) as error:
                yield Outcome(job, "failed", error=str(error))

    def _track(
        self, jobs: Sequence[Job], stop: StopFlag, lock: Callable[[], AbstractContextManager[None]]
    ) -> list[Outcome]:
        """Track jobs; ``lock`` locks the output folder while files of the list are read and written."""
        self._tracker.check()
        for job in {job.overrides: job for job in self._jobs if job.overrides}.values():
            with prefix_errors(job.label):
                self._tracker.add_overrides(job.overrides).check()
        with lock():
            earlier = self._require_own_folder()
            videos = sorted({*earlier, *(job.name for job in self._jobs)})
            remove_leftovers(self._output, RECORD)
            write_record(self._output, KIND, {"videos": videos, "provenance": describe_program()})
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
            self.summary_error = str(error)
        return outcomes

    def _prepare(self, job: Job) -> PreparedRun:
        return prepare(job, self._output / job.name, self._loader, self._options, strict=True)

    def _find_kept(self, job: Job) -> Results | None:
        """Return the results of a job that no run of the list replaces: corrected ones, and those of a stream.

        A corrected video may have moved. A warning is logged about other classes. Raises `InputError` if results of a
        stream are not complete, or of another address.
        """
        results = Results.read(self._output / job.name)
        if results is not None and results.entries and results.is_recording:
            is_same = results.video == job.video_address
            problem = "its recording is not complete" if is_same else f"has a recording of {results.video}"
            is_complete = is_same and results.status == "done" and not results.describe_missing()
            require(is_complete, problem, subject=job.name, remedy="move its folder away, or delete it yourself")
            return results
        if results is None or not results.protected:
            return None
        video = job.video_address
        is_moved = video != results.video and os.path.exists(video)
        if is_moved and digest_video(Path(video))["sha256"] == results.fingerprint.get("sha256"):
            results.video = video
        for object_id, class_name in job.classes.items():
            current = results.classes.class_names.get(object_id, "object")
            if current != class_name:
                message = "%s: object %d keeps its corrected masks and class %s, not %s as in the list"
                log.warning(message, job.name, object_id, current, class_name)
        return results

    def _track_job(self, job: Job, stop: StopFlag) -> Outcome:
        """Track a job unless the flag is set, and log its outcome."""
        if stop.is_set():
            outcome = Outcome(job, "waiting")
        else:
            try:
                outcome = self._run_job(job, stop)
            except Exception as error:  # a failing job must not stop the others
                outcome = self._record_failure(job, error)
        if outcome.status in ("waiting", "failed") and (finished := self._find_finished(job)):
            outcome = replace(outcome, status="kept" if outcome.error else "done", frames=len(finished.entries))
        if outcome.error:
            kept = outcome.status == "kept"
            log.info("%s: %s", job.name, "not tracked; its earlier results are kept" if kept else "failed")
        return outcome

    def _run_job(self, job: Job, stop: StopFlag) -> Outcome:
        """Track a job until the flag is set, or reuse its results."""
        folder = self._output / job.name
        if (kept := self._find_kept(job)) is not None:
            if kept.protected:
                with locked_output(folder):
                    kept.save()  # its video may have moved
            content = "corrected masks are" if kept.protected else "its recording is"
            log.info("%s: %s kept; delete %s to track it again", job.name, content, folder)
            return Outcome(job, "corrected" if kept.protected else "done", len(kept.entries))
        result = run(self._prepare(job), force=self._force, class_file=self._output / CLASSES, stop=stop)
        if result.reused:
            log.info("%s: already tracked with these inputs", job.name)
        elif result.interrupted:
            return Outcome(job, "waiting")
        elif result.error is not None:
            return Outcome(job, "failed", result.frames, result.error)
        else:
            finished = result.restored_frames == result.frames
            speed = "finished already" if finished else result.speed
            log.info("%s: %s, %s", job.name, format_count(result.frames, "frame"), speed)
        return Outcome(job, "done", result.frames)

    def _find_finished(self, job: Job) -> Results | None:
        """Return the results of a job if they are finished and complete, else None."""
        with suppress(InputError, OSError):
            results = Results.read(self._output / job.name)
            if results is not None and results.status == "done" and not results.describe_missing():
                return results
        return None

    def _record_failure(self, job: Job, error: Exception) -> Outcome:
        """Return the outcome of a job that failed, after its folder has got the error."""
        if is_out_of_memory(error):
            problem = f"out of memory; {MEMORY_REMEDY}"
        elif isinstance(error, InputError | OSError):
            problem = str(error)
        else:
            log.error("%s: internal error in aotlab", job.name, exc_info=error)
            problem = strip_credentials(f"internal error in aotlab ({type(error).__name__}: {error})")
        if not isinstance(error, InUseError):  # the other process writes the record
            folder = self._output / job.name
            with suppress(InputError, OSError), locked_output(folder):
                Results(folder=folder, inputs={}, name=job.name, video=job.video_address).record_failure(problem)
        return Outcome(job, "failed", error=problem)

    def _require_own_folder(self) -> list[str]:
        """Return the names of the videos of earlier runs.

        Raises:
            InputError: the folder belongs to another list, without any of these videos, to another program, or to
                the inputs of a job.
        """
        output, record = self._output, read_record(self._output)
        if record is not None and record["kind"] != KIND:
            raise output_exists_error(output, f"results of a {record['kind']}")
        names = [job.name for job in self._jobs]  # whose folders are checked one by one
        if record is None and (others := list_unexpected(output, names)):
            raise output_exists_error(output, f"{others[0]}, which aotlab did not write")
        earlier: list[str] = record["videos"] if record else []
        if earlier and {*earlier}.isdisjoint(names):
            raise output_exists_error(output, f"results of another list ({join_truncated(earlier, 3)})")
        read_class_ids(output / CLASSES)
        folders: dict[str, str] = {}
        for job in self._jobs:
            folders.setdefault(os.path.realpath(output / job.name), job.name)
        for job in self._jobs:
            for path in map(Path, map(os.path.realpath, (output / job.name, *job.input_paths))):
                owners = {folders[str(folder)] for folder in (path, *path.parents) if str(folder) in folders}
                if owners := owners - {job.name}:
                    raise InputError(
                        f"{path} belongs to the results of {', '.join(owners)}",
                        subject=job.name,
                        remedy="copy it elsewhere",
                    )
        return earlier


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders in a folder that hold the results of a video, or damaged ones, in natural order."""

    def holds_results(folder: Path) -> bool:
        try:
            return has_results(folder)
        except InputError:
            return True

    names = natural_sort(path.parent.name for path in output.glob(f"[!.]*/{RECORD}"))
    return [output / name for name in names if holds_results(output / name)]


def write_summary(folder: Path, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Write ``summary.csv`` of jobs and of other shards in the locked folder; a job without results is waiting."""
    remove_leftovers(folder, SUMMARY_FILE)
    by_name = {outcome.job.name: outcome for outcome in outcomes}
    names = dict.fromkeys([*(job.name for job in jobs), *(path.name for path in list_job_folders(folder))])
    with (
        atomic_path(folder / SUMMARY_FILE) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SUMMARY_COLUMNS)
        for name in names:
            writer.writerow((name, *_summarize(folder / name, by_name.get(name))))


def _summarize(folder: Path, outcome: Outcome | None) -> Sequence[object]:
    """Return status, frames, error and video of a job, from its results or from its outcome in this run."""
    results: Results | None = None
    with suppress(InputError, OSError):
        results = Results.read(folder)
    if results is not None and results.status != "unfinished":
        is_failed = outcome is not None and outcome.status == "failed"
        status, error = ("failed", outcome.error) if is_failed and outcome else (results.status, results.error)
        return status, len(results.entries), error or "", results.video
    if outcome is not None and outcome.status == "failed":
        return "failed", 0, outcome.error, outcome.job.video_address
    return "waiting", "", "", ""
