"""Clips of a batch: the results of a list of videos, or the videos in a folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from aotlab import sdk
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import PROJECT_SUFFIX, digest_results, find_project, has_project, read_job
from aotlab_studio.document.log import digest_values
from aotlab_studio.files import read_json, read_stamp
from aotlab_studio.review.checks import REVIEW_FILE, VideoReview

NO_RECORD = "no record of its tracking; track it"
"""error of results without a record"""


class BatchClip:
    """A clip of a batch: a folder of results, or with ``is_video`` a video without; its files are read when needed."""

    def __init__(self, folder: Path, name: str, *, is_video: bool = False) -> None:
        self.name, self.path, self.is_video = name, folder / name, is_video
        self.project = find_project(self.path)

    @property
    def results(self) -> Path:
        """Folder of its corrected masks; of a video, where ``aotlab track --jobs`` looks for its masks."""
        name = self.name if self.path.is_dir() else self.path.stem
        return self.path.with_name(f"{name}.masks") if self.is_video else self.path

    @cached_property
    def stamp(self) -> list[tuple[int, int]]:
        """Times and sizes of the files that its properties are read from."""
        return [read_stamp(self.path / name) for name in (sdk.JOB_RECORD, REVIEW_FILE)]

    @cached_property
    def job(self) -> sdk.JobRecord:
        """Record of its tracking, with its video."""
        if self.is_video:
            return sdk.JobRecord(self.name, str(self.path))
        return read_job(self.path) or sdk.JobRecord(self.name, error=NO_RECORD)

    @cached_property
    def review(self) -> VideoReview:
        """Review of its results."""
        return read_json(self.path / REVIEW_FILE, VideoReview)

    @property
    def is_untouched(self) -> bool:
        """Whether the run of the list has not reached it, and nobody has edited it."""
        return self.job.error in (sdk.UNFINISHED, NO_RECORD) and not (self.project / PROJECT_FILE).exists()

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Place in a list: not tracked, then with frames to check, then by the share of frames with a lost object."""
        lost = [sum(end - start + 1 for start, end in item.lost_on) for item in self.review.objects]
        share = max(lost, default=0) / max(1, self.job.frames)
        return not self.job.error, not self.review.check, -share

    def video_is_in(self, folder: Path) -> bool:
        """Return whether its video is a folder, or in it."""
        return bool(self.job.video) and Path(self.job.video).resolve().is_relative_to(folder.resolve())

    @cached_property
    def digest(self) -> str:
        """`Document.digest` of its results without a project."""
        return digest_values(digest_results(self.path))

    @cached_property
    def sentences(self) -> list[str]:
        """Frames to check in its results, worst first."""
        labels = {item.id: f" ({item.class_name})" for item in self.review.objects if item.class_name}
        return [
            check.describe(f"object {check.object_id}{labels.get(check.object_id, '')}")
            for check in self.review.check
        ]

    def read_document(self) -> Document | None:
        """Read its project; None without one. Raises `InputError` if it is damaged."""
        return Document.read(self.project) if has_project(self.project) else None


def find_clips(folder: Path) -> list[BatchClip]:
    """Return the clips of a batch in natural order, tracked or not; empty for any other path."""
    if not folder.is_dir() or any((folder / name).exists() for name in (PROJECT_FILE, sdk.JOB_RECORD)):
        return []
    results = list_results(folder)
    videos = [path for path in sdk.list_videos(folder) if path.suffix != PROJECT_SUFFIX]
    images = {path.name for path in folder.iterdir() if path.suffix.lower() in sdk.IMAGE_SUFFIXES}
    if not (videos or images) or (results and not any(clip.video_is_in(folder) for clip in results)):
        return results
    files = {path.name for path in videos if path.is_file()} - images
    frames = images.difference(f"{path.stem}.png" for path in videos)  # without masks beside videos
    if len(frames) > len(files):  # one video, as for `open_frames`
        return []
    return [BatchClip(folder, path.name, is_video=True) for path in videos]


def list_results(folder: Path) -> list[BatchClip]:
    """Return the clips with results in a folder in natural order, whatever lies beside them."""
    return [BatchClip(folder, path.name) for path in sdk.list_job_folders(folder)]
