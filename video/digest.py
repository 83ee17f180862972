"""Digest of all that the results of a job depend on, by which an earlier run is recognized."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.annotations import SIDECAR_FILES
from aotlab.utils.files import is_file, is_folder, sha256
from aotlab.utils.value_syntax import strip_credentials
from aotlab.video.inputs import split_mask_value
from aotlab.video.job import Job
from aotlab.video.track import JobOptions

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker

WEIGHT_FILES = ("{stem}.*",)
"""patterns of files beside an ONNX file that may hold its weights"""


def result_settings(tracker: TrackerOptions | Tracker, options: JobOptions) -> dict[str, Any]:
    """Return all that results depend on apart from the job, as JSON values; raise `InputError` if unreadable."""
    from aotlab.configs.load import to_yaml

    if isinstance(tracker, TrackerOptions):
        checkpoint, settings = sha256(tracker.resolve_checkpoint()), tracker.settings_as_yaml()
    else:
        checkpoint, settings = tracker.checkpoint_digest or tracker.origin["weights"], to_yaml(tracker.config)
    inputs: dict[str, Any] = {
        "checkpoint": checkpoint,
        "settings": settings,
        "write": sorted(options.write),
        "both_directions": options.both_directions,
    }
    optional = {"removals": [list(removal) for removal in options.removals], "by_name": options.by_name}
    return inputs | {name: value for name, value in optional.items() if value}


def digest_inputs(job: Job, inputs: Mapping[str, Any]) -> str:
    """Return a digest of ``inputs`` and a job: overrides, masks, and sizes and times of the video's files.

    Raises:
        InputError: a mask cannot be read.
    """
    masks = [(value, _digest_files(split_mask_value(value)[-1], SIDECAR_FILES)) for value in job.masks]
    path = Path(strip_credentials(job.video))
    files = sorted(path.iterdir()) if is_folder(path) else [path] if is_file(path) else []
    video = [_read_stamp(file) for file in files]
    segmenter = [
        (name, _digest_files(Path(name), WEIGHT_FILES) if is_file(Path(name)) else [])
        for name in job.segmenter
    ]
    prompts = (job.boxes, job.points, job.not_points, job.classes, segmenter)
    parts = (
        dict(inputs), job.overrides, job.levels, job.rate, masks, str(path), video, job.start, job.end, prompts
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _digest_files(path: Path, sidecars: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return names and digests of a file and its sidecar files, patterns beside it, or of all files of a folder.

    Raises:
        InputError: as `sha256`.
    """
    if is_folder(path):
        files = [file for file in path.rglob("*") if file.is_file()]
        return [(str(file.relative_to(path)), sha256(file)) for file in sorted(files)]
    stem = glob.escape(path.stem)
    beside = {file for each in sidecars for file in path.parent.glob(each.format(stem=stem)) if is_file(file)}
    return [("", sha256(path)), *((file.name, sha256(file)) for file in sorted(beside - {path}))]


def _read_stamp(file: Path) -> tuple[str, int, int]:
    """Return name, size and time of a file; only the name of a dangling link."""
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_size, stat.st_mtime_ns
