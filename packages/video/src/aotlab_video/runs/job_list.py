"""Job lists: CSV and JSON-lines files, and folders of videos."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from aotlab.media.names import VIDEO_SUFFIXES, list_frame_files, natural_sort
from aotlab.sdk import build
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.files import prefix_errors, read_text, reading, require_file_name, sibling_path
from aotlab.utils.run_folder import RECORD
from aotlab.utils.text import format_count, join_truncated, strip_credentials
from aotlab_video.masks.value_syntax import PromptArgument
from aotlab_video.runs.job import COLUMNS, LIST_COLUMNS, MASK_ENDINGS, Job
from aotlab_video.sources.location import locate_video

FOLDER_SUFFIXES = (*VIDEO_SUFFIXES, ".tif", ".tiff")
"""Suffixes of videos and TIFF stacks in a folder of videos."""
INVALID_PATH = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
"""Characters that no path has: NUL, and surrogates that do not stand for an undecodable byte."""


def read_jobs(path: Path) -> list[Job]:
    """Read the jobs of a CSV, of JSON lines, or of a folder of videos, in order; `COLUMNS` are the columns or keys.

    Raises:
        InputError: the list is not readable, two jobs have one name, or a value is missing, unknown or invalid.
    """
    jobs, errors = list[Job](), dict[int, InputError]()
    if path.is_dir():
        jobs = [_make_job(str(video)) for video in list_videos(path)]
    else:
        for number, row in _read_rows(path):
            try:
                with prefix_errors(line := f"{path}, line {number}"):
                    jobs.append(_read_job(row, line, path.parent))
            except InputError as error:
                errors[number] = error
    _require_different_names(jobs, f"{path}: ", "set the column name of a list")
    if errors:
        first, *others = errors
        listed = f"; also invalid: line {join_truncated(others)}" if others else ""
        raise InputError(f"{errors[first]}{listed}")
    if variants := find_class_variants({job.name: job.classes.values() for job in jobs}):
        raise InputError(variants[0], subject=path)
    if not jobs:
        raise InputError(
            "contains no videos",
            subject=path,
            remedy=("give a header such as video,masks and a line per video, or a folder with masks next to them"),
        )
    return jobs


def list_videos(folder: Path) -> list[Path]:
    """Return the video files, TIFF stacks and folders of images in a folder, in natural order, without masks."""
    return natural_sort(path for path in folder.iterdir() if _is_video(path))


def list_video_jobs(videos: Sequence[str]) -> list[Job]:
    """Return a job per video with the masks beside it; raise `InputError` for a duplicate name."""
    jobs = [*map(_make_job, videos)]
    _require_different_names(jobs, "", "use a list with a column name")
    return jobs


def _make_job(video: str) -> Job:
    name = require_file_name(locate_video(video).name, strip_credentials(video))
    return add_masks_beside(Job(name, video))


def add_masks_beside(job: Job) -> Job:
    """Give a job that has no masks, boxes or points the masks beside its video; return other jobs unchanged."""
    return job if job.has_objects else job.replace(masks=find_masks_beside(job.video))


def find_masks_beside(video: str) -> tuple[PromptArgument, ...]:
    """Return the masks beside a video, which have its name and one of `MASK_ENDINGS`; empty for a stream."""
    location = locate_video(video)
    if location.kind != "stored":
        return ()
    path, masks = Path(location.text), list[Path]()
    for suffix in MASK_ENDINGS:
        files = [sibling_path(path, ending) for ending in (suffix, suffix.upper())]
        masks += [file for file in files if file != path and os.path.exists(file)][:1]
    return tuple(PromptArgument(None, None, str(file)) for file in masks)


def _is_video(path: Path) -> bool:
    if path.name[0] == "." or path.suffix.lower() in MASK_ENDINGS:
        return False
    if path.is_dir():
        return not (path / RECORD).is_file() and bool(list_frame_files(path))  # also without damaged results
    return path.suffix.lower() in FOLDER_SUFFIXES


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and rows; cells of `LIST_COLUMNS` in a CSV become lists."""
    text = read_text(path, "give a CSV, JSON lines, or a folder")
    if text.lstrip().startswith(("{", "[")) or path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                with reading(f"{path}, line {number}", "give a JSON object per line", RecursionError):
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError("expected an object")
                yield number, row
        return
    reader: Any = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
    remedy = 'separate columns by commas, and put a value that has a comma in quotes, such as "10,20,200,100"'
    with reading(path, remedy, csv.Error):
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
    _require_columns(reader.fieldnames, f"{path}, line {reader.line_num}")
    with reading(path, remedy):
        for row in _name_lines(reader):
            values = chain.from_iterable(value if isinstance(value, list) else [value or ""] for value in row.values())
            line = reader.line_num - sum(value.count("\n") for value in values)
            if None in row or None in row.values():
                expected = format_count(len(reader.fieldnames), "value")
                raise ValueError(f"line {line}: expected {expected}, as in the header")
            cells = {column: text.strip() for column, text in row.items()}
            for column in cells.keys() & {*LIST_COLUMNS}:
                cells[column] = [part.strip() for part in cells[column].split(";") if part.strip()]
            yield line, cells


