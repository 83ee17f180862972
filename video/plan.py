"""Plans of runs: whether results in a folder are reused, resumed, replaced or refused, and why; records of lists."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aotlab.media.job_record import CORRECTED_FILE, JOB_RECORD, JobRecord, has_all_masks
from aotlab.media.matching import order_names
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file_name
from aotlab.utils.text import join_truncated
from aotlab.utils.versioned_files import FileKind, read_versioned
from aotlab.video.classes import CLASSES
from aotlab.video.job import Job
from aotlab.video.outputs import require_inputs_outside
from aotlab.video.resume import RESTORED_OUTPUT, STATE_FILE
from aotlab.video.track import JobOptions

log = logging.getLogger(__name__)

RUN_FILE = ".jobs.json"
"""record of a list of jobs in the folder of all its results; no job's name starts with a dot"""
RUN_KIND = FileKind("record of a list of jobs", 1, "choose another folder")
COMPARED_FIELDS = {
    "video": "video",
    "masks": "mask",
    "first_frame": "start",
    "last_frame": "end",
    "levels": "levels",
}
"""fields of `JobRecord` that a refusal names if they changed, to the option or argument of each"""
RESERVED_NAMES = ("summary.csv", "review.json", CLASSES)
"""files in the folder of a list, beside the folders of its jobs"""

Action = Literal["track", "resume", "reuse", "keep_corrections"]
"""what a run does: replace what is there, resume, reuse finished results, keep corrected ones"""
FINISHED = "already tracked with these inputs"
"""reason to reuse results"""
UNRECORDED_ADVICE = "which aotlab track did not write; choose another folder"
FORCE_ADVICE = "choose another folder, or replace the results (force)"


@dataclass(frozen=True)
class RerunOptions:
    """Existing results that a run may replace."""

    force: bool = False
    """replace results of other inputs"""
    restart: bool = False
    """track again from the first frame"""
    in_batch: bool = False
    """the job is part of a list whose folder it is: results are replaced, corrections kept"""


def plan_job(
    folder: Path,
    planned: JobRecord,
    earlier: JobRecord | None,
    rerun: RerunOptions,
    *,
    repeatable: bool,
    resumable: bool,
) -> Action:
    """Return what a run does about the results of one video; raise `InputError` if they must not be replaced.

    Args:
        folder: output folder.
        planned: record of this run before its first frame.
        earlier: record of the results in the folder.
        rerun: what may be replaced.
        repeatable: `Job.is_repeatable`.
        resumable: `saves_checkpoints`.
    """
    if earlier is None and (folder / JOB_RECORD).exists():
        raise _refusal(
            folder, f"an unreadable record ({JOB_RECORD}); choose another folder, or delete this one"
        )
    is_corrected = earlier is not None and (folder / CORRECTED_FILE).exists()
    if is_corrected and rerun.in_batch:
        return "keep_corrections"
    earlier = earlier or JobRecord(planned.name)
    outputs, earlier_outputs = {*planned.outputs}, {*earlier.outputs}
    existing = {name for name in outputs | earlier_outputs if has_content(folder / name)}
    # a list tracks a stream once, a single run each time
    same_inputs = earlier.input_digest == planned.input_digest and (repeatable or rerun.in_batch)
    can_resume = False
    if same_inputs and not rerun.restart:
        has_ended = earlier.error is None
        same_outputs = outputs <= {*earlier.written} if has_ended else outputs == earlier_outputs
        if has_ended and same_outputs and outputs <= existing and has_all_masks(folder, earlier):
            return "reuse"
        if not (same_outputs or rerun.in_batch):
            advice = "choose another folder, or track all outputs again (restart)"
            raise _refusal(folder, f"other outputs from the same inputs; {advice}")
        can_resume = same_outputs and resumable and (folder / STATE_FILE).is_file()
    if is_corrected:
        raise _refusal(folder, "corrected masks; choose another folder, or delete this one to track it again")
    if (folder / RUN_FILE).exists():
        raise _refusal(folder, "the results of a list of videos; choose another folder")
    if unrecorded := existing - earlier_outputs:
        raise _refusal(folder, f"{min(unrecorded)}, {UNRECORDED_ADVICE}")
    if existing and not (same_inputs or rerun.force or rerun.in_batch):
        fields = COMPARED_FIELDS.items()
        changed = ", ".join(name for key, name in fields if getattr(earlier, key) != getattr(planned, key))
        causes = f"; changed: {changed}" if changed else ""
        raise _refusal(folder, f"results from different inputs ({min(existing)}{causes}); {FORCE_ADVICE}")
    return "resume" if can_resume else "track"


