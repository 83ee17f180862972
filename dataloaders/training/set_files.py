"""File lookup of training sets; every folder is listed once and nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import FRAME_SUFFIXES, list_file
from aotlab.dataloaders.training.labelled import MaskedImage, MaskReader
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder, plain_name, read_text


def read_split(path: Path) -> list[str]:
    """Return the names in a list file, one per line; raises `InputError` if it is missing or empty."""
    list_file(path.stem, path.parent)
    lines = read_text(path, "write one name per line").splitlines()
    names = [plain_name(line.strip(), str(path)) for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: empty list; write one name per line")
    return list(dict.fromkeys(names))


def find_paths(folder: Path, forms: Iterable[Sequence[str]], layout: str) -> tuple[Path, ...]:
    """Return the first of several tuples of paths below a folder that all exist; archives differ in outer folders.

    Raises:
        InputError: no such paths; ``layout`` describes the expected ones.
    """
    for form in forms:
        paths = tuple(folder / name for name in form)
        if all(path.exists() for path in paths):
            return paths
    raise InputError(f"{folder}: not a training set of this kind; expected {layout} below it")


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of readable subfolders; hidden ones and dangling links are skipped."""
    if not is_folder(folder):
        raise InputError(f"{folder}: no such folder; expected a folder with subfolders")
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if not entry.name.startswith(".") and is_folder(Path(entry.path))
        )


def pair_files(
    images: Path, masks: Path, reader: MaskReader, *, dropped: tuple[int, ...] = ()
) -> list[MaskedImage]:
    """Pair images and masks of the same stem, sorted; files without a partner are skipped."""
    mask_files = files_by_stem(masks, (".png",))
    suffixes = FRAME_SUFFIXES if images != masks else (".jpg", ".jpeg")  # in one folder, PNGs are masks
    image_files = files_by_stem(images, suffixes)
    return [
        MaskedImage(images / image_files[stem], masks / mask_files[stem], reader, dropped)
        for stem in sorted(image_files.keys() & mask_files.keys())
    ]


def files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the file names in a folder by stem; empty without a folder. Hidden files are skipped.

    Of several files with the same stem, the suffix listed first wins.
    """
    if not is_folder(folder):
        return {}
    rank = {suffix: index for index, suffix in enumerate(suffixes)}
    found: dict[str, tuple[int, str]] = {}
    for file in os.listdir(folder):
        stem, suffix = os.path.splitext(file)
        order = rank.get(suffix.lower())
        if order is None or file.startswith("."):
            continue
        found[stem] = min(found.get(stem, (order, file)), (order, file))
    return {stem: file for stem, (_, file) in found.items()}


def require_known(names: Iterable[str], known: Iterable[str], folder: Path) -> None:
    """Check the names of a list; raises `InputError` if a name is missing in ``folder``."""
    missing = sorted(set(names) - set(known))
    if missing:
        raise InputError(
            f"{folder / missing[0]}: missing, but listed in the split ({len(missing)} in all); "
            "add the data or correct the list"
        )
