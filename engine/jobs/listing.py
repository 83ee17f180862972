"""Job lists: CSV and JSON-lines files, and folders of videos."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotlab.media.images import IMAGE_SUFFIXES, parse_levels
from aotlab.utils.errors import InputError
from aotlab.utils.files import file_mode, is_folder, plain_name, read_text, real_path

MASKS = (".png", ".xml", ".json", ".masks")
"""suffixes of mask files beside a video: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks"""
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".tif", ".tiff")
"""suffixes of videos in a folder of jobs"""
COLUMNS = ("name", "video", "masks", "overrides", "levels", "start", "end")


@dataclass(frozen=True)
class Job:
    """One video to track."""

    name: str
    """name of its result folder"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[str, ...]
    """masks, ``[FRAME:]FILE`` each"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of this job only"""
    levels: str | None = None
    """levels, as in `open_frames`"""
    start: int | None = None
    """number of the first frame to track; None: the first of the video"""
    end: int | None = None
    """number of the last frame to track; None: the last of the video"""

    def cost(self) -> int:
        """Return the bytes of the video, for even distribution; 0 if unknown."""
        path = Path(self.video)
        try:
            if path.is_dir():
                return sum(one.stat().st_size for one in path.iterdir())
            return path.stat().st_size
        except OSError:
            return 0


def read_jobs(path: Path) -> list[Job]:
    """Read the jobs of a list or folder, in order.

    A CSV has a header with ``video`` and ``masks`` (separated by ;), and optionally ``name``, ``overrides`` (separated
    by spaces), ``levels``, ``start`` and ``end``. JSON lines are objects with the same keys and lists as values. Paths
    are relative to the list. In a folder, masks lie beside each video, see `jobs_of_videos`.

    Raises:
        InputError: not readable, a missing field, or a duplicate name.
    """
    if is_folder(path):
        videos = sorted(one for one in path.iterdir() if _is_video(one))
        if not videos:
            raise InputError(f"{path}: holds no videos; give a folder of videos with their masks beside them")
        return jobs_of_videos([str(video) for video in videos])
    text = read_text(path, "give a CSV, JSON lines, or a folder")
    rows = _json_rows(text, path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(text, path)
    jobs = [_job(row, number, path) for number, row in rows]
    if not jobs:
        raise InputError(f"{path}: holds no jobs; give a line for every video")
    return _named_once(jobs, str(path))


def jobs_of_videos(videos: Sequence[str]) -> list[Job]:
    """Return a job per video with masks beside it: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks.

    Raises:
        InputError: a video has no masks, or a duplicate name.
    """
    jobs = []
    for video in videos:
        path = Path(video) if Path(video).name not in ("", "..") else real_path(Path(video))
        beside = [path.parent / f"{path.stem}{ending}" for ending in MASKS]
        masks = [str(one) for one in beside if one != path and file_mode(one)]
        if not masks:
            raise InputError(f"{video}: no masks beside it; expected {', '.join(one.name for one in beside)}")
        jobs.append(Job(plain_name(path.stem, video), video, tuple(masks)))
    return _named_once(jobs, "jobs")


def _is_video(path: Path) -> bool:
    if path.name[0] == "." or path.suffix in MASKS:
        return False
    if is_folder(path):
        return any(one.suffix.lower() in IMAGE_SUFFIXES for one in path.iterdir())
    return path.suffix.lower() in VIDEOS


def _csv_rows(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), restval="", skipinitialspace=True, strict=True)
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        fields = reader.fieldnames or []
        if not {"video", "masks"} <= set(fields) <= set(COLUMNS) or len(set(fields)) < len(fields):
            raise InputError(
                f"{path}: a header of {', '.join(fields)}; expected video, masks, and perhaps "
                f"{', '.join(one for one in COLUMNS if one not in ('video', 'masks'))}"
            )
        for row in reader:
            if None in row:
                raise InputError(
                    f"{path}, line {reader.line_num}: more values than the header has; use quotes"
                )
            masks = [part.strip() for part in row["masks"].split(";") if part.strip()]
            overrides = shlex.split(row.get("overrides", ""))
            rows.append((reader.line_num, row | {"masks": masks, "overrides": overrides}))
    except (csv.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}, line {reader.line_num}: not readable as CSV ({error})") from error
    return rows


def _json_rows(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: not readable as JSON ({error})") from error
            rows.append((number, row))
    return rows


def _job(row: Any, number: int, path: Path) -> Job:
    where = f"{path}, line {number}"
    if not isinstance(row, dict) or not isinstance(row.get("video"), str) or not row["video"]:
        raise InputError(f"{where}: missing field 'video'")
    masks, overrides = row.get("masks"), row.get("overrides") or []
    masks = [masks] if isinstance(masks, str) else masks
    if not masks or not _are_texts(masks) or not _are_texts(overrides):
        raise InputError(f"{where}: expected masks, and overrides as key=value texts")
    levels = row.get("levels") or None
    if levels is not None:
        levels = ",".join(map(str, levels)) if isinstance(levels, list) else str(levels)
        parse_levels(levels)
    start, end = (_frame(row.get(key), f"{where}: {key}") for key in ("start", "end"))
    name = plain_name(row.get("name") or Path(row["video"]).stem, where)
    folder = str(path.parent)
    video = row["video"] if re.match(r"[a-z]+://", row["video"]) else os.path.join(folder, row["video"])
    files = tuple(_relative(mask, folder) for mask in masks)
    return Job(name, video, files, tuple(overrides), levels, start, end)


def _frame(value: Any, where: str) -> int | None:
    """Return a frame number; None for an empty field."""
    if value is None or value == "":
        return None
    if not re.fullmatch("[0-9]{1,9}", str(value), re.ASCII):
        raise InputError(f"{where} {str(value)[:40]}: expected a frame number, for example 100")
    return int(value)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(text, str) and text for text in values)


def _relative(mask: str, folder: str) -> str:
    """Resolve the file of ``[FRAME:]FILE`` relative to the list."""
    match = re.fullmatch(r"([0-9]{1,9}:)?(.+)", mask, re.DOTALL)
    assert match is not None
    return f"{match[1] or ''}{os.path.join(folder, match[2])}"


def _named_once(jobs: list[Job], where: str) -> list[Job]:
    """Check that names differ, ignoring case, as some file systems do; return the jobs."""
    name, count = Counter(job.name.lower() for job in jobs).most_common(1)[0]
    if count > 1:
        raise InputError(f"{where}: {count} jobs are called {name}; use different names")
    return jobs