def has_content(path: Path) -> bool:
    """Return whether a file exists, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def saves_checkpoints(job: Job, options: JobOptions) -> bool:
    """Return whether a run with these options saves checkpoints and can be resumed."""
    resumable = all(output.resumable for output in options.outputs.values())
    resumable = resumable and not options.both_directions and RESTORED_OUTPUT in options.write
    return resumable and job.is_repeatable(options)


def plan_list(output: Path, jobs: Sequence[Job], settings: Mapping[str, Any], *, force: bool) -> Action:
    """Return what a list does about the folder of its results; `plan_job` decides about each job afterwards.

    Args:
        output: existing folder.
        jobs: the whole list.
        settings: `result_settings` of this run.
        force: replace results of another run.

    Raises:
        InputError: the results must not be replaced, outputs would overwrite inputs, or a job has the name of a file of
            the run.
    """
    earlier_settings, earlier_names = read_run(output)
    write = settings["write"]
    names = {job.name for job in jobs}
    for name in sorted(names):
        if name.lower() in RESERVED_NAMES:
            raise InputError(f"job {name}: a file of the run has this name; give the job another")
    files = {
        f"{path} of job {job.name}": Path(path)
        for job in jobs
        for path in (job.video, *(mask.value for mask in job.masks))
    }
    require_inputs_outside(files, {*names, *earlier_names, *RESERVED_NAMES}, output)
    removed_names = sorted(name for name in {*earlier_names} - names if (output / name / JOB_RECORD).exists())
    problem = None
    if earlier_settings is None:
        for name in RESERVED_NAMES:
            if has_content(output / name):
                raise _refusal(output, f"{name}, {UNRECORDED_ADVICE}")
        # hidden files are locks and temporary files, perhaps of another machine
        if any(path.name[0] != "." or path.name == RUN_FILE for path in output.iterdir()):
            problem = "other files"
    elif removed_names and names.isdisjoint(earlier_names):
        problem = f"results of other jobs ({join_truncated(removed_names, 1)})"
    elif {**earlier_settings, "write": write} != settings or not {*write} <= {*earlier_settings["write"]}:
        problem = "results of a run with different settings or outputs"
    if problem is not None and not force:
        raise _refusal(output, f"{problem}; {FORCE_ADVICE}")
    for name in removed_names:
        if any(path.name[0] != "." for path in (output / name).iterdir()):
            log.warning("%s: not in the list any more; its results stay in %s", name, output / name)
    return "resume" if problem is None and earlier_settings is not None else "track"


def read_run(output: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the settings and job names of the run in a folder; None and no names without one."""
    earlier = read_versioned(
        output / RUN_FILE, RUN_KIND, lambda content: (content["settings"], list(content["jobs"]))
    )
    return (None, []) if earlier is None else (earlier[0], list(filter(is_file_name, earlier[1])))


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders of a list's jobs in natural order, tracked or not; without a list, those with a record."""
    names = read_run(output)[1] or [path.parent.name for path in output.glob(f"*/{JOB_RECORD}")]
    return [output / name for name in order_names(names)]


def _refusal(folder: Path, content: str) -> InputError:
    return InputError(f"output {folder}: already contains {content}")
