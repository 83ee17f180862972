"""Which jobs of a run are done, and whose run a folder of results is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aotlab.dataloaders.exchange.given import split_value
from aotlab.dataloaders.jobs import Job
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, remove, require_writable

FOLDER = ".jobs"
"""of the records, in the folder of the results"""
RUN = "run.json"
REPORTS = ("summary.csv", "report.json", "report.html")
"""files about the run as a whole"""


@dataclass
class JobRecord:
    """The result of a job."""

    name: str
    video: str = ""
    made_by: str = ""
    """digest of all that its results depend on"""
    frames: int = 0
    seconds: float = 0.0
    """spent in the tracker"""
    rate: str = "24"
    """frames per second of the video"""
    error: str | None = None
    """the sentence that says what went wrong; None if all went well"""
    written: list[str] = field(default_factory=list)
    """complete results, relative to the job's folder"""

    @property
    def whole(self) -> bool:
        """Whether it ran to the end without an error."""
        return self.error is None


def digest_of(job: Job, settings: dict[str, Any]) -> str:
    """A digest of what a job's results depend on: settings, overrides, masks, and sizes and times of the video's files.

    Raises:
        InputError: a mask cannot be read.
    """
    masks = [(value, _content(split_value(value)[1])) for value in job.masks]
    path = Path(job.video)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    video = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    everything = (settings, job.overrides, masks, str(path), video)
    return hashlib.sha256(repr(everything).encode()).hexdigest()


def claim_folder(output: Path, jobs: Sequence[Job], settings: dict[str, Any], *, overwrite: bool) -> None:
    """Make a folder the one of this run, or go on with it.

    Args:
        output: made if it is missing.
        jobs: of this run.
        settings: what all jobs share, as JSON holds it; another run's differ.
        overwrite: remove another run's results first.

    Raises:
        InputError: it holds another run's results, or files of no run.
    """
    require_writable(output)
    run = output / FOLDER / RUN
    if run.is_file():
        old = json.loads(run.read_text(encoding="utf-8"))
        strangers = sorted(set(old.get("jobs", [])) & _finished(output) - {job.name for job in jobs})
        if old.get("settings") == settings and not strangers:
            _write_run(run, jobs, settings)
            return
        if not overwrite:
            difference = f"of other jobs ({strangers[0]}, …)" if strangers else "made with other settings"
            raise InputError(
                f"output {output}: holds results {difference}; choose another folder, or replace them with "
                "overwrite"
            )
        for name in {*old.get("jobs", []), *REPORTS, FOLDER}:
            remove(output / name)
    elif any(output.iterdir()):
        taken = sorted(job.name for job in jobs if (output / job.name).exists())
        if not overwrite:
            raise InputError(
                f"output {output}: holds files that are not of such a run; choose another folder, or replace results "
                "with overwrite"
            )
        for name in taken:
            remove(output / name)
    _write_run(run, jobs, settings)


def load_record(output: Path, name: str) -> JobRecord | None:
    """The record of a job that was finished, None where there is none."""
    try:
        return JobRecord(**json.loads(_path(output, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # none, or not written by this program: either way the job runs


def save_record(output: Path, record: JobRecord) -> None:
    """Write the record of a job whose results are all written."""
    with atomic_path(_path(output, record.name)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")


def clear_job(output: Path, name: str) -> None:
    """Remove a job's record and what an earlier attempt left of its results."""
    _path(output, name).unlink(missing_ok=True)
    remove(output / name)


def _finished(output: Path) -> set[str]:
    return {path.stem for path in (output / FOLDER).glob("*.json") if path.name != RUN}


def _write_run(path: Path, jobs: Sequence[Job], settings: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        content = {"settings": settings, "jobs": sorted(job.name for job in jobs)}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _content(path: Path) -> str:
    """A digest of a mask file, or of the files of a folder."""
    total = hashlib.sha256()
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    try:
        for file in files:
            total.update(repr(file.relative_to(path) if path.is_dir() else "").encode())
            total.update(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{error.filename}: no such mask ({error.strerror}); check the list of jobs"
        ) from error
    return total.hexdigest()


def _path(output: Path, name: str) -> Path:
    return output / FOLDER / f"{name}.json"
