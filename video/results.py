"""Records of jobs and of lists of jobs in the folders of their results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aotlab.media.job_record import JOB_RECORD, PROMPT_MASKS, UNFINISHED, JobRecord
from aotlab.media.location import locate_video
from aotlab.media.matching import order_names
from aotlab.utils.files import is_file_name
from aotlab.utils.text import strip_credentials
from aotlab.utils.versioned_files import FileKind, read_versioned
from aotlab.video.job import Job
from aotlab.video.track import JobOptions

RUN_FILE = ".jobs.json"
"""record of a list of jobs in the folder of all its results; no job's name starts with a dot"""
RUN_KIND = FileKind("record of a list of jobs", 1, "choose another folder")


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
