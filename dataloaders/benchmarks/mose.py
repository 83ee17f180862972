"""Readers of MOSE, first and second version. Layouts as distributed (henghuiding.github.io/MOSE, mose.video)."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import (
    find_split_folder,
    list_video_names,
    read_metadata,
    read_objects,
    read_video,
    read_videos,
    require_readable,
)
from aotlab.media.labeled_video import ObjectInfo, Video

log = logging.getLogger(__name__)


def read_mose(root: Path, split: str = "val") -> list[Video]:
    """Read the videos of a split (train, val or valid), sorted by name.

    Videos with one frame, which occur in the first archive of train, are skipped.
    """
    folder = find_split_folder(root, split)
    names = list_video_names(folder)
    videos = read_videos(
        folder,
        names,
        lambda name: read_video(name, folder / "JPEGImages" / name, folder / "Annotations" / name),
    )
    short = [video.name for video in videos if len(video.frames) == 1]
    if short:
        log.warning("%s: skipped, as they have one frame: %s", folder, ", ".join(short))
    return [video for video in videos if len(video.frames) != 1]


def read_mosev2(root: Path, split: str = "val") -> list[Video]:
    """Read the videos of a split of the second version, with the objects listed in meta.json, if it exists."""
    videos = {video.name: replace(video, rules="mosev2") for video in read_mose(root, split)}
    path = find_split_folder(root, split) / "meta.json"
    if not path.is_file():
        return [*videos.values()]
    listed = read_metadata(path)

    def read(name: str) -> Video:
        """Add the objects of the metadata."""
        require_readable([videos[name]])
        video = videos[name]
        stems = tuple(frame.stem for frame in video.frames)

        def read_object(object_id: int, _: object) -> ObjectInfo:
            return ObjectInfo(object_id, stems, len(stems))  # all have a mask on the first frame

        return replace(video, objects=read_objects(path, name, listed.get(name, {}), read_object))

    return read_videos(path, videos, read)
