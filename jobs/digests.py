"""Digests of a job's inputs, by which a run recognizes results of the same inputs."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aotlab.engine.tracking.options import TrackerLoader
from aotlab.jobs.inputs import FrameSelection, find_frame
from aotlab.jobs.job import Job, JobOptions
from aotlab.media.job_record import JobRecord
from aotlab.media.levels import parse_levels
from aotlab.media.prompt import group_prompts
from aotlab.utils.files import SYSTEM_FILES, sha256
from aotlab.utils.text import strip_credentials

SIDECARS = ("legend.json", "labelmap.txt", "{stem}_classes.json")
"""Patterns of files beside a mask file that its reader may use."""


def result_settings(loader: TrackerLoader, options: JobOptions, *, from_list: bool) -> dict[str, Any]:
    """Return the outputs, and everything except the job that masks depend on, as JSON values."""
    added_outputs = {"review"} if from_list else set[str]()  # by `Batch`, if it is installed
    return {
        **loader.settings,
        "write": sorted({*options.write} - added_outputs),
        "both_directions": options.both_directions,
        "removals": [list(removal) for removal in options.removals],
        "by_name": options.by_name,
    }


def digest_inputs(job: Job, settings: Mapping[str, Any], record: JobRecord, frames: FrameSelection) -> dict[str, str]:
    """Return digests of what results depend on: the job with the contents of its files, and `result_settings`.

    The name and fingerprint in the record identify a video that was moved.
    """
    first = frames.number(frames.first)
    video: tuple[Any, ...] = (strip_credentials(job.video),)
    if record.fingerprint:
        video = (record.video_name, record.fingerprint)
    masks = []
    for mask in job.masks:
        index = find_frame(mask, frames)
        frame = None if index is None else frames.number(index)
        masks.append((frame, mask.object_id, _digest_files(Path(mask.value), SIDECARS)))
    prompts = group_prompts(job.boxes, job.points, job.not_points, first_frame=first)
    # weights may be in files named like the ONNX file
    segmenter = [_digest_files(path, ["{stem}.*"]) for path in job.segmenter or ()]
    levels = job.levels and (parse_levels(job.levels) or "auto")
    return {
        "video": _digest(video, levels, job.rate),
        "frames": _digest(first, job.end),
        "masks or prompts": _digest(masks, prompts, segmenter),
        "classes": _digest(sorted(job.classes.items())),
        "settings or outputs": _digest(settings, job.overrides),
    }


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _digest_files(path: Path, sidecars: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and digests of a file and of the files beside it that match the patterns ``sidecars``.

    For a folder, return those of its visible files.
    """
    if path.is_dir():
        files = [file for file in path.rglob("[!.]*") if file.is_file() and file.name not in SYSTEM_FILES]
        return [(str(file.relative_to(path)), sha256(file)) for file in sorted(files)]
    stem = glob.escape(path.stem)
    sidecar_files = {
        file for pattern in sidecars for file in path.parent.glob(pattern.format(stem=stem)) if file.is_file()
    }
    return [("", sha256(path)), *((file.name, sha256(file)) for file in sorted(sidecar_files - {path}))]
