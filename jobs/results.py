"""Folders of results: what a run may do with earlier results, and how it replaces them.

A run removes earlier results once it has predicted its first frame. If it fails before, they stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
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
from aotlab.media.masks import write_mask
from aotlab.media.matching import order_names
from aotlab.media.value_syntax import parse_frame_object
from aotlab.utils.errors import InputError, output_exists_error, require
from aotlab.utils.files import remove
from aotlab.utils.locks import LOCK_SUFFIX, locked_output, remove_leftovers

if TYPE_CHECKING:
    import numpy as np

Action = Literal["reuse", "resume", "track", "replace", "refuse"]
"""Action of a run on a folder, see `classify_contents`."""
STATE_FILE = ".track.state"
"""Name of the checkpoint in a folder of results."""


def choose_action(folder: Path, record: JobRecord, *, force: bool = False) -> tuple[Action, JobRecord]:
    """Return the action of a run on a folder, and the record of its earlier results; empty if it has none.

    Raises `InputError` if the folder contains what this run must not replace.

    Args:
        record: record of this run before its first frame.
        force: allow the action ``replace``.
    """
    earlier = read_job_record(folder) or JobRecord(record.name, error=UNFINISHED)
    action, contents = classify_contents(folder, record, earlier)
    if action == "refuse" or (action == "replace" and not force):
        raise output_exists_error(folder, contents, forceable=action == "replace")
    if action != "reuse":
        inputs = [record.video, *(parse_frame_object(mask).value for mask in record.masks)]
        require_inputs_outside(map(Path, inputs), {*record.outputs, *earlier.outputs}, folder)
    return action, earlier


def classify_contents(folder: Path, record: JobRecord, earlier: JobRecord) -> tuple[Action, str]:
    """Return the action that the contents of a folder call for, and their description for messages.

    * ``reuse``: finished results of the same inputs
    * ``resume``: unfinished results of the same inputs with a checkpoint
    * ``track``: no results, or unfinished ones of the same inputs without a checkpoint
    * ``replace``: results of other inputs, finished results that lack a file, or edited masks of a failed run
    * ``refuse``: corrected masks, or files of another command or program
    """
    difference = describe_difference(earlier.input_digests, record.input_digests)
    missing = describe_missing_outputs(folder, earlier)
    if not difference and earlier.error is None and not missing:
        return "reuse", "finished results"
    if protected := next(_find_protected_contents(folder, record, earlier), None):
        return "refuse", protected
    if not any(has_content(folder / name) for name in earlier.outputs):
        return "track", "no results"
    is_edited = earlier.error != UNFINISHED and _has_edited_masks(folder)
    if difference:
        return "replace", f"{difference}{' and masks that were edited' * is_edited}"
    if earlier.error is None:
        return "replace", f"results without {missing}"
    if is_edited:
        return "replace", "masks that were edited after its run failed"
    return "resume" if (folder / STATE_FILE).is_file() else "track", "unfinished results"


def _find_protected_contents(folder: Path, record: JobRecord, earlier: JobRecord) -> Iterator[str]:
    """Yield contents of a folder that a run must never replace."""
    if not (folder / JOB_RECORD).exists() and list_job_folders(folder):
        yield "results of a list of videos"
    if (folder / CORRECTED_FILE).exists():
        yield "corrected masks"
    if earlier.input_digests and not record.input_digests:
        yield "results of run_job"
    for name in record.outputs:
        path = folder / name
        if path.is_symlink() and not path.exists():  # the disk may not be mounted
            yield f"{name}, a link to a missing file or folder"
        if name not in earlier.outputs and has_content(path):
            yield f"{name}, which aotlab did not write"
        elif files := {*list_output_files(path, record)} - {*list_output_files(path, earlier)}:
            yield f"{min(files).relative_to(folder).as_posix()}, which aotlab did not write"


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
        if record is not None and record.error is None and not describe_missing_outputs(folder, record):
            return record
    return None


def _has_edited_masks(folder: Path) -> bool:
    """Return whether a mask is newer than the record, which a run writes last."""
    record, masks = folder / JOB_RECORD, (folder / MASKS_FOLDER).glob("*.png")
    return record.exists() and any(path.stat().st_mtime_ns > record.stat().st_mtime_ns for path in masks)


def describe_difference(earlier: Mapping[str, str], digests: Mapping[str, str]) -> str:
    """Return how the inputs of earlier results differ, by their digests; empty if they are the same."""
    if digests and digests == earlier:
        return ""
    changed = [part for part, digest in earlier.items() if digests.get(part) != digest]
    return f"results of other inputs (different {', '.join(changed)})" if changed else "results of unknown inputs"


def has_content(path: Path) -> bool:
    """Return whether a file or folder exists and is not empty; a killed program may leave an empty file."""
    return any(path.iterdir()) if path.is_dir() else path.exists() and path.stat().st_size > 0


def replace_results(
    folder: Path,
    record: JobRecord,
    earlier: JobRecord,
    prompt_masks: Mapping[Path, np.ndarray],
    *,
    resumed: bool = False,
) -> None:
    """Remove the earlier results in a locked folder, unless they are resumed, and record the run as unfinished.

    ``prompt_masks``: masks of prompts to write, by path.
    """
    for path in (folder, *(path for name in earlier.outputs for path in (folder / name).glob("**/"))):
        remove_leftovers(path)  # of killed programs
    if not resumed:
        remove_results(folder, earlier)
        remove(folder / STATE_FILE)
    write_job_record(folder, record)
    for path, mask in prompt_masks.items():
        write_mask(path, mask)


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
        is_folder = resolve_links(path) == resolve_links(folder)  # its results would be read as objects
        require(not is_folder, f"output {folder}: is the input folder {path}; choose another folder")
        for file in map(resolve_links, [path, *path.iterdir()] if path.is_dir() else [path]):
            is_safe = targets.isdisjoint((file, *file.parents))
            require(is_safe, f"output {folder}: the results would overwrite {path}; choose another folder")


def resolve_links(path: Path) -> Path:
    """Return the path without links; `Path.resolve` fails for circular ones."""
    return Path(os.path.realpath(path))


def record_failure(folder: Path, record: JobRecord) -> None:
    """Record the error of a job of a list, unless its folder holds finished or failed results, or other files."""
    with suppress(InputError, OSError), locked_output(folder):
        earlier = read_job_record(folder, warn=False)
        if all(path.name == LOCK_SUFFIX for path in folder.iterdir()) or (earlier and not earlier.outputs):
            write_job_record(folder, record)
        elif earlier and earlier.error == UNFINISHED:
            write_job_record(folder, replace(earlier, error=record.error))


def list_job_folders(output: Path) -> list[Path]:
    """Return the folders in a folder that have a record of a job, in natural order."""
    return [output / name for name in order_names(path.parent.name for path in output.glob(f"[!.]*/{JOB_RECORD}"))]
