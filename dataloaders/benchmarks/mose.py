"""Readers of MOSE, first and second version. Layouts as distributed (henghuiding.github.io/MOSE, mose.video)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aotlab.dataloaders.benchmarks.metadata import split_folder, video_names
from aotlab.dataloaders.benchmarks.sequences import ListedObject, Video, read_each, read_video, require_whole
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, read_text
from aotlab.utils.ids import VOID

log = logging.getLogger(__name__)


def mose(root: Path, split: str = "val") -> list[Video]:
    """The videos of a split, in the order of their names.

    Videos of one frame, which the first archive of train had, are passed over.

    Args:
        root: the folder with train and valid.
        split: train, val (or valid).

    Raises:
        InputError: a folder is missing or empty, or every video's first mask is.
    """
    folder = split_folder(root, split)
    names = video_names(folder)
    videos = read_each(
        names, lambda name: read_video(name, folder / "JPEGImages" / name, folder / "Annotations" / name)
    )
    short = [video.name for video in videos if len(video.frames) == 1]
    if short:
        log.warning("%s: passed over, as they have one frame: %s", folder, ", ".join(short))
    return [video for video in videos if len(video.frames) != 1]


def mosev2(root: Path, split: str = "val") -> list[Video]:
    """The videos of a split of the second version; where there is a meta.json, the objects are those it lists.

    Args:
        root: the folder with train and valid, each with its meta.json if it has one.
        split: train, val (or valid).

    Raises:
        InputError: as `mose`, or the metadata is not readable or lists other frames than there are.
    """
    videos = [video if video.problem else replace(video, rules="mosev2") for video in mose(root, split)]
    path = split_folder(root, split) / "meta.json"
    if not is_file(path):
        return videos
    listed = _read_metadata(path)
    found = {video.name: video for video in videos}

    def read(name: str) -> Video:
        require_whole([found[name]])
        return _with_objects(found[name], listed.get(name), path)

    return read_each(found, read)


def _with_objects(video: Video, ids: Sequence[int] | None, path: Path) -> Video:
    """The video with its listed objects; all have their mask on the first frame."""
    if ids is None:
        raise InputError(f"{path}: does not list the video {video.name}; complete it")
    stems = tuple(frame.stem for frame in video.frames)
    return replace(video, objects=tuple(ListedObject(identity, stems, len(stems)) for identity in ids))


def _read_metadata(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Ids of each video's objects; a list of them, or a mapping with them for keys."""
    text = read_text(path, "it comes with the data set and lists its videos and objects")
    try:
        videos = dict(json.loads(text)["videos"])
        listed = {
            name: tuple(sorted(int(identity) for identity in entry["objects"]))
            for name, entry in videos.items()
        }
        if not all(ids and ids[0] > 0 and ids[-1] < VOID for ids in listed.values()):
            raise ValueError("ids of 1 to 254 are expected")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f'{path}: not readable ({error!r}); expected {{"videos": {{NAME: {{"objects": [ID, ...]}}}}}}'
        ) from error
    return listed
