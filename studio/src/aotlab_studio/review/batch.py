"""Entries of a list of clips: the reviews of a tracked batch, or the videos in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from aotlab.sdk import IMAGE_SUFFIXES, JOB_RECORD, list_videos, reading
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.folder import PROJECT_SUFFIX, read_job
from aotlab_studio.files import read_json, write_json
from aotlab_studio.review.checks import Check

REVIEW_FILE = "review.json"
EntryStatus = Literal["failed", "check", "done", "waiting"]
STATUSES = get_args(EntryStatus)
"""order of statuses in the list, most urgent first"""


class ReviewedObject(Struct):
    """An object in the review of a video."""

    id: int
    lost_on: list[tuple[int, int]] = []
    """first and last frame of each range on which it is lost; a range starts at the first frame without the object"""
    class_name: str | None = None
    visible: int = 0
    """frames with pixels of it; ``absent``: without; ``lost``: on which it is lost"""
    absent: int = 0
    lost: int = 0
    confidence: float = 0.0
    """mean of the frames on which it is visible"""
    disagreement: float | None = None
    """mean of the two directions; None if only one was tracked"""


class VideoReview(Struct, frozen=True):
    """Review of a video: its objects, frames to check, and cuts."""

    objects: list[ReviewedObject] = []
    check: list[Check] = []
    """frames to check, worst first"""
    cuts: list[int] = []
    """first frame after each cut"""
    levels: dict[str, Any] | None = None
    """levels of the images, as in `open_frames`; None for a video file"""


class ClipEntry(Struct):
    """A video in a list: an entry of the review of a batch, or a video in a folder."""

    name: str
    status: EntryStatus
    video: str | None = None
    frames: int | None = None
    """None: unknown"""
    objects: int = 0
    """number of objects"""
    error: str = ""
    """error message if it could not be tracked"""
    notes: VideoReview = VideoReview()


def write_batch_review(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write ``review.json``; arguments as in `Output.finish_batch`."""
    write_json(folder / REVIEW_FILE, [_make_entry(folder, record) for record in records], indent=1)


def update_review(folder: Path) -> None:
    """Write the review of a batch again from its videos' reviews; do nothing without a review."""
    if (entries := _read_review(folder)) is not None:
        write_batch_review(folder, [msgspec.structs.asdict(entry) for entry in entries])


def _make_entry(folder: Path, record: Mapping[str, Any]) -> ClipEntry:
    """Return the entry of a clip, without the fields that are unset in its record, and with its present review."""
    entry = msgspec.convert({key: value for key, value in record.items() if value is not None}, ClipEntry)
    entry.notes = read_json(folder / entry.name / REVIEW_FILE, VideoReview, VideoReview())
    entry.objects = len(entry.notes.objects)
    if entry.status in ("done", "check"):
        entry.status = "check" if entry.notes.check else "done"
    return entry


def read_entries(folder: Path) -> list[ClipEntry] | None:
    """Return the reviews of a batch, the most urgent first, or the videos of a folder; None for any other path."""
    if (entries := _read_review(folder)) is not None:
        return rank_entries([entry for entry in entries if entry.status != "waiting"])
    return [ClipEntry(path.name, "done", str(path)) for path in _list_videos(folder)] or None


def _read_review(folder: Path) -> list[ClipEntry] | None:
    path = folder / REVIEW_FILE
    if not path.exists():
        return None
    with reading(path, "write it again with aotlab track --summarize", kind="the reviews of a list"):
        reviews = json.loads(path.read_bytes())
        # the review of a single video is an object
        return msgspec.convert(reviews, list[ClipEntry]) if isinstance(reviews, list) else None


def rank_entries(entries: Sequence[ClipEntry]) -> list[ClipEntry]:
    """Return entries by status, then by the share of frames on which an object is lost, the most urgent first."""

    def measure_loss(entry: ClipEntry) -> float:
        lost = [sum(end - start + 1 for start, end in item.lost_on) for item in entry.notes.objects]
        return max(lost, default=0) / max(1, entry.frames or 0)

    return sorted(entries, key=lambda entry: (STATUSES.index(entry.status), -measure_loss(entry)))


def locate_video(folder: Path, entry: ClipEntry) -> Path:
    """Return the video of an entry, also after the results in the folder were moved together with it, or beside it."""
    job = read_job(folder / entry.name)
    return Path((job.video if job is not None else entry.video) or "")


def list_sentences(entry: ClipEntry) -> list[str]:
    """Return what to check in a video, worst first."""
    review = entry.notes
    labels = {item.id: f" ({item.class_name})" for item in review.objects if item.class_name}
    return [
        check.describe(f"object {check.object_id}{labels.get(check.object_id, '')}") for check in review.check
    ]


def _list_videos(folder: Path) -> list[Path]:
    """Return the videos of a folder; empty for a project, results, or a folder with images that are not their masks."""
    if not folder.is_dir() or any((folder / name).exists() for name in (PROJECT_FILE, JOB_RECORD)):
        return []
    videos = [path for path in list_videos(folder) if path.suffix != PROJECT_SUFFIX]
    images = {path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    return videos if images <= {f"{path.stem}.png" for path in videos} else []