def _name_lines(reader: Any) -> Iterator[dict[Any, Any]]:
    """Yield the rows of a `csv.DictReader`; raise `ValueError` with the line at which an unreadable row begins."""
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"line {line}: {error}") from error
        if row is None:
            return
        yield row


def _require_columns(columns: Sequence[str], subject: str) -> None:
    """Raise `InputError` about the header of a CSV unless its columns are known, different and separated by commas."""
    for separator, name in {";": "semicolons", "\t": "tabs", "|": "|"}.items():
        if len(columns) == 1 and separator in columns[0]:
            raise InputError(f"columns are separated by {name}", subject=subject, remedy="separate them by commas")
    if len({*columns}) < len(columns):
        raise InputError(f"a header of {', '.join(columns)}", subject=subject, remedy="expected each column once")
    with prefix_errors(subject):
        for column in columns:
            require_choice(column, COLUMNS, "column")


def _read_job(row: Mapping[str, Any], source_line: str, folder: Path) -> Job:
    """Return the job of a row, with paths relative to the list's folder."""
    for column in row:
        require_choice(column, COLUMNS, "column")
    values = {column: value for column, value in row.items() if value not in ("", None)}
    require("video" in values, "expected a video")
    location = locate_video(values.pop("video"), folder)
    job = build(Job, {"name": location.name, **values, "video": location.text, "source_line": source_line})
    for path in (location.text, *(mask.value for mask in job.masks)):
        require(
            not INVALID_PATH.search(path),
            "has characters that no path has",
            subject=ascii(path)[:80],
            remedy="remove them",
        )
    masks = tuple(mask._replace(value=str(folder / mask.value)) for mask in job.masks)
    return add_masks_beside(job.replace(masks=masks))


def _require_different_names(jobs: Sequence[Job], prefix: str, remedy: str) -> None:
    """Check that names differ, ignoring case and the form of accents, as some file systems do."""
    counts = Counter(unicodedata.normalize("NFC", job.name).lower() for job in jobs)
    for name, count in counts.most_common(1):
        require(count == 1, f"{prefix}{count} videos are named {name} (case is ignored)", remedy=remedy)


def find_class_variants(classes: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a message for each pair of class names that differ only in letter case; ``classes``: names by video."""
    messages, spellings = dict[str, str](), dict[str, tuple[str, str]]()
    for video, names in classes.items():
        for name in names:
            first, owner = spellings.setdefault(name.casefold(), (name, video))
            if first != name:
                messages.setdefault(
                    name,
                    f"classes {first!r} (of {owner}) and {name!r} (of {video}) differ only in letter case; give both "
                    "the same name",
                )
    return [*messages.values()]
