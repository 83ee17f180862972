"""SA-V's folders of binary PNGs, one for each object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.evaluation.sav import read_object_results
from aotlab.media.labeled_video import Video
from aotlab.media.masks import write_mask
from aotlab.media.matching import list_image_files
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_writable


def write_object_folders(videos: Sequence[Video], results: Path, output: Path) -> int:
    """Write a folder of 0/1 PNGs for each object, named like its annotations; return the number of files.

    Args:
        results: for each video id PNGs, or one folder of binary PNGs per object.
        output: an empty folder, or one that does not exist.
    """
    if require_writable(output).is_dir() and any(output.iterdir()):
        raise InputError(f"{output}: holds files, which could be annotations; choose another folder")
    return sum(_write_video(video, results / video.name, output / video.name) for video in videos)


def _write_video(video: Video, results: Path, output: Path) -> int:
    folders, count = video.object_folders, 0
    names = {path.name for folder in folders.values() for path in list_image_files(folder, (".png",))}
    for name in sorted(names):
        masks, _ = read_object_results(results, name, folders)
        for object_id, (_, mask) in masks.items():
            write_mask(output / folders[object_id].name / name, mask.astype(np.uint8))
        count += len(masks)
    return count
