"""Readers of VOST and Long-Time Video, whose videos start at the first frame with a mask.

Layouts as distributed (vostdataset.org, github.com/xmlyqing00/AFB-URR).
"""

from dataclasses import replace
from itertools import dropwhile
from pathlib import Path

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import Video


def read_vost(root: Path, split: str, *, all_frames: bool = False) -> list[Video]:
    """Read the videos of a split (train, val or test), in the order of its list.

    The first labeled frame is given, with 255 as background. Ids that occur only in later labels are not objects.
    With ``all_frames``, the 10 frames per second of JPEGImages_10fps are tracked; results have 5 per second.
    """
    root = root / "VOST" if (root / "VOST").is_dir() else root

    def read(name: str) -> Video:
        labeled = sequences.list_frames(root / "JPEGImages" / name)
        frames = sequences.list_frames(root / "JPEGImages_10fps" / name) if all_frames else labeled
        video = _make_video(name, frames, root / "Annotations" / name)
        written = frozenset(path.stem for path in (*labeled, *video.annotations)) if all_frames else None
        return replace(video, result_stems=written, rules="vost")

    path = sequences.find_list_file(split, root / "ImageSets")
    return sequences.read_videos(path, sequences.read_names(path), read)


def read_long_video(root: Path) -> list[Video]:
    """Read all videos, sorted by name; there are no splits.

    The first labeled frame is given, the others are scored as one object.
    """

    def read(name: str) -> Video:
        frames = sequences.list_frames(root / "JPEGImages" / name)
        return replace(_make_video(name, frames, root / "Annotations" / name), merge_ids=True)

    return sequences.read_videos(root, sequences.list_subfolders(root / "JPEGImages"), read)


def _make_video(name: str, frames: tuple[Path, ...], masks: Path) -> Video:
    """Return a video that starts at the first frame with a mask, which is given to the tracker."""
    annotations = sequences.list_masks(masks)
    stems = {path.stem for path in annotations}
    frames = tuple(dropwhile(lambda path: path.stem not in stems, frames))
    annotations = sequences.drop_earlier_masks(annotations, frames)
    return Video(name, frames, sequences.match_masks(frames[:1], annotations), annotations)
