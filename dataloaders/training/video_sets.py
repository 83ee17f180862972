"""Video sets with masks, in their distributed layouts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.benchmarks.davis import read_list
from aotlab.dataloaders.benchmarks.metadata import read_metadata
from aotlab.dataloaders.benchmarks.sequences import list_file
from aotlab.dataloaders.training.clips import VideoSet
from aotlab.dataloaders.training.labelled import (
    LabelledVideo,
    MaskReader,
    read_ids,
    read_one_object,
)
from aotlab.dataloaders.training.set_files import (
    find_paths,
    pair_files,
    read_split,
    require_known,
    subfolders,
)
from aotlab.utils.errors import InputError

log = logging.getLogger(__name__)

LEAST_FRAMES = 2
"""minimum number of labelled frames of a video, and in YouTube-VOS of an object"""
VIDEO_FORMS = (("JPEGImages/480p", "Annotations/480p"), ("JPEGImages", "Annotations"))
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")


def video(folder: Path, source: SourceConfig) -> VideoSet:
    """Find folders of frames: all, or those of a list in ImageSets/."""
    images, masks = find_paths(folder, VIDEO_FORMS, "JPEGImages/<video>/*.jpg and Annotations/<video>/*.png")
    names = subfolders(images)
    if source.split is not None:
        names = read_split(folder / "ImageSets" / f"{source.split}.txt")
    return _listed(source, images, masks, names)


def davis(folder: Path, source: SourceConfig) -> VideoSet:
    """Find DAVIS 2017 (default split: train); with a split 2016/... all ids of a video are one object."""
    layout = (
        "JPEGImages/480p/<sequence>/00000.jpg, Annotations/480p/<sequence>/00000.png and "
        "ImageSets/2017/train.txt"
    )
    inner = [f"{prefix}{{}}/{size}" for prefix in ("", "DAVIS/") for size in RESOLUTIONS]
    forms = [(form.format("JPEGImages"), form.format("Annotations")) for form in inner]
    images, masks = find_paths(folder, forms, layout)
    base = images.parents[1]
    year, _, split = (source.split or "train").rpartition("/")
    lists = [base / "ImageSets" / (year or "2017")]
    if year == "2016":  # the first release stores its lists below the resolution's name
        lists.append(base / "ImageSets" / "480p")
    names = read_list(list_file(split, *lists))
    return _listed(source, images, masks, names, read_one_object if year == "2016" else read_ids)


def vost(folder: Path, source: SourceConfig) -> VideoSet:
    """Find the labelled frames of VOST at 5 frames per second (default split: train)."""
    layout = "JPEGImages/<video>/*.jpg, Annotations/<video>/*.png and ImageSets/train.txt"
    images, masks = find_paths(
        folder, [("JPEGImages", "Annotations"), ("VOST/JPEGImages", "VOST/Annotations")], layout
    )
    names = read_split(images.parent / "ImageSets" / f"{source.split or 'train'}.txt")
    return _listed(source, images, masks, names)


def youtube_vos(folder: Path, source: SourceConfig) -> VideoSet:
    """Find YouTube-VOS train, 2018 or 2019; a split is a list in ImageSets/ beside JPEGImages/.

    Objects and videos with fewer than two frames in meta.json are dropped.
    """
    layout = "train/JPEGImages/<video>/00000.jpg, train/Annotations/<video>/00000.png and train/meta.json"
    parts = ("JPEGImages", "Annotations", "meta.json")
    base = find_paths(folder, [[f"train/{part}" for part in parts], parts], layout)[0].parent
    meta = read_metadata(base / "meta.json")
    names: Iterable[str] = sorted(meta)
    if source.split not in (None, "train"):
        names = read_split(base / "ImageSets" / f"{source.split}.txt")
        require_known(names, meta, base / "JPEGImages")
    found = [_youtube_video(base, name, meta[name]) for name in names]
    return _video_set(source, found, base / "JPEGImages", base / "Annotations")


def _youtube_video(base: Path, name: str, objects: Mapping[Any, Any]) -> LabelledVideo:
    try:
        listed = {int(number): list(item["frames"]) for number, item in objects.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{base / 'meta.json'}: the objects of {name} are not readable ({error!r}); expected ids with frames"
        ) from error
    kept = {number for number, frames in listed.items() if len(frames) >= LEAST_FRAMES}
    stems = {stem for number in kept for stem in listed[number]}
    dropped = tuple(sorted(listed.keys() - kept))
    pairs = pair_files(base / "JPEGImages" / name, base / "Annotations" / name, read_ids, dropped=dropped)
    return LabelledVideo(name, tuple(pair for pair in pairs if pair.image.stem in stems))


def _listed(
    source: SourceConfig, images: Path, masks: Path, names: Iterable[str], reader: MaskReader = read_ids
) -> VideoSet:
    names = list(names)
    require_known(names, subfolders(images), images)
    found = [LabelledVideo(name, tuple(pair_files(images / name, masks / name, reader))) for name in names]
    return _video_set(source, found, images, masks)


def _video_set(source: SourceConfig, found: list[LabelledVideo], images: Path, masks: Path) -> VideoSet:
    videos = tuple(video for video in found if len(video.frames) >= LEAST_FRAMES)
    if not videos:
        raise InputError(
            f"{images}: no video with {LEAST_FRAMES} frames that have masks of the same name in {masks}; "
            "expected <video>/00000.jpg with <video>/00000.png"
        )
    if len(videos) < len(found):
        short = len(found) - len(videos)
        log.info("%s: %d videos with fewer than %d labelled frames left out", images, short, LEAST_FRAMES)
    return VideoSet(source.path, videos, source.max_gap)
