"""Readers of DAVIS 2016 and 2017 and of data sets with the same layout: VISOR, VOST, Long-Time Video.

Layouts as distributed (davischallenge.org, epic-kitchens.github.io/VISOR after conversion by its official script,
vostdataset.org, github.com/xmlyqing00/AFB-URR).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import dropwhile
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import (
    drop_earlier_masks,
    find_list_file,
    list_frames,
    list_masks,
    list_video_names,
    match_masks,
    read_names,
    read_optional_list,
    read_video,
    read_videos,
)
from aotlab.media.labeled_video import Video

SUBMISSION_HEIGHT = 480
"""height of the masks that the DAVIS server takes, in pixels"""
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""folders of DAVIS; the first that exists is read"""


def read_davis(root: Path, year: int | str, split: str = "val") -> list[Video]:
    """Read the sequences of a split (train, val, test-dev, ...; "test" means test-dev), sorted by name.

    ``year`` names the lists; 2016 merges all ids of a video into one object.
    """
    root = root / "DAVIS" if (root / "DAVIS").is_dir() else root
    size = next((name for name in RESOLUTIONS if (root / "JPEGImages" / name).is_dir()), RESOLUTIONS[0])
    merge_ids = str(year) == "2016"
    # the first release of DAVIS 2016 stores its lists below the resolution's name
    lists = [root / "ImageSets" / name for name in ([str(year), "480p"] if merge_ids else [str(year)])]
    path = find_list_file("test-dev" if split == "test" else split, *lists)

    def read(name: str) -> Video:
        video = _read_sequence(root, size, name)
        # The server for splits without public annotations expects 480 rows. Other results have the annotations' size.
        height = SUBMISSION_HEIGHT if len(video.annotations) == 1 else None
        return replace(video, merge_ids=merge_ids, output_height=height)

    return read_videos(path, sorted(read_names(path)), read)


def read_visor(root: Path, split: str = "val") -> list[Video]:
    """Read the sequences of a split (train, val, val_unseen), sorted by name; sequences of val_unseen are marked."""
    lists = root / "ImageSets" / "2022"
    path = find_list_file(split, lists)
    unseen = read_optional_list(lists / "val_unseen.txt")

    def read(name: str) -> Video:
        seen = None if unseen is None else name not in unseen
        return replace(_read_sequence(root, "480p", name), seen=seen, rules="visor")

    return read_videos(path, sorted(read_names(path)), read)


def read_vost(root: Path, split: str = "val", *, all_frames: bool = False) -> list[Video]:
    """Read the videos of a split (train, val or test), in the order of its list.

    The first labeled frame is given, with 255 as background. Ids that occur only in later labels are not objects.
    With ``all_frames``, the 10 frames per second of JPEGImages_10fps are tracked; results are for the 5 per second.
    """
    root = root / "VOST" if (root / "VOST").is_dir() else root

    def read(name: str) -> Video:
        labeled = list_frames(root / "JPEGImages" / name)
        frames = list_frames(root / "JPEGImages_10fps" / name) if all_frames else labeled
        video = _make_video(name, frames, root / "Annotations" / name)
        written = frozenset(path.stem for path in (*labeled, *video.annotations)) if all_frames else None
        return replace(video, result_stems=written, rules="vost")

    path = find_list_file(split, root / "ImageSets")
    return read_videos(path, read_names(path), read)


def read_long_video(root: Path) -> list[Video]:
    """Read the videos, sorted by name; the first labeled frame is given, the others are scored as one object."""

    def read(name: str) -> Video:
        frames = list_frames(root / "JPEGImages" / name)
        return replace(_make_video(name, frames, root / "Annotations" / name), merge_ids=True)

    return read_videos(root, list_video_names(root), read)


def _read_sequence(root: Path, size: str, name: str) -> Video:
    return read_video(name, *(root / kind / size / name for kind in ("JPEGImages", "Annotations")))


def _make_video(name: str, frames: tuple[Path, ...], masks: Path) -> Video:
    """Return a video that starts at the first frame with a mask, which is given to the tracker."""
    annotations = list_masks(masks)
    stems = {path.stem for path in annotations}
    frames = tuple(dropwhile(lambda path: path.stem not in stems, frames))
    annotations = drop_earlier_masks(annotations, frames)
    return Video(name, frames, reference_masks=match_masks(frames[:1], annotations), annotations=annotations)
