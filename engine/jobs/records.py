"""Records of the jobs of a run, and of the run that a folder of results belongs to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aotlab.engine.jobs.listing import Job
from aotlab.engine.video.given_masks import split_value
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder, is_plain_name, real_path, remove, require_writable
from aotlab.utils.locks import LOCK, remove_leftovers
from aotlab.utils.versioned_json import Kind, read_usable, write_own

FOLDER = ".jobs"
"""folder of the records in the result folder"""
RUN = ".run.json"
"""name of the run's record; no job's name starts with a dot"""
RUN_KIND = Kind("record of a list of jobs", 1, "replace the results with --force, or choose another folder")
REVIEWS = ("summary.csv", "review.json", "review.html")
"""files of the whole run"""


@dataclass
class JobRecord:
    """The result of a job."""

    name: str
    video: str = ""
    made_by: str = ""
    """digest of the inputs of its results"""
    frames: int = 0
    seconds: float = 0.0
    """seconds spent in the tracker"""
    rate: str = "24"
    """frame rate of the video"""
    error: str | None = None
    """error message; None on success"""
    written: list[str] = field(default_factory=list)
    """completed outputs, relative to the job's folder"""
    masks: list[str] = field(default_factory=list)
    """masks, as in `Job.masks`"""
    levels: str | None = None
    """levels, as in `Job.levels`"""

    @classmethod
    def of(cls, job: Job) -> JobRecord:
        """Return the record of a starting job, with absolute paths."""
        video = job.video if "://" in job.video or job.video == "-" else os.path.abspath(job.video)
        masks = [
            ("" if frame is None else f"{frame}:") + os.path.abspath(file)
            for frame, file in map(split_value, job.masks)
        ]
        return cls(job.name, video, masks=masks, levels=job.levels)

    @property
    def whole(self) -> bool:
        """Return whether the job finished without an error."""
        return self.error is None


def digest_of(job: Job, settings: dict[str, Any]) -> str:
    """Return a digest of a job's inputs: settings, overrides, masks, and sizes and times of the video's files.

    Raises:
        InputError: a mask cannot be read.
    """
    masks = [(value, _content(split_value(value)[1])) for value in job.masks]
    path = Path(job.video)
    files = sorted(path.iterdir()) if is_folder(path) else [path] if is_file(path) else []
    video = [_stamp(file) for file in files]
    everything: tuple[Any, ...] = (settings, job.overrides, job.levels, masks, str(path), video)
    if (job.start, job.end) != (None, None):
        everything = (*everything, job.start, job.end)
    return hashlib.sha256(repr(everything).encode()).hexdigest()


def claim_folder(output: Path, jobs: Sequence[Job], settings: dict[str, Any], *, force: bool) -> None:
    """Start or resume a run in a folder.

    Args:
        output: folder, created if missing.
        settings: settings shared by all jobs, as JSON values, which identify the run.
        force: remove the results of another run first.

    Raises:
        InputError: the folder holds other results or files, or outputs would overwrite inputs.
    """
    for folder in (require_writable(output), output / FOLDER):
        remove_leftovers(folder)
    run = output / FOLDER / RUN
    old = read_usable(run, RUN_KIND, _checked_run)
    new = {"settings": settings, "jobs": sorted(job.name for job in jobs)}
    _refuse_inputs(jobs, output, old["jobs"] if old is not None else ())
    problem, names = None, new["jobs"]
    if old is not None:
        names = old["jobs"]
        strangers = sorted(set(names) & _finished(output) - set(new["jobs"]))
        if strangers:
            problem = f"results of other jobs ({strangers[0]}, …)"
        elif old["settings"] != settings:
            problem = "results made with other settings"
    elif any(path.name != LOCK for path in output.iterdir()):
        problem = "files that are not of such a run"
    if problem is not None:
        if not force:
            raise InputError(
                f"output {output}: holds {problem}; choose another folder, or replace results with --force"
            )
        for name in {*names, *REVIEWS, FOLDER}:
            remove(output / name)
    write_own(run, RUN_KIND, new)


def _checked_run(content: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a run without names that leave the folder."""
    return {**content, "jobs": [name for name in content["jobs"] if is_plain_name(name)]}


def _refuse_inputs(jobs: Sequence[Job], output: Path, old: Sequence[str]) -> None:
    targets = {real_path(output / name) for name in (*(job.name for job in jobs), *old, *REVIEWS, FOLDER)}
    for job in jobs:
        if job.name.lower() in (FOLDER, *REVIEWS):
            raise InputError(f"job {job.name}: a review file of the run has this name; give the job another")
        for path in (Path(job.video), *(split_value(value)[1] for value in job.masks)):
            found = real_path(path)
            if not targets.isdisjoint((found, *found.parents)):
                raise InputError(
                    f"output {output}: the results would replace {path} of job {job.name}; choose another folder"
                )


def record_path(output: Path, name: str) -> Path:
    """Return the file of a job's record."""
    return output / FOLDER / f"{name}.json"


def clear_job(output: Path, name: str) -> None:
    """Remove a job's record and results of earlier attempts."""
    remove(record_path(output, name))
    remove(output / name)


def _finished(output: Path) -> set[str]:
    return {path.stem for path in (output / FOLDER).glob("*.json") if path.name != RUN}


def _content(path: Path) -> str:
    """Return a digest of a mask file, or of the files of a folder."""
    total = hashlib.sha256()
    folder = is_folder(path)
    if not folder and not is_file(path):
        raise InputError(f"{path}: no such mask; check the list of jobs")
    files = sorted(one for one in path.rglob("*") if one.is_file()) if folder else [path]
    try:
        for file in files:
            total.update(repr(file.relative_to(path) if folder else "").encode())
            total.update(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); check the list of jobs"
        ) from error
    return total.hexdigest()


def _stamp(file: Path) -> tuple[str, int, int]:
    """Return name, size and time of a file; only the name of a dangling link."""
    try:
        found = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, found.st_size, found.st_mtime_ns
