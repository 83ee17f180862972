"""Readers of MOSE, first and second version. Layouts as distributed (henghuiding.github.io/MOSE, mose.video)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.metadata import read_metadata, split_folder, video_names
from aotlab.dataloaders.benchmarks.sequences import Video, read_each, read_video, require_whole
from aotlab.masks.object_masks import ListedObject
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file

log = logging.getLogger(__name__)


def mose(root: Path, split: str = "val") -> list[Video]:
    """Read the videos of a split (train, val or valid), sorted by name.

    Videos with one frame, which occur in the first archive of train, are skipped.
    """
    folder = split_folder(root, split)
    names = video_names(folder)
    videos = read_each(
        names, lambda name: read_video(name, folder / "JPEGImages" / name, folder / "Annotations" / name)
    )
    short = [video.name for video in videos if len(video.frames) == 1]
    if short:
        log.warning("%s: skipped, as they have one frame: %s", folder, ", ".join(short))
    return [video for video in videos if len(video.frames) != 1]


def mosev2(root: Path, split: str = "val") -> list[Video]:
    """Read the videos of a split of the second version, with the objects listed in meta.json, if it exists."""
    videos = [video if video.problem else replace(video, rules="mosev2") for video in mose(root, split)]
    path = split_folder(root, split) / "meta.json"
    if not is_file(path):
        return videos
    listed = read_metadata(path)
    found = {video.name: video for video in videos}

    def read(name: str) -> Video:
        require_whole([found[name]])
        return _with_objects(found[name], listed.get(name, {}), path)

    return read_each(found, read)


def _with_objects(video: Video, listed: Mapping[Any, Any], path: Path) -> Video:
    """Add the listed objects, all of which have a mask on the first frame."""
    from aotlab.masks.id_maps import VOID

    stems = tuple(frame.stem for frame in video.frames)
    try:
        ids = sorted(map(int, listed))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: objects of {video.name} are not readable ({error}); expected ids"
        ) from error
    if not ids or ids[0] < 1 or ids[-1] >= VOID:
        raise InputError(f"{path}: does not list the video {video.name} with objects 1 to 254; complete it")
    return replace(video, objects=tuple(ListedObject(object_id, stems, len(stems)) for object_id in ids))
