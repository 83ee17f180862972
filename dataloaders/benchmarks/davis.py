"""Reader of DAVIS 2016 and 2017. Layout as distributed (davischallenge.org)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from aotlab.dataloaders.benchmarks.sequences import Video, list_file, read_each, read_video
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, is_folder, plain_name, read_text

OUTPUT_HEIGHT = 480
LAYOUT = (
    "JPEGImages/480p/<sequence>/00000.jpg, Annotations/480p/<sequence>/00000.png, "
    "ImageSets/<year>/<split>.txt"
)


def davis(
    root: Path, year: Literal[2016, 2017], split: str = "val", *, names: Sequence[str] = ()
) -> list[Video]:
    """Read the sequences of a split (train, val, test-dev, ...; "test" means test-dev), sorted by name.

    ``year`` 2016 merges all ids of a video into one object. ``names``: sequences to read if the split has no list file.
    """
    if not is_folder(root):
        raise InputError(
            f"{root}: no such folder; expected DAVIS as {LAYOUT}; get it from https://davischallenge.org"
        )
    # the first release of DAVIS 2016 stores its lists below the resolution's name
    lists = [root / "ImageSets" / name for name in ([str(year), "480p"] if year == 2016 else [str(year)])]
    split = "test-dev" if split == "test" else split
    if names and not any(is_file(folder / f"{split}.txt") for folder in lists):
        listed = sorted(set(names))
    else:
        listed = read_list(list_file(split, *lists))
    return read_each(listed, lambda name: _read_sequence(root, name, merge_ids=year == 2016))


def read_list(path: Path) -> list[str]:
    """Read the unique, sorted sequence names of a list file.

    A line is a name, or a frame's paths below the root:
    ``/JPEGImages/480p/<sequence>/00000.jpg /Annotations/480p/<sequence>/00000.png``.

    Raises:
        InputError: an invalid line, or no lines.
    """
    names = set()
    lines = read_text(path, "expected one sequence name per line").splitlines()
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if not line:
            continue
        if "/" not in line and " " not in line:
            names.add(plain_name(line, f"{path}: line {number}"))
            continue
        parts = line.split()[0].strip("/").split("/")
        if len(parts) != 4:
            raise InputError(
                f"{path}: line {number} is {line!r}; expected a sequence name, or "
                "/JPEGImages/480p/<sequence>/00000.jpg /Annotations/480p/<sequence>/00000.png"
            )
        names.add(plain_name(parts[2], f"{path}: line {number}"))
    if not names:
        raise InputError(f"{path}: empty list; expected one sequence name per line")
    return sorted(names)


def _read_sequence(root: Path, name: str, *, merge_ids: bool) -> Video:
    images, masks = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
    for folder in (images, masks):
        if not is_folder(folder):
            raise InputError(f"{folder}: no such sequence folder; expected {LAYOUT} below {root}")
    return replace(read_video(name, images, masks), merge_ids=merge_ids, output_height=OUTPUT_HEIGHT)
