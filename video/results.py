"""Folders of results, and what a run may do with those that it finds.

The folder of a video belongs to the inputs in its record: video, masks, settings and outputs.

* Finished results of the same inputs are reused. Unfinished and failed ones are resumed, else tracked again.
* Finished results that lack a file, failed ones with edited masks, and all results of other inputs, are replaced only
  with ``force``.
* Corrected masks, files that no record lists, and inputs are never replaced.

The folder of a list contains the folders of its videos, so it is not the folder of a video.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    MASKS_FOLDER,
    UNFINISHED,
    JobRecord,
    list_output_files,
    read_job_record,
    write_job_record,
)
from aotlab.media.matching import order_names
from aotlab.utils.errors import InputError, already_contains
from aotlab.utils.files import atomic_path
from aotlab.video.classes import CLASSES, read_class_ids
from aotlab.video.resume import STATE_FILE

if TYPE_CHECKING:
    from aotlab.video.job import Job

Action = Literal["track", "resume", "reuse"]
"""track from the first frame, resume, or reuse finished results"""
SUMMARY_FILE = "summary.csv"
SUMMARY_COLUMNS = ("name", "status", "frames", "error", "video")
LIST_FILES = (SUMMARY_FILE, CLASSES)
"""files in the folder of a list, beside the folders of its jobs"""


def choose_action(
    folder: Path, record: JobRecord, inputs: Sequence[Path] = (), *, force: bool = False
) -> tuple[Action, JobRecord]:
    """Return what to do with existing results, and their record, which is empty without results.

    Args:
        folder: output folder.
        record: record of this run before its first frame.
        inputs: files and folders that must not be among the outputs.
        force: replace results of other inputs, finished results that lack a file, and edited masks of a failed run.

    Raises:
        InputError: the folder contains what this run must not replace.
    """
    earlier = read_job_record(folder)
    if earlier is None:
        if list_job_folders(folder):
            raise already_contains(folder, "results of a list of videos")
        earlier = JobRecord(record.name, error=UNFINISHED)
    same_inputs = bool(record.input_digests) and record.input_digests == earlier.input_digests
    missing = _find_missing(folder, earlier)
    if same_inputs and earlier.error is None and not missing:
        return "reuse", earlier
    if (folder / CORRECTED_FILE).exists():
        raise already_contains(folder, "corrected masks")
    if unrecorded := _find_unrecorded(folder, record, earlier):
        raise already_contains(folder, f"{unrecorded}, which no record lists")
    action: Action = "resume" if same_inputs and (folder / STATE_FILE).is_file() else "track"
    if not force and any(_has_content(folder / name) for name in earlier.outputs):
        if not same_inputs:
            digests = record.input_digests
            changed = [part for part, digest in earlier.input_digests.items() if digests.get(part) != digest]
            difference = f"different {', '.join(changed)}" if changed else "unknown"
            raise already_contains(folder, f"results of other inputs ({difference})", forceable=True)
        if earlier.error is None:
            raise already_contains(folder, f"results without {missing}", forceable=True)
        if earlier.error != UNFINISHED and action == "track" and _has_edited_masks(folder):
            raise already_contains(folder, "masks that were edited after its run failed", forceable=True)
    require_inputs_outside(inputs, {*record.outputs, *earlier.outputs}, folder)
    return action, earlier


def _find_missing(folder: Path, record: JobRecord) -> str:
    """Return the name of an output that a run has completed and that is missing, or how many masks are; else empty."""
    for name in record.written:
        if not _has_content(folder / name):
            return name
    if MASKS_FOLDER in record.written:
        masks = (folder / MASKS_FOLDER).glob("*.png")  # the folder may be a link
        # a program that was killed may leave an empty file
        stems = [path.stem for path in masks if path.is_file() and path.stat().st_size]
        missing = record.frames - sum(map(record.has_frame, stems))
        return f"{missing} of {record.frames} masks" if missing > 0 else ""
    return ""


def _has_edited_masks(folder: Path) -> bool:
    """Return whether a mask is newer than the record, which a run writes last."""
    time = (folder / JOB_RECORD).stat().st_mtime_ns
    return any(path.stat().st_mtime_ns > time for path in (folder / MASKS_FOLDER).glob("*.png"))


def _find_unrecorded(folder: Path, record: JobRecord, earlier: JobRecord) -> str:
    """Return the name of an output or file that a run would replace, and that no earlier run recorded; else empty."""
    for name in record.outputs:
        path = folder / name
        if name not in earlier.outputs and _has_content(path):
            return name
        if files := {*list_output_files(path, record)} - {*list_output_files(path, earlier)}:
            return min(files).relative_to(folder).as_posix()
    return ""


def _has_content(path: Path) -> bool:
    """Return whether a file exists, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def require_inputs_outside(inputs: Iterable[Path], names: Iterable[str], folder: Path) -> None:
    """Raise `InputError` if a folder is an input itself, or outputs of these names in it would overwrite an input.

    ``inputs``: files and folders of images, which may be links.
    """
    targets = {_resolve(folder / name) for name in names}
    for path in inputs:
        if _resolve(path) == _resolve(folder):  # masks in folders would be those of objects
            raise InputError(f"output {folder}: is the input folder {path}; choose another folder")
        for file in [path, *path.iterdir()] if path.is_dir() else [path]:
            resolved = _resolve(file)
            if not targets.isdisjoint((resolved, *resolved.parents)):
                raise InputError(
                    f"output {folder}: the results would overwrite {path}; choose another folder"
                )


