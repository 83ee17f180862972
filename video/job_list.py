"""Job lists: CSV and JSON-lines files, and folders of videos."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aotlab.media.deep_images import parse_levels
from aotlab.media.matching import IMAGE_SUFFIXES, order_names
from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode, is_folder, read_text, real_path, require_file_name
from aotlab.video.inputs import resolve_mask_value
from aotlab.video.job import MASK_SUFFIXES, Job

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".avi",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".tif",
    ".tiff",
)
"""suffixes of videos in a folder of jobs"""
REQUIRED_FIELDS, OPTIONAL_FIELDS = ("video", "masks"), ("name", "overrides", "levels", "start", "end")
"""columns of a list"""


def read_jobs(path: Path) -> list[Job]:
    """Read the jobs of a list or folder, in order.

    A CSV has a header with ``video`` and ``masks`` (separated by ;), and optionally ``name``, ``overrides`` (separated
    by spaces), ``levels``, ``start`` and ``end``. JSON lines are objects with the same keys and lists as values. Paths
    are relative to the list. In a folder, masks lie beside each video, see `list_video_jobs`.

    Raises:
        InputError: not readable, a missing field, or a duplicate name.
    """
    if is_folder(path):
        videos = order_names(file for file in path.iterdir() if _is_video(file))
        jobs = list_video_jobs([str(video) for video in videos])
    else:
        jobs = [_read_job(row, f"{path}, line {number}", path.parent) for number, row in _read_rows(path)]
    if not jobs:
        raise InputError(f"{path}: holds no videos; give a line for each, or a folder with masks beside them")
    return _require_different_names(jobs, str(path))


def list_video_jobs(videos: Sequence[str]) -> list[Job]:
    """Return a job per video with masks beside it: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks.

    `check_job` refuses the job of a video without masks.

    Raises:
        InputError: a duplicate name.
    """
    jobs = []
    for video in videos:
        path = Path(video) if Path(video).name not in ("", "..") else real_path(Path(video))
        beside = [path.parent / f"{path.stem}{ending}" for ending in MASK_SUFFIXES]
        masks = [str(file) for file in beside if file != path and file_mode(file)]
        jobs.append(Job(require_file_name(path.stem, video), video, tuple(masks)))
    return _require_different_names(jobs, "jobs")


def _is_video(path: Path) -> bool:
    if path.name[0] == "." or path.suffix in MASK_SUFFIXES:
        return False
    if is_folder(path):
        return any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir())
    return path.suffix.lower() in VIDEO_SUFFIXES


def _read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield line numbers and rows, in CSV with masks and overrides as lists."""
    text, number = read_text(path, "give a CSV, JSON lines, or a folder"), 1
    is_json = path.suffix.lower() in (".jsonl", ".ndjson")
    try:
        if is_json:
            for number, line in enumerate(text.split("\n"), start=1):
                if line.strip():
                    yield number, json.loads(line)
            return
        reader = csv.DictReader(io.StringIO(text), restval="", skipinitialspace=True, strict=True)
        columns, fields = reader.fieldnames or [], {*REQUIRED_FIELDS, *OPTIONAL_FIELDS}
        if not {*REQUIRED_FIELDS} <= {*columns} <= fields or len({*columns}) < len(columns):
            raise csv.Error(
                f"a header of {', '.join(columns)}; expected {', '.join(REQUIRED_FIELDS)}, and perhaps "
                f"{', '.join(OPTIONAL_FIELDS)}"
            )
        for row in reader:
            number = reader.line_num
            if None in row:
                raise csv.Error("more values than the header has; use quotes")
            masks = [part.strip() for part in row["masks"].split(";") if part.strip()]
            yield number, {**row, "masks": masks, "overrides": shlex.split(row.get("overrides", ""))}
    except (csv.Error, ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "CSV"
        raise InputError(f"{path}, line {number}: not readable as {kind} ({error})") from error


def _read_job(row: Any, place: str, folder: Path) -> Job:
    fields: dict[str, Any] = row if isinstance(row, dict) else {}
    unknown = fields.keys() - {*REQUIRED_FIELDS, *OPTIONAL_FIELDS}
    if unknown:
        known = ", ".join((*REQUIRED_FIELDS, *OPTIONAL_FIELDS))
        raise InputError(f"{place}: unknown field {min(unknown)!r}; expected {known}")
    video, masks, overrides = fields.get("video", ""), fields.get("masks"), fields.get("overrides") or []
    masks = [masks] if isinstance(masks, str) else masks
    if not (_is_text_list([video]) and masks and _is_text_list(masks) and _is_text_list(overrides)):
        raise InputError(f"{place}: expected a video, its masks, and perhaps overrides as key=value texts")
    levels = fields.get("levels") or None
    if levels is not None:
        levels = ",".join(map(str, levels)) if isinstance(levels, list) else str(levels)
        parse_levels(levels)
    ends: list[int | None] = []
    for key in ("start", "end"):
        text = "" if fields.get(key) is None else str(fields[key])
        if text and not re.fullmatch("[0-9]{1,9}", text):
            raise InputError(f"{place}: {key} {text[:40]}: expected a frame number, for example 100")
        ends.append(int(text) if text else None)
    name = require_file_name(fields.get("name") or Path(video).stem, place)
    video = video if re.match("[a-z]+://", video) else os.path.join(folder, video)
    return Job(
        name,
        video,
        tuple(resolve_mask_value(mask, folder) for mask in masks),
        tuple(overrides),
        levels,
        start=ends[0],
        end=ends[1],
    )


def _is_text_list(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(text, str) and text for text in values)


def _require_different_names(jobs: list[Job], place: str) -> list[Job]:
    """Check that names differ, ignoring case, as some file systems do; return the jobs."""
    for name, count in Counter(job.name.lower() for job in jobs).most_common(1):
        if count > 1:
            raise InputError(f"{place}: {count} jobs are called {name}; use different names")
    return jobs
