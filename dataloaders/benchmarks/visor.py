"""Reader of VISOR as converted to the layout of DAVIS by its official script (epic-kitchens.github.io/VISOR)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aotlab.dataloaders.benchmarks.davis import read_list
from aotlab.dataloaders.benchmarks.metadata import read_names
from aotlab.dataloaders.benchmarks.sequences import Video, list_file, read_each, read_video


def visor(root: Path, split: str = "val") -> list[Video]:
    """Read the sequences of a split (train, val, val_unseen), sorted by name; those of val_unseen are marked."""
    lists = root / "ImageSets" / "2022"
    path = list_file(split, lists)
    unseen = read_names(lists / "val_unseen.txt")

    def read(name: str) -> Video:
        images, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        seen = None if unseen is None else name not in unseen
        return replace(read_video(name, images, masks), seen=seen, rules="visor")

    return read_each(read_list(path), read)
