"""Clips of a batch: the results of a list of videos, or the videos in a folder; the review of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from aotlab.sdk import IMAGE_SUFFIXES, JOB_RECORD, RUN_FILE, UNFINISHED, list_job_folders, list_videos
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import PROJECT_SUFFIX, read_job
from aotlab_studio.files import read_json, write_json
from aotlab_studio.review.checks import Check

REVIEW_FILE = "review.json"
STATUSES = ("failed", "check", "done", "waiting")
"""statuses of tracking, most urgent first"""


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


class BatchClip:
    """A clip in the folder of a batch.

    Args:
        name: name of its folder of results, or of the video.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.path = name, folder / name
        self.project = folder / f"{name}{PROJECT_SUFFIX}"
        self.job = read_job(self.path)
        """record of its tracking by a list; None: there are no results"""
        self.video = self.path if self.job is None else Path(self.job.video)
        self.error = (self.job and self.job.error) or ""
        """error message if it could not be tracked"""
        self.review = read_json(self.path / REVIEW_FILE, VideoReview)

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        if self.job is None or self.error == UNFINISHED:
            return "waiting"
        return "failed" if self.error else "check" if self.review.check else "done"

    @property
    def lost(self) -> float:
        """Largest share of frames on which one of its objects is lost."""
        lost = [sum(end - start + 1 for start, end in item.lost_on) for item in self.review.objects]
        return max(lost, default=0) / max(1, self.job.frames if self.job else 0)

    def list_sentences(self) -> list[str]:
        """Return what to check in its results, worst first."""
        labels = {item.id: f" ({item.class_name})" for item in self.review.objects if item.class_name}
        return [
            check.describe(f"object {check.object_id}{labels.get(check.object_id, '')}")
            for check in self.review.check
        ]

    def read_document(self) -> Document | None:
        """Read its project; None without one. Raises `InputError` if it is damaged."""
        return Document.read(self.project) if (self.project / PROJECT_FILE).is_file() else None


def find_clips(folder: Path) -> list[BatchClip]:
    """Return the clips of a batch: results, the most urgent first, or videos; empty for any other path."""
    if not folder.is_dir() or any((folder / name).exists() for name in (PROJECT_FILE, JOB_RECORD)):
        return []
    if not (folder / RUN_FILE).is_file():
        videos = [path for path in list_videos(folder) if path.suffix != PROJECT_SUFFIX]
        images = {path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
        if not images <= {f"{path.stem}.png" for path in videos}:  # frames of one video, not masks
            return []
        if videos:
            return [BatchClip(folder, path.name) for path in videos]
    clips = [clip for clip in list_results(folder) if clip.status != "waiting"]
    return sorted(clips, key=lambda clip: (STATUSES.index(clip.status), -clip.lost))


def write_batch_review(folder: Path) -> None:
    """Write ``review.json`` of the results of a list of videos."""
    reviews: list[dict[str, Any]] = [
        {
            "name": clip.name, "status": clip.status, "video": clip.job and clip.job.video,
            "frames": clip.job and clip.job.frames, "objects": len(clip.review.objects), "error": clip.error,
            "notes": clip.review,
        }
        for clip in list_results(folder)
    ]  # fmt: skip
    write_json(folder / REVIEW_FILE, reviews, indent=1)


def list_results(folder: Path) -> list[BatchClip]:
    """Return the clips of a list of videos in natural order, tracked or not."""
    return [BatchClip(folder, path.name) for path in list_job_folders(folder)]
