"""The rule about reruns: which results in a folder are reused, resumed, replaced or refused.

A folder of results belongs to the inputs in its record: video, masks, settings and outputs. With the same inputs,
finished results are reused and unfinished ones resumed; results of other inputs are refused, unless ``force`` replaces
them. Corrected masks and files that no run has written are never replaced.

The folder of a list of jobs belongs to the settings in its record in the same way. It contains a folder for each job:
if the job's inputs have changed, its video is tracked again, unless its masks were corrected.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    MASKS_FOLDER,
    UNFINISHED,
    JobRecord,
    read_job_record,
)
from aotlab.media.matching import order_names
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file_name
from aotlab.utils.versioned_files import FileKind, read_versioned
from aotlab.video.job import Job
from aotlab.video.resume import STATE_FILE

RUN_FILE = ".jobs.json"
"""record of a list of jobs in the folder of all its results; no job's name starts with a dot"""
RUN_KIND = FileKind("record of a list of jobs", 1, "choose another folder")

Action = Literal["track", "resume", "reuse", "keep"]
"""what a run does: track from the first frame, resume, reuse finished results, or keep corrected ones (in a list)"""


def plan_run(folder: Path, record: JobRecord, inputs: Sequence[Path] = (), *, force: bool = False) -> Action:
    """Return what a run does about the results in its folder.

    Args:
        folder: output folder.
        record: record of this run before its first frame.
        inputs: files and folders that must not be among the outputs.
        force: replace results of other inputs.

    Raises:
        InputError: the folder contains what this run must not replace.
    """
    earlier = read_job_record(folder)
    if earlier is None and (folder / JOB_RECORD).exists():
        raise make_refusal(folder, f"an unreadable record ({JOB_RECORD})")
    earlier = earlier or JobRecord(record.name, error=UNFINISHED)
    same_inputs = bool(record.input_digest) and record.input_digest == earlier.input_digest
    existing = {name for name in (*record.outputs, *earlier.outputs) if _has_content(folder / name)}
    is_finished = earlier.error is None and existing >= {*record.outputs} and _has_masks(folder, earlier)
    if same_inputs and is_finished:
        return "reuse"
    if (folder / CORRECTED_FILE).exists():
        raise make_refusal(folder, "corrected masks")
    if (folder / RUN_FILE).exists():
        raise make_refusal(folder, "the results of a list of jobs")
    if unrecorded := existing - {*earlier.outputs}:
        raise make_refusal(folder, f"{min(unrecorded)}, which aotlab track did not write")
    if existing and not (same_inputs or force):
        raise make_refusal(folder, "results of other inputs or settings", forcible=True)
    require_inputs_outside(inputs, {*record.outputs, *earlier.outputs}, folder)
    return "resume" if same_inputs and (folder / STATE_FILE).is_file() else "track"


def plan_list(output: Path, jobs: Sequence[Job], settings: Mapping[str, Any], *, force: bool = False) -> bool:
    """Return whether a list replaces results of other settings in its folder.

    Args:
        output: output folder.
        jobs: the whole list.
        settings: `result_settings` of this run.
        force: replace results of other settings.

    Raises:
        InputError: the folder contains what this list must not replace, or results would overwrite inputs.
    """
    inputs = [path for job in jobs for path in job.input_paths]
    require_inputs_outside(inputs, [job.name for job in jobs], output)
    if not (output / RUN_FILE).exists():
        # hidden files are locks and temporary files, perhaps of another machine
        if others := sorted(path.name for path in output.glob("[!.]*")):
            raise make_refusal(output, f"other files ({others[0]})")
        return False
    replaces = read_list(output)[0] != settings
    if replaces and not force:
        raise make_refusal(output, "results of other settings or outputs", forcible=True)
    return replaces


def require_inputs_outside(inputs: Iterable[Path], names: Iterable[str], folder: Path) -> None:
    """Raise `InputError` if outputs, files and folders of these names in a folder, would overwrite an input.

    ``inputs``: files and folders of images, which may be links.
    """
    targets = {(folder / name).resolve() for name in names}
    for path in inputs:
        for file in [path, *path.iterdir()] if path.is_dir() else [path]:
            resolved = Path(os.path.realpath(file))  # links may be circular
            if not targets.isdisjoint((resolved, *resolved.parents)):
                raise InputError(
                    f"output {folder}: the results would overwrite {path}; choose another folder"
                )


def make_refusal(folder: Path, content: str, *, forcible: bool = False) -> InputError:
    """Return the error about a folder whose content must not be replaced, or only with ``force``."""
    remedy = "replace them with force (--force)" if forcible else "delete this one"
    return InputError(f"output {folder}: already contains {content}; choose another folder, or {remedy}")


def read_list(output: Path) -> tuple[dict[str, Any], list[str]]:
    """Return settings and job names of the list in a folder; both are empty without one, or if it is damaged."""
    content = read_versioned(
        output / RUN_FILE, RUN_KIND, lambda content: (dict(content["settings"]), list(content["jobs"]))
    )
    settings, names = content or ({}, [])
    return settings, [*filter(is_file_name, names)]


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders of a list's jobs in natural order, tracked or not; without a list, those with a record."""
    names = read_list(output)[1] or [path.parent.name for path in output.glob(f"*/{JOB_RECORD}")]
    return [output / name for name in order_names(names)]


def _has_content(path: Path) -> bool:
    """Return whether a file exists, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _has_masks(folder: Path, record: JobRecord) -> bool:
    """Return whether the folder of masks, if it was written, has a PNG for each tracked frame."""
    masks = (folder / MASKS_FOLDER).glob("*.png")
    count = sum(record.has_frame(path.stem) for path in masks)
    return MASKS_FOLDER not in record.written or count == record.frames
