"""Files of results in the folders of jobs and lists: records, outputs and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from aotlab.media.job_record import JOB_RECORD, JobRecord, read_job_record
from aotlab.media.location import locate_video
from aotlab.media.matching import order_names
from aotlab.utils.files import is_file_name, remove
from aotlab.utils.text import strip_credentials
from aotlab.utils.versioned_files import FileKind, read_versioned
from aotlab.video.job import Job
from aotlab.video.outputs import BUILT_IN_OUTPUTS, find_output, list_outputs
from aotlab.video.resume import STATE_FILE
from aotlab.video.track import JobOptions

RUN_FILE = ".jobs.json"
"""record of a list of jobs in the folder of all its results; no job's name starts with a dot"""
RUN_KIND = FileKind("record of a list of jobs", 1, "choose another folder")
PROMPT_MASKS = "prompt_masks"
"""name of the folder with the masks of prompts in a job's folder"""
FORMAT_FILE = "data.yaml"
"""name of the only file of an output's folder that belongs to no frame, of YOLO"""
UNFINISHED = "not finished"
"""error of a record until its job has ended"""
UNREADABLE = f"unreadable record ({JOB_RECORD})"
"""error of the record that stands for one that cannot be read"""


def start_record(job: Job, options: JobOptions | None = None, input_digest: str = "") -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and URLs without passwords.

    Args:
        options: outputs to write; None: unknown.
        input_digest: digest of all inputs, of `digest_inputs`.
    """
    kind, video = locate_video(job.video)
    is_path = kind in ("stored", "pipe") or os.path.exists(video)
    video = os.path.abspath(video) if is_path else strip_credentials(video)
    masks = [str(mask._replace(value=str(Path.cwd() / mask.value))) for mask in job.masks]
    outputs = [] if options is None else [output.file_name for output in options.outputs.values()]
    outputs += [PROMPT_MASKS] if outputs and job.has_prompts else []
    return JobRecord(
        job.name, video, input_digest, error=UNFINISHED, written=outputs, outputs=outputs, masks=masks,
        levels=job.levels,
    )  # fmt: skip


def has_content(path: Path) -> bool:
    """Return whether a file exists, or a folder that is not empty."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


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


def read_results(folder: Path) -> JobRecord | None:
    """Return the record of the results in a folder; None without one.

    For a damaged record, or one of another version, return one with the error `UNREADABLE` that names every output.
    """
    record = read_job_record(folder)
    if record is None and (folder / JOB_RECORD).exists():
        outputs = [PROMPT_MASKS, *(find_output(name).file_name for name in list_outputs())]
        return JobRecord(folder.name, error=UNREADABLE, outputs=[*filter(is_file_name, outputs)])
    return record


def remove_results(folder: Path, record: JobRecord, kept_masks: Collection[Path] = ()) -> None:
    """Remove the outputs of a job, its checkpoint, and its record; other files stay.

    Args:
        record: the record, from `read_results`.
        kept_masks: resolved paths of masks to keep, in the folder of prompts' masks.
    """
    for path in (folder / name for name in record.outputs):
        is_folder = path.is_dir() and not path.is_symlink()
        files = _list_frame_files(path, record) if is_folder else [path]
        for file in files:
            if file.resolve() not in kept_masks:
                remove(file)
        for emptied in sorted({path, *(file.parent for file in files)}, reverse=True) if is_folder else ():
            with suppress(OSError):
                emptied.rmdir()  # if it is empty
    for name in (STATE_FILE, JOB_RECORD):
        remove(folder / name)


def _list_frame_files(path: Path, record: JobRecord) -> list[Path]:
    """Return the files of frames that a run has written to the folder of an output."""
    if path.name == PROMPT_MASKS:  # its files have frame numbers
        record = replace(record, stems=[])
    per_object = {PROMPT_MASKS: False} | {
        output.file_name: output.per_object for output in BUILT_IN_OUTPUTS.values()
    }
    patterns = ["*", "*/*"]  # of a format or plug-in
    if path.name in per_object:
        patterns = ["[0-9]*/*.png" if per_object[path.name] else "*.png"]
    files = (file for pattern in patterns for file in path.glob(pattern) if not file.is_dir())
    return [
        file
        for file in files
        if record.error == UNREADABLE or record.names_frame(file.stem) or file.name == FORMAT_FILE
    ]
