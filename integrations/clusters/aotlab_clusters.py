"""A job as one function for Ray, Dask and submitit, with videos, masks and results on any file system of fsspec.

>>> run_job(job, "s3://bucket/results/clip", TrackerOptions(device="cuda"))
"""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec

import aotlab
from aotlab import InputError, Job, JobOptions, TrackerOptions
from aotlab.sdk import JOB_RECORD, read_job_record, write_job_record


@dataclass(frozen=True)
class JobResult:
    """Outcome of a job, small enough to send between machines."""

    name: str
    frames: int = 0
    """Frames tracked; 0 if the results existed."""
    error: str | None = None
    """Error message; None on success."""
    reused: bool = False
    """The results existed already."""


def run_job(
    job: Job,
    output: str,
    tracker: TrackerOptions | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
) -> JobResult:
    """Track one video; safe to call again after a kill.

    A job with an output folder on this machine resumes after a kill. For an output with a URL, the earlier results are
    copied to this machine, and new ones uploaded at the end; such a job starts over after a kill. Finished results of
    the same inputs are reused.

    Args:
        job: the video and its masks, as in `Job`, as paths or URLs.
        output: folder of this job's results, a path or URL.
        force: replace results of other inputs.

    A bad input is returned as an error, so that a broken video does not stop the other jobs.
    """
    options = replace(options or JobOptions(), progress=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "results")
        try:
            if is_url(job.video) and not job.has_objects:
                raise InputError(f"{job.video}: nothing to track; give a box, points or masks")
            files, root = fsspec.core.url_to_fs(output)
            local_job = download_inputs(job, Path(temporary))
            if not is_url(output):
                result = aotlab.run_job(local_job, root, tracker, options, force=force)
            else:
                earlier = download_results(files, root, folder)
                result = aotlab.run_job(local_job, folder, tracker, options, force=force)
                if result.status == "done" and not result.reused:
                    upload_results(folder, files, root, earlier)
        except InputError as error:
            return JobResult(job.name, error=str(error).replace(str(folder), output))
    frames = 0 if result.reused else result.frames
    return JobResult(job.name, frames, "interrupted" if result.interrupted else result.error, result.reused)


def is_url(path: str) -> bool:
    """Return whether a path names a file system of fsspec other than the local one; false for streams."""
    protocol = fsspec.utils.get_protocol(path)
    return protocol not in ("file", "local") and protocol in fsspec.available_protocols()


def download_inputs(job: Job, folder: Path) -> Job:
    """Download inputs with a URL into a folder; return the job with their paths there, or raise `InputError`."""

    def fetch(path: str, number: int) -> str:
        if not is_url(path):
            return path
        files, source = fsspec.core.url_to_fs(path)
        files.invalidate_cache()  # this process may have listed the folder before files in it were replaced
        target = folder / "inputs" / str(number) / Path(source).name
        if not files.exists(source):
            raise InputError(f"{path}: no such file; check the address")
        target.parent.mkdir(parents=True, exist_ok=True)
        files.get(source, str(target), recursive=files.isdir(source))
        return str(target)

    masks = [mask._replace(value=fetch(mask.value, number)) for number, mask in enumerate(job.masks, start=1)]
    return replace(job, video=fetch(job.video, 0), masks=tuple(masks))


def download_results(files: Any, root: str, folder: Path) -> list[str]:
    """Download all files at ``root`` into a folder; return their names there."""
    files.invalidate_cache()
    if files.exists(root):
        files.get(f"{root}/", f"{folder}/", recursive=True)
    return [path.removeprefix(f"{root}/") for path in files.find(root)]


def upload_results(folder: Path, files: Any, root: str, earlier: Collection[str]) -> None:
    """Replace the results at ``root`` by those of a folder; the record says unfinished until all are there.

    ``earlier``: names of the files that were at ``root`` before the run.
    """
    record = read_job_record(folder)
    assert record is not None
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    for name in {*earlier} - {*names}:
        files.rm_file(f"{root}/{name}")

    def put(names: list[str]) -> None:
        files.put([str(folder / name) for name in names], [f"{root}/{name}" for name in names])

    write_job_record(folder, replace(record, status="unfinished"))
    put([JOB_RECORD])
    put([name for name in names if name.partition("/")[0] in record.outputs])
    write_job_record(folder, record)
    put([JOB_RECORD])
