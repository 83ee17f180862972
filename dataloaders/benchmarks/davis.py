"""Readers of DAVIS 2016 and 2017 as distributed (davischallenge.org), and of VISOR as `convert_visor` writes it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import Video

SUBMISSION_HEIGHT = 480
"""Height of the masks that the DAVIS server takes, in pixels."""
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""Folders of DAVIS; the first that exists is read."""


def read_davis(root: Path, split: str, *, year: str = "2017") -> list[Video]:
    """Read the sequences of a split (train, val, test-dev, ...; "test" means test-dev), sorted by name.

    ``year`` names the lists; 2016 merges all ids of a video into one object.
    """
    root = root / "DAVIS" if (root / "DAVIS").is_dir() else root
    size = next((name for name in RESOLUTIONS if (root / "JPEGImages" / name).is_dir()), RESOLUTIONS[0])
    merge_ids = year == "2016"
    # the first release of DAVIS 2016 stores its lists below the resolution's name
    lists = [root / "ImageSets" / name for name in ([year, "480p"] if merge_ids else [year])]
    path = sequences.find_list_file("test-dev" if split == "test" else split, *lists)

    def read(name: str) -> Video:
        video = _read_sequence(root, size, name)
        # The server for splits without public annotations expects 480 rows. Other results have the annotations' size.
        height = SUBMISSION_HEIGHT if len(video.annotations) == 1 else None
        return replace(video, merge_ids=merge_ids, output_height=height)

    return sequences.read_videos(path, sorted(sequences.read_names(path)), read)


read_davis2016 = partial(read_davis, year="2016")


def read_visor(root: Path, split: str) -> list[Video]:
    """Read the sequences of a split (train, val, val_unseen), sorted by name; sequences of val_unseen are marked."""
    lists = root / "ImageSets" / "2022"
    path = sequences.find_list_file(split, lists)
    unseen = sequences.read_optional_list(lists / "val_unseen.txt")

    def read(name: str) -> Video:
        seen = None if unseen is None else name not in unseen
        return replace(_read_sequence(root, "480p", name), seen_in_training=seen, rules="visor")

    return sequences.read_videos(path, sorted(sequences.read_names(path)), read)


def _read_sequence(root: Path, size: str, name: str) -> Video:
    return sequences.read_video(name, *(root / kind / size / name for kind in ("JPEGImages", "Annotations")))
