"""Reader of MOSE. Layout as distributed (henghuiding.github.io/MOSE)."""

from __future__ import annotations

import logging
from pathlib import Path

from aotlab.dataloaders.benchmarks.metadata import split_folder, video_names
from aotlab.dataloaders.sequences import Video, read_each, read_video

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
