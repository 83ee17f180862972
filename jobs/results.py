"""Folders of results: what a run may do with earlier results, and how it replaces them.

A run removes earlier results once it has predicted its first frame. If it fails before, they stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    MASKS_FOLDER,
    JobRecord,
    list_output_files,
    read_job_record,
    write_job_record,
)
from aotlab.media.matching import natural_sort
from aotlab.media.value_syntax import parse_frame_object
from aotlab.utils.errors import InputError, output_exists_error
from aotlab.utils.files import remove
from aotlab.utils.locks import LOCK_SUFFIX, locked_output, remove_leftovers

Action = Literal["reuse", "resume", "track"]
"""Action of a run on a folder, see `choose_action`."""
STATE_FILE = ".track.state"
"""Name of the checkpoint in a folder of results."""


def choose_action(folder: Path, record: JobRecord, *, force: bool = False) -> tuple[Action, JobRecord]:
    """Return the action of a run on a folder, and the record of its earlier results; empty if it has none.

    | earlier results          | of the same inputs                | of other inputs        |
    |--------------------------|-----------------------------------|------------------------|
    | done                     | reuse                             | error; force: track    |
    | done, a file is missing  | error; force: track               | error; force: track    |
    | unfinished or failed     | resume; without checkpoint: track | error; force: track    |
    | none, or all are missing | track                             | track                  |

    ``record``: record of this run before its first frame.

    Raises:
        InputError: as in the table, or the folder contains what a run never replaces, or an output would overwrite an
            input.
    """
    earlier = read_job_record(folder) or JobRecord(record.name, status="unfinished")
    replaced = _describe_difference(earlier.input_digests, record.input_digests)
    if not replaced and earlier.status == "done":
        missing = describe_missing_outputs(folder, earlier)
        if not missing:
            return "reuse", earlier
        replaced = f"results without {missing}"
    if protected := _find_protected_contents(folder, record, earlier):
        raise output_exists_error(folder, protected)
    if replaced and not force and any(has_content(folder / name) for name in earlier.outputs):
        raise output_exists_error(folder, replaced, suggest_force=True)
    inputs = [record.video, *(parse_frame_object(mask).value for mask in record.masks)]
    require_inputs_outside(map(Path, inputs), {*record.outputs, *earlier.outputs}, folder)
    return "track" if replaced or not (folder / STATE_FILE).is_file() else "resume", earlier


def _find_protected_contents(folder: Path, record: JobRecord, earlier: JobRecord) -> str:
    """Return a description of contents that a run must never replace; empty if there are none."""
    if not (folder / JOB_RECORD).exists() and list_job_folders(folder):
        return "results of a list of videos"
    if (folder / CORRECTED_FILE).exists():
        return "corrected masks"
    if earlier.input_digests and not record.input_digests:
        return "results of run_job"
    for name in record.outputs:
        path = folder / name
        if path.is_symlink() and not path.exists():  # the disk may not be mounted
            return f"{name}, a link to a missing file or folder"
        if name not in earlier.outputs and has_content(path):
            return f"{name}, which aotlab did not write"
        if files := {*list_output_files(path, record)} - {*list_output_files(path, earlier)}:
            return f"{min(files).relative_to(folder).as_posix()}, which aotlab did not write"
    return ""


def describe_missing_outputs(folder: Path, record: JobRecord) -> str:
    """Return the name of a missing output or the number of missing masks; empty if the results are complete."""
    for name in record.written:
        if not has_content(folder / name):
            return name
    if MASKS_FOLDER in record.written:
        masks = (folder / MASKS_FOLDER).glob("*.png")  # the folder may be a link
        missing = record.frames - sum(record.has_frame(path.stem) for path in masks if has_content(path))
        return f"{missing} of {record.frames} masks" if missing > 0 else ""
    return ""


def find_finished(folder: Path) -> JobRecord | None:
    """Return the record of results that are finished and complete, else None."""
    record = read_job_record(folder, warn=False)
    with suppress(OSError):  # not readable
        if record is not None and record.status == "done" and not describe_missing_outputs(folder, record):
            return record
    return None


def _describe_difference(earlier: Mapping[str, str], digests: Mapping[str, str]) -> str:
    """Return how the inputs of earlier results differ, by their digests; empty if they are the same."""
    if digests and digests == earlier:
        return ""
    changed = [part for part, digest in earlier.items() if digests.get(part) != digest]
    return f"results of other inputs (different {', '.join(changed)})" if changed else "results of unknown inputs"


def has_content(path: Path) -> bool:
    """Return whether a file or folder exists and is not empty; a killed program may leave an empty file."""
    return any(path.iterdir()) if path.is_dir() else path.exists() and path.stat().st_size > 0


def replace_results(folder: Path, record: JobRecord, earlier: JobRecord, *, resumed: bool = False) -> None:
    """Remove the earlier results in a locked folder, unless they are resumed, and record the run as unfinished."""
    for path in (folder, *(path for name in earlier.outputs for path in (folder / name).glob("**/"))):
        remove_leftovers(path)  # of killed programs
    if not resumed:
        remove_results(folder, earlier)
        remove(folder / STATE_FILE)
    write_job_record(folder, record)


def remove_results(folder: Path, record: JobRecord) -> None:
    """Remove all results that a run has written into a folder; its record and other files stay."""
    for path in (folder / name for name in record.outputs):
        files = list_output_files(path, record)
        for file in files:
            remove(file)
        if path not in files:  # a folder
            for emptied in sorted({path, *(file.parent for file in files)}, reverse=True):
                with suppress(OSError):  # it has other files
                    emptied.rmdir()


def require_inputs_outside(inputs: Iterable[Path], names: Iterable[str], folder: Path) -> None:
    """Raise `InputError` if a folder is an input itself, or outputs of these names in it would overwrite an input."""
    targets = {resolve_links(folder / name) for name in names}
    for path in inputs:
        if resolve_links(path) == resolve_links(folder):  # its results would be read as objects
            raise InputError(f"output {folder}: is the input folder {path}; choose another folder")
        for file in map(resolve_links, [path, *path.iterdir()] if path.is_dir() else [path]):
            if not targets.isdisjoint((file, *file.parents)):
                raise InputError(f"output {folder}: the results would overwrite {path}; choose another folder")


def resolve_links(path: Path) -> Path:
    """Return the path without links; `Path.resolve` fails for circular ones."""
    return Path(os.path.realpath(path))


def record_failure(folder: Path, record: JobRecord) -> None:
    """Record the error of a job of a list, unless its folder holds finished or failed results, or other files."""
    with suppress(InputError, OSError), locked_output(folder):
        earlier = read_job_record(folder, warn=False)
        if all(path.name == LOCK_SUFFIX for path in folder.iterdir()) or (earlier and not earlier.outputs):
            write_job_record(folder, record)
        elif earlier and earlier.status == "unfinished":
            write_job_record(folder, replace(earlier, status=record.status, error=record.error))


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders in a folder that have a record of a job, in natural order."""
    return [output / name for name in natural_sort(path.parent.name for path in output.glob(f"[!.]*/{JOB_RECORD}"))]
