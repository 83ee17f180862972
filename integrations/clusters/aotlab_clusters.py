"""A job as one function for any engine, with videos, masks and results on any file system of fsspec.

>>> run_job(job, "s3://bucket/results/clip", TrackerOptions(device="cuda"))
"""

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec

import aotlab
from aotlab import InputError, Job, RunOptions, TrackerOptions
from aotlab.sdk import Results, TrackResult

RECORD = "results.json"
"""Record of a run, in its folder of results."""


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
    options: RunOptions | None = None,
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
        force: replace results of a different run.

    A bad input is returned as an error, so that a broken video does not stop the other jobs.
    """
    options = replace(options or RunOptions(), progress=False)
    urls: dict[str, str] = {}
    try:
        with tempfile.TemporaryDirectory() as temporary:
            result = _run_job(job, output, tracker, options, Path(temporary), urls, force=force)
    except InputError as error:
        return JobResult(job.name, error=_name_urls(str(error), urls))
    frames = 0 if result.reused else result.frames
    error = "interrupted" if result.interrupted else result.error and _name_urls(result.error, urls)
    return JobResult(job.name, frames, error, result.reused)


def _run_job(
    job: Job,
    output: str,
    tracker: TrackerOptions | None,
    options: RunOptions,
    temporary: Path,
    urls: dict[str, str],
    *,
    force: bool,
) -> TrackResult:
    """Track one video with copies of files with a URL in ``temporary``; ``urls`` gets the URLs by path of the copy."""
    if is_url(job.video) and not job.has_objects:
        raise InputError(f"{job.video}: nothing to track; give a box, points or masks")
    files, root = fsspec.core.url_to_fs(output)
    local_job = download_inputs(job, temporary, urls)
    if not is_url(output):
        return aotlab.run_job(local_job, root, tracker, options, force=force)
    folder = temporary / "results"
    urls[str(folder)] = output
    names = download_results(files, root, folder)
    earlier = Results.read(folder)
    result = aotlab.run_job(local_job, folder, tracker, options, force=force)
    if result.status == "done" and (result.rendered or not result.reused):
        upload_results(folder, files, root, names, earlier, urls)
    return result


def _name_urls(text: str, urls: Mapping[str, str]) -> str:
    """Return a text with URLs in place of the paths of their copies."""
    for path, url in urls.items():
        text = text.replace(path, url)
    return text


def is_url(path: str) -> bool:
    """Return whether a path names a file system of fsspec other than the local one; false for streams."""
    protocol = fsspec.utils.get_protocol(path)
    return protocol not in ("file", "local") and protocol in fsspec.available_protocols()


def download_inputs(job: Job, folder: Path, urls: dict[str, str]) -> Job:
    """Download inputs with a URL into a folder; return the job with their paths there, or raise `InputError`.

    ``urls`` gets the URL of each input by its path.
    """

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
        urls[str(target)] = path
        return str(target)

    masks = [mask._replace(value=fetch(mask.value, number)) for number, mask in enumerate(job.masks, start=1)]
    return replace(job, video=fetch(job.video, 0), masks=tuple(masks))


def download_results(files: Any, root: str, folder: Path) -> list[str]:
    """Download all files at ``root`` into a folder; return their names there."""
    files.invalidate_cache()
    if files.exists(root):
        files.get(f"{root}/", f"{folder}/", recursive=True)
    return [path.removeprefix(f"{root}/") for path in files.find(root)]


def upload_results(
    folder: Path, files: Any, root: str, names: Collection[str], earlier: Results | None, urls: Mapping[str, str]
) -> None:
    """Replace the results at ``root`` by those of a folder; their record says unfinished until all are there.

    Args:
        names: names of the files that were at ``root`` before the run.
        earlier: results that were there.
        urls: URLs of the inputs by path, for the record.

    Raises:
        InputError: a person has corrected the masks, which an interrupted upload would lose.
    """
    results = Results.read(folder)
    assert results is not None
    if results.corrected:
        raise InputError(f"{folder}: corrected masks; add outputs to a copy on this machine, and copy them back")
    results.video = _name_urls(results.video, urls)
    results.masks = [_name_urls(mask, urls) for mask in results.masks]
    owned = {results.journal, *results.owned, *results.list_written()}
    paths = [path for name in owned for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    new_names = [path.relative_to(folder).as_posix() for path in paths]

    def put(names: Collection[str]) -> None:
        files.put([str(folder / name) for name in names], [f"{root}/{name}" for name in names])

    outputs = dict(results.outputs)
    for name, entries in earlier.outputs.items() if earlier else ():  # the next run finds them if this one is killed
        outputs[name] = [*dict.fromkeys([*outputs.get(name, ()), *entries])]
    replace(results, status="unfinished", outputs=outputs).save()
    put([RECORD])
    for name in names:
        if earlier is not None and not (folder / name).exists() and _is_written(earlier, name):
            files.rm_file(f"{root}/{name}")
    put(new_names)
    results.save()
    put([RECORD])


def _is_written(results: Results, name: str) -> bool:
    """Return whether a run has written the file of this name in the folder of its results."""
    path = results.folder / name
    if path.parent in (results.mask_path("").parent, results.soft_path("").parent):
        return path.stem in {entry["name"] for entry in results.entries}
    return path.relative_to(results.folder).parts[0] in {*results.owned, *results.list_written()}
