"""A job as one function for Ray, Dask and submitit, with videos, masks and results on any file system of fsspec.

>>> run_job(job, "s3://bucket/results/clip", TrackerOptions(device="cuda"))
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec

import aotlab
from aotlab import InputError, Job, JobOptions, TrackerOptions
from aotlab.sdk import JOB_RECORD, add_masks_beside

MARKER = ".complete.json"
"""File with the identity of the results, null until all are uploaded, and the names of the uploaded files."""


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
    job: Job, output: str, tracker: TrackerOptions | None = None, options: JobOptions | None = None
) -> JobResult:
    """Track one video; safe to call again after a kill.

    If inputs and output are local, a killed job resumes in the middle of its video. If one of them is a URL, the inputs
    are copied to this machine, and the results are written to a temporary folder and uploaded, the marker last; such a
    job starts over after a kill.

    Args:
        job: the video and its masks, as in `Job`, as paths or URLs.
        output: folder of this job's results, a path or URL.

    A bad input is returned as an error, so that a broken video does not stop the other jobs.
    """
    tracker = tracker or TrackerOptions()
    options = replace(options or JobOptions(), progress=False)
    try:
        files, root = fsspec.core.url_to_fs(output)
        if not any(is_url(path) for path in (output, job.video, *(mask.value for mask in job.masks))):
            return run_locally(job, Path(root), tracker, options)
        job = add_masks_beside(job)
        if not job.has_objects:
            raise InputError(f"{job.video}: nothing to track; give a box, points or masks")
        files.invalidate_cache()
        identity = identify(job, tracker, options)
        if read_marker(files, root)[0] == identity:
            return JobResult(job.name, reused=True)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "results"
            result = run_locally(download_inputs(job, Path(folder)), local, tracker, options)
            if result.error is None:
                upload(local, files, root, identity)
        return result
    except InputError as error:
        return JobResult(job.name, error=str(error))


def run_locally(job: Job, folder: Path, tracker: TrackerOptions, options: JobOptions) -> JobResult:
    """Track a job with local inputs into a local folder, or resume it; raise `InputError` for a bad input."""
    done = aotlab.run_job(job, folder, tracker, options)
    if done.reused:
        return JobResult(job.name, reused=True)
    return JobResult(job.name, done.frames, "interrupted" if done.interrupted else done.error)


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
        target = folder / "inputs" / str(number) / Path(source).name
        if not files.exists(source):
            raise InputError(f"{path}: no such file; check the address")
        target.parent.mkdir(parents=True, exist_ok=True)
        files.get(source, str(target), recursive=files.isdir(source))
        return str(target)

    masks = [mask._replace(value=fetch(mask.value, number)) for number, mask in enumerate(job.masks, start=1)]
    return replace(job, video=fetch(job.video, 0), masks=tuple(masks))


def identify(job: Job, tracker: TrackerOptions, options: JobOptions) -> str:
    """Return a text that changes with everything that changes the results: job, files, weights, settings, options."""
    stamps = []
    # other files of an ONNX file's name may have its weights
    segmenter = [str(file) for path in job.segmenter or () for file in sorted(path.parent.glob(f"{path.stem}.*"))]
    for path in (job.video, *(mask.value for mask in job.masks), *segmenter):
        if fsspec.utils.get_protocol(path) not in fsspec.available_protocols():  # a stream
            continue
        files, source = fsspec.core.url_to_fs(path)
        files.invalidate_cache()  # a worker may have listed the folder before files in it were replaced
        found = files.find(source, detail=True) if files.exists(source) else {}  # a file, or all of a folder
        stamps += [[name, sorted((key, str(info[key])) for key in info)] for name, info in sorted(found.items())]
    weights = hashlib.sha256(tracker.resolve_checkpoint().read_bytes()).hexdigest()
    settings = tracker.settings_as_yaml()
    return json.dumps([repr(replace(job, source_line="")), stamps, weights, settings, repr(options)])


def read_marker(files: Any, root: str) -> tuple[str | None, set[str]]:
    """Return the identity of the results at ``root``, None if incomplete, and the files that jobs have uploaded."""
    try:
        marker = json.loads(files.cat_file(f"{root}/{MARKER}"))
        return marker["identity"], set(marker["files"])
    except (OSError, ValueError, LookupError, TypeError):
        return None, set()


def upload(local: Path, files: Any, root: str, identity: str) -> None:
    """Replace files that jobs have uploaded to ``root`` by those of a folder; raise `InputError` for other files."""
    found = (path for path in local.rglob("*") if path.is_file() and path.name != JOB_RECORD)
    paths = {path.relative_to(local).as_posix(): path for path in found}
    _, earlier = read_marker(files, root)
    present = {path.removeprefix(f"{root}/") for path in files.find(root)}
    results = {name.partition("/")[0] for name in paths}
    others = sorted(name for name in present - earlier if name.partition("/")[0] in results)
    if others:
        raise InputError(f"{root}: holds {others[0]}, which no job wrote; choose another folder or delete it")
    files.makedirs(root, exist_ok=True)
    names = sorted({*paths, *(earlier & present)})
    files.pipe_file(f"{root}/{MARKER}", json.dumps({"identity": None, "files": names}).encode())
    for name in (earlier & present) - paths.keys():
        files.rm_file(f"{root}/{name}")
    for name, path in paths.items():
        files.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        files.put_file(str(path), f"{root}/{name}")
    files.pipe_file(f"{root}/{MARKER}", json.dumps({"identity": identity, "files": sorted(paths)}).encode())