def _resolve(path: Path) -> Path:
    """Return the path without links, of which `Path.resolve` refuses circular ones."""
    return Path(os.path.realpath(path))


def read_corrected(folder: Path) -> JobRecord | None:
    """Return the record of corrected results, which lists keep even if their inputs are gone; None for others."""
    return read_job_record(folder) if (folder / CORRECTED_FILE).exists() else None


def record_failure(folder: Path, record: JobRecord) -> None:
    """Record that the job of a list failed; results of runs that have ended, and files of others, keep their record.

    Args:
        folder: output folder of the job.
        record: record of the job with its error, without outputs.
    """
    with suppress(InputError, OSError):
        earlier = read_job_record(folder)
        if earlier is None:
            is_kept = folder.is_dir() and any(folder.iterdir())
        else:  # see _has_edited_masks
            is_kept = earlier.error is None or (earlier.error != UNFINISHED and bool(earlier.outputs))
        if not is_kept:
            results = replace(earlier, error=record.error) if earlier and earlier.outputs else record
            write_job_record(folder, results)


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders in a folder that have a record of a job, in natural order."""
    return [
        output / name for name in order_names(path.parent.name for path in output.glob(f"*/{JOB_RECORD}"))
    ]


def require_list_folder(output: Path, jobs: Sequence[Job]) -> None:
    """Raise `InputError` if a list would replace files of others in a folder, or inputs of its jobs."""
    if (output / JOB_RECORD).exists():
        raise already_contains(output, "results of a single video")
    require_list_files(output)
    has_results = bool(list_job_folders(output))
    target = _resolve(output)
    folders: dict[Path, Job] = {}
    for job in jobs:
        other = folders.setdefault(_resolve(output / job.name), job)
        if other is not job:
            raise InputError(
                f"{job.name}: its folder of results is a link to that of {other.name}; remove the link"
            )
    for job in jobs:
        for path in map(_resolve, job.input_paths):
            if path == target:
                raise InputError(f"output {output}: is the input folder {path}; choose another folder")
            if not has_results and path.is_file() and path.parent == target:
                raise already_contains(output, f"the video or mask {path.name}")
            owner = next((folders[folder] for folder in (path, *path.parents) if folder in folders), job)
            if owner is not job:
                raise InputError(
                    f"{job.name}: {path} belongs to the results of {owner.name}, which this list may replace; "
                    "copy it elsewhere"
                )


def require_list_files(output: Path) -> None:
    """Raise `InputError` if a folder has another file with the name of a file of a list."""
    for name in LIST_FILES:
        if (output / name).exists() and not _is_list_file(output / name):
            raise already_contains(output, f"a {name} that was edited or is not of aotlab")


def _is_list_file(path: Path) -> bool:
    """Return whether the content of a file is that of a file of a list."""
    try:
        if path.name == SUMMARY_FILE:
            with path.open(encoding="utf-8-sig", errors="replace") as file:
                return file.readline().strip() == ",".join(SUMMARY_COLUMNS)
        read_class_ids(path)
    except (InputError, OSError):
        return False
    return path.is_file()


def write_summary(folder: Path, jobs: Sequence[Job], records: Mapping[str, JobRecord]) -> None:
    """Write ``summary.csv`` of a list from the records by job; jobs without one are waiting."""
    with (
        atomic_path(folder / SUMMARY_FILE) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SUMMARY_COLUMNS)
        for job in jobs:
            if (record := records.get(job.name)) is None:
                writer.writerow((job.name, "waiting", "", "", ""))
            else:
                status = "failed" if record.error else "done"
                writer.writerow((job.name, status, record.frames, record.error, record.video))
