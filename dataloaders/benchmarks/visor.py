"""Reader of VISOR. Layout of DAVIS, as its official script writes it (epic-kitchens.github.io/VISOR)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aotlab.dataloaders.benchmarks.davis import read_sequence
from aotlab.dataloaders.benchmarks.sequences import (
    find_list_file,
    read_names,
    read_optional_list,
    read_videos,
)
from aotlab.media.labeled_video import Video


def read_visor(root: Path, split: str = "val") -> list[Video]:
    """Read the sequences of a split (train, val, val_unseen), sorted by name; sequences of val_unseen are marked."""
    lists = root / "ImageSets" / "2022"
    path = find_list_file(split, lists)
    unseen = read_optional_list(lists / "val_unseen.txt")

    def read(name: str) -> Video:
        seen = None if unseen is None else name not in unseen
        return replace(read_sequence(root, "480p", name), seen=seen, rules="visor")

    return read_videos(path, sorted(read_names(path)), read)
