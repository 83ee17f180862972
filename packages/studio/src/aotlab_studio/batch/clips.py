"""Clips of a batch: videos of a folder, or results of a list of videos."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import aotlab_video
from aotlab import InputError
from aotlab.media.names import IMAGE_SUFFIXES
from aotlab.utils.run_folder import RECORD
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import (
    PROJECT_SUFFIX,
    digest_output,
    find_project,
    has_project,
    has_results,
    read_results,
    read_source_options,
)
from aotlab_studio.document.gaps import describe_gaps, flag_left_frames
from aotlab_studio.protocol import Clip
from aotlab_studio.review.checks import REVIEW_FILE, VideoReview, list_checks
from aotlab_studio.utils.files import describe_files, read_json
from aotlab_video import SourceOptions

NO_RECORD = "no record of its tracking; track it"


class BatchClip:
    """A clip of a batch. Without ``is_video``, it is a folder of results. Its files are read when needed."""

    def __init__(self, folder: Path, name: str, *, is_video: bool = False) -> None:
        self.name = os.fsencode(name).decode(errors="replace")  # as in addresses
        self.path, self.is_video = folder / name, is_video
        self.project = find_project(self.path)

    @property
    def export_folder(self) -> Path:
        """Folder of the corrected masks; for a video, the one in which ``aotlab track --jobs`` looks for masks."""
        name = self.path.name if self.path.is_dir() else self.path.stem
        return self.path.with_name(f"{name}.masks") if self.is_video else self.path

    @cached_property
    def file_states(self) -> tuple[tuple[int, ...], ...]:
        """State of the clip's files, to notice changes."""
        files = [self.path / RECORD, self.path / REVIEW_FILE, self.project / PROJECT_FILE]
        return describe_files([self.path, *files])

    @cached_property
    def results(self) -> aotlab_video.Results:
        """Results of the clip's tracking; without frames for a video, and for results that are damaged or missing."""
        empty = aotlab_video.Results(folder=self.path, inputs={}, name=self.name, error=NO_RECORD)
        if self.is_video:
            return replace(empty, status="done", error=None, video=str(self.path))
        try:
            return read_results(self.path) or empty
        except InputError as error:
            return replace(empty, error=str(error))

    @property
    def source_options(self) -> SourceOptions:
        """Options of the source: those of the clip's tracking, or of its project."""
        return self.results.source_options if self.results.inputs else read_source_options(self.project)

    @property
    def is_listed(self) -> bool:
        """Whether the list shows the clip: a video, or results that are tracked or edited."""
        return self.results.status != "unfinished" or (self.project / PROJECT_FILE).exists()

    def video_is_in(self, folder: Path) -> bool:
        """Return whether the video of the clip is this folder, or is inside it."""
        video = self.results.video
        return bool(video) and Path(video).resolve().is_relative_to(folder.resolve())

    @cached_property
    def row(self) -> Clip:
        """Row of the clip in the list. Raises `InputError` if its project is damaged."""
        if (document := self.read_document()) is not None:
            return describe_document(self.name, document)
        review = read_json(self.path / REVIEW_FILE, VideoReview)
        return Clip(
            self.name, len(self.results.entries), len(review.objects), digest=digest_output(self.path),
            frames_to_check=len({check.frame for check in review.check}), tracked=bool(self.results.entries),
        )  # fmt: skip

    def read_document(self) -> Document | None:
        """Read the project of the clip; None without one. Raises `InputError` if it is damaged."""
        if not has_project(self.project):
            return None
        return Document.read(self.project)


def describe_document(name: str, document: Document) -> Clip:
    """Return the row of a document in the list."""
    snapshot = document.snapshot
    first, last = snapshot.editable_range
    return Clip(
        name, last + 1 - first, len(snapshot.objects), document.status,
        frames_to_check=len({check.frame for check in list_checks(snapshot)}),
        messages=[*filter(None, [document.tracked_again_warning, describe_gaps(snapshot)])],
        trackable=(is_trackable := find_track_range(document) is not None),
        tracked=not (left := flag_left_frames(snapshot)).any() and bool(snapshot.flag_tracked().any()),
        frames_left=int(left.sum()) if is_trackable else 0,
        digest=snapshot.content_digest,
    )  # fmt: skip


def find_track_range(document: Document) -> tuple[int, int, int] | None:
    """Return the frames to track of a clip that is not done: start, first and last frame.

    Returns None if no frame in the range has drawn masks, or none is left to track.
    """
    snapshot = document.snapshot
    first, last = snapshot.editable_range
    drawn = [index for index in snapshot.drawn_frames if first <= index <= last]
    if not drawn or not flag_left_frames(snapshot).any() or document.status == "done":
        return None
    return drawn[0], first, last


def list_clips(path: Path) -> list[BatchClip]:
    """Return the clips of a batch, or the only one of the results of a single video."""
    whole = path.absolute()
    return [BatchClip(whole.parent, whole.name)] if has_results(path) else find_clips(path)


def find_clips(folder: Path, *, prefer_results: bool = False) -> list[BatchClip]:
    """Return the clips of a batch in natural order, tracked or not; empty if the path is no batch.

    In a folder that holds videos and their results, the videos are the clips, or with ``prefer_results`` the results.
    """
    if not folder.is_dir() or (folder / PROJECT_FILE).exists() or has_results(folder):
        return []
    results = [BatchClip(folder, path.name) for path in aotlab_video.list_job_folders(folder)]
    videos = [path for path in aotlab_video.list_videos(folder) if path.suffix != PROJECT_SUFFIX]
    images = {path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    if not (videos or images):
        return results
    if results and (prefer_results or not any(clip.video_is_in(folder) for clip in results)):
        return results
    frames = images.difference(f"{path.stem}.png" for path in videos)  # without masks beside videos
    if len(frames) > len({path.name for path in videos} - images):  # one video
        return []
    return [BatchClip(folder, path.name, is_video=True) for path in videos]
