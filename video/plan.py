"""Plan of a run: whether results in its folder are reused, resumed, replaced or refused, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aotlab.media.job_record import JobRecord
from aotlab.utils.errors import InputError
from aotlab.utils.text import join_truncated
from aotlab.video.resume import Progress
from aotlab.video.track import JobOptions

COMPARED_FIELDS = {
    "video": "video",
    "masks": "mask",
    "first_frame": "start",
    "last_frame": "end",
    "levels": "levels",
}
"""fields of `JobRecord` that a refusal names if they changed, to the option or argument of each"""

Action = Literal["track", "resume", "reuse", "keep_corrections"]
"""what a run does: replace what is there, resume, reuse finished results, keep corrected ones"""
FINISHED = "already tracked with these inputs"
"""reason to reuse results"""


@dataclass(frozen=True)
class RerunOptions:
    """Permissions of a run in a folder with results."""

    force: bool = False
    """replace results of other inputs"""
    restart: bool = False
    """track again from the first frame"""
    in_list: bool = False
    """the job is part of a list that already cleared the folder: results are replaced, corrections kept"""


@dataclass(frozen=True)
class PreviousResults:
    """Results of an earlier run in a job's folder."""

    record: JobRecord | None = None
    """None: no record, or a damaged one"""
    existing: frozenset[str] = frozenset()
    """outputs of the earlier run or of this one that exist and are not empty"""
    has_all_masks: bool = True
    """whether a finished run's folder of masks, if it has one, has a PNG of each frame"""
    has_progress: bool = False
    """whether the progress of an interrupted run is stored"""
    corrected: bool = False
    """whether a person's corrections have replaced the results"""
    list_folder: bool = False
    """whether it is the folder of a list of jobs"""


@dataclass(frozen=True)
class PreviousRun:
    """Results of an earlier run in the folder of a list of jobs."""

    settings: Any = None
    """`result_settings` of that run, from a file that may be damaged; None without a run"""
    jobs: Sequence[str] = ()
    """names of its jobs"""
    removed: Sequence[str] = ()
    """names of jobs with results that are not in the list any more"""
    run_file: str | None = None
    """a file with the name of one of a list's files"""
    other_files: bool = False
    """whether the folder holds anything else"""


def plan_job(
    folder: Path,
    wanted: JobRecord,
    options: JobOptions,
    previous: PreviousResults,
    rerun: RerunOptions,
    *,
    repeatable: bool,
) -> Action:
    """Return what a run does about one video.

    Args:
        folder: output folder, for messages.
        wanted: record of this run before its first frame.
        options: outputs and how to track.
        previous: earlier results in the folder.
        rerun: what may be replaced.
        repeatable: `Job.is_repeatable`.

    Raises:
        InputError: the results must not be replaced.
    """
    if previous.record is not None and previous.corrected and rerun.in_list:
        return "keep_corrections"
    record = previous.record or JobRecord(wanted.name)
    # a list tracks a stream once, a single run each time
    same = record.input_digest == wanted.input_digest and (repeatable or rerun.in_list)
    ended, outputs = record.error is None, {*wanted.outputs}
    complete = outputs <= {*record.written} if ended else outputs == {*record.outputs}
    if same and not rerun.restart:
        if ended and complete and outputs <= previous.existing and previous.has_all_masks:
            return "reuse"
        if not complete and not rerun.in_list:
            remedy = "choose another folder, or track all outputs again with --restart"
            raise _refusal(folder, f"other outputs from the same inputs; {remedy}")
    if previous.record is not None and previous.corrected:
        remedy = "choose another folder, or delete this one to track it again"
        raise _refusal(folder, f"corrected masks; {remedy}")
    if previous.list_folder:
        raise _refusal(folder, "the results of a list of videos; choose another folder")
    if foreign := (previous.existing & outputs) - {*record.outputs}:
        raise _refusal(folder, f"{min(foreign)}, {FOREIGN}")
    others = previous.existing & {*record.outputs}
    if others and not (same or rerun.force or rerun.in_list):
        fields = COMPARED_FIELDS.items()
        changed = [name for key, name in fields if getattr(record, key) != getattr(wanted, key)]
        causes = f"; changed: {', '.join(changed)}" if changed else ""
        raise _refusal(folder, f"results from different inputs ({min(others)}{causes}); {FORCE_ADVICE}")
    resumable = repeatable and Progress.supports(options.outputs, both_directions=options.both_directions)
    resumes = same and complete and resumable and previous.has_progress and not rerun.restart
    return "resume" if resumes else "track"


def plan_list(
    folder: Path, previous: PreviousRun, names: Collection[str], settings: Mapping[str, Any], *, force: bool
) -> Action:
    """Return what a list does about the folder of its results; `plan_job` decides about each job afterwards.

    Args:
        folder: output folder, for messages.
        previous: earlier results in the folder.
        names: names of the jobs.
        settings: `result_settings` of this run.
        force: replace results of another run.

    Raises:
        InputError: the results must not be replaced.
    """
    if previous.settings is None:
        if previous.run_file is not None:
            raise _refusal(folder, f"{previous.run_file}, {FOREIGN}")
        problem = "other files" if previous.other_files else None
    elif previous.removed and not {*names} & {*previous.jobs}:
        problem = f"results of other jobs ({join_truncated(previous.removed, 1)})"
    elif _includes(previous.settings, settings):
        return "resume"
    else:
        problem = "results of a run with different settings or outputs"
    if problem is not None and not force:
        raise _refusal(folder, f"{problem}; {FORCE_ADVICE}")
    return "track"


FOREIGN = "which aotlab track did not write; choose another folder"
FORCE_ADVICE = "choose another folder, or replace results with --force"


def _refusal(folder: Path, content: str) -> InputError:
    return InputError(f"output {folder}: already contains {content}")


def _includes(earlier: Any, settings: Mapping[str, Any]) -> bool:
    """Return whether earlier settings are the same, perhaps with further outputs."""
    write = earlier.get("write") if isinstance(earlier, dict) else None
    if not isinstance(write, list) or {**earlier, "write": settings["write"]} != settings:
        return False
    return all(name in write for name in settings["write"])
