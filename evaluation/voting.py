"""Pixel-wise voting over saved results of several models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.dataloaders.sequences import list_masks
from aotlab.media.masks import VOID, is_void, read_mask, write_mask
from aotlab.utils.digests import digest_values
from aotlab.utils.errors import InputError
from aotlab.utils.files import sha256
from aotlab.utils.run_folder import find_masks_folder


def fingerprint_results(folder: Path) -> dict[str, str]:
    """Return the name and the digest of all masks in a folder of results, as an input of a vote."""
    files = sorted(folder.rglob("*.png"))
    digest = digest_values((path.relative_to(folder).as_posix(), sha256(path)) for path in files)
    return {"name": folder.name, "sha256": digest}


def vote(maps: Sequence[np.ndarray], weights: Sequence[int]) -> np.ndarray:
    """Return the id with the largest total weight in every pixel; ties go to the map listed first.

    Args:
        maps: H×W ids each.
        weights: integer weights of the maps; sums of floats would make ties depend on rounding.
    """
    stacked = np.stack(maps)
    support = [np.tensordot(np.array(weights), stacked == labels, 1) for labels in maps]
    return np.take_along_axis(stacked, np.argmax(support, 0)[None], 0)[0]


def list_sequences(results: Path) -> list[str]:
    """Return the sorted names of the sequences with results; ``sequence/object`` if each object has a folder."""
    names = _list_folders(results)
    names += [f"{name}/{part}" for name in names for part in _list_folders(find_masks_folder(results / name))]
    sequences = sorted(name for name in names if list_masks(find_masks_folder(results / name)))
    if not sequences:
        raise InputError(
            "no results here", subject=results, remedy="expected <sequence>/<frame>.png as aotlab eval writes"
        )
    return sequences


def _list_folders(parent: Path) -> list[str]:
    if not parent.is_dir():
        return []
    if (masks := find_masks_folder(parent)) != parent:
        return [masks.name]
    return [path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]


def vote_sequence(name: str, folders: Sequence[Path], weights: Sequence[int], output: Path) -> int:
    """Vote on every frame of a sequence and write ``output/<name>/<frame>.png``; return the number of frames.

    Void pixels vote for the background.
    """
    masks = [find_masks_folder(folder / name) for folder in folders]
    stems = [[path.stem for path in list_masks(folder)] for folder in masks]
    for folder, present in zip(masks, stems, strict=True):
        unmatched = sorted(set(present) ^ set(stems[0]))
        if unmatched:
            raise InputError(
                f"frame {unmatched[0]} is missing here or in {masks[0]}",
                subject=folder,
                remedy="vote on results of the same frames",
            )
    for stem in stems[0]:
        first = read_mask(masks[0] / f"{stem}.png")
        size = (first.shape[0], first.shape[1])
        others = [read_mask(folder / f"{stem}.png", size=size) for folder in masks[1:]]
        # void of 8 bits would be object 255 beside masks of 16 bits
        maps = [np.where(is_void(mask), 0, mask) for mask in (first, *others)]
        labels = vote(maps, weights)
        write_mask(output / name / f"{stem}.png", labels, max_id=0 if labels.dtype == np.uint8 else VOID)
    return len(stems[0])
