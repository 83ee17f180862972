"""Checks of file names: unmatched files, wrong order, unsupported suffixes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import FRAME_SUFFIXES
from aotlab.dataloaders.lint.files import Finding, error, warning
from aotlab.dataloaders.training.set_files import files_by_stem, subfolders
from aotlab.media.images import natural_sort_key
from aotlab.utils.files import is_folder

LOOSE = "."
"""name of the set of images outside the folders of sets"""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")


@dataclass(frozen=True)
class Unit:
    """One video, or one set of single images: a folder of frames and a folder of masks."""

    name: str
    images: Path
    masks: Path
    frames: dict[str, Path]
    """frames by stem, in order"""
    labels: dict[str, Path]
    """masks by stem, in order"""

    @property
    def labelled(self) -> list[str]:
        """Stems of frames with a mask, in order."""
        return [stem for stem in self.frames if stem in self.labels]


def list_unit(name: str, images: Path, masks: Path) -> Unit:
    """List both folders as the training readers do."""
    frames = {stem: images / file for stem, file in sorted(files_by_stem(images, FRAME_SUFFIXES).items())}
    labels = {stem: masks / file for stem, file in sorted(files_by_stem(masks, (".png",)).items())}
    return Unit(name, images, masks, frames, labels)


def check_names(unit: Unit, *, ordered: bool) -> Iterator[Finding]:
    """Yield findings about the file names of a unit; ``ordered``: frames of a video."""
    yield from _partners(unit)
    if unit.name != LOOSE:
        yield from _inner_folders(unit.images)
        yield from _inner_folders(unit.masks)
    yield from _endings(unit.images, FRAME_SUFFIXES, "JPEG or PNG")
    yield from _endings(unit.masks, (".png",), "palette PNG")
    for path in unit.labels.values():
        if path.suffix != ".png":
            yield warning(path, "evaluation finds only masks ending in .png; rename it")
    if ordered:
        yield from _order(unit)


def _order(unit: Unit) -> Iterator[Finding]:
    """Yield the first frame whose order by name differs from its order by number."""
    wanted = sorted(unit.frames, key=natural_sort_key)
    if len({normal_form(stem) for stem in wanted}) < len(wanted):
        return  # equal names have no order; `_partners` reports them
    for stem, rightful in zip(unit.frames, wanted, strict=True):
        if stem != rightful:
            late = "frames are ordered by name, not by number, so this one comes too early; pad with zeros"
            yield error(unit.frames[stem], late)
            return


def _partners(unit: Unit) -> Iterator[Finding]:
    """Yield masks without a frame, and names that differ only in zeros, case or suffix."""
    unlabelled = {normal_form(stem): stem for stem in unit.frames if stem not in unit.labels}
    for stem, path in unit.labels.items():
        if stem in unit.frames:
            continue
        near = unlabelled.get(normal_form(stem))
        if near is not None:
            frame = unit.frames[near].name
            yield error(path, f"name differs from its frame {frame}; rename the mask to {near}.png")
        else:
            yield warning(path, "no frame of this name, not used; add the frame or remove the mask")
    seen: dict[str, str] = {}
    for stem, path in unit.frames.items():
        near = seen.setdefault(normal_form(stem), stem)
        if near != stem:
            first = unit.frames[near].name
            yield warning(path, f"name differs from {first} only in zeros or case; remove one of them")


def _inner_folders(folder: Path) -> Iterator[Finding]:
    for name in subfolders(folder) if is_folder(folder) else ():
        yield warning(folder / name, "folder inside a folder of files, not read; move or remove it")


def _endings(folder: Path, suffixes: tuple[str, ...], wanted: str) -> Iterator[Finding]:
    """Yield files with other suffixes, and files that share a stem."""
    if not is_folder(folder):
        return
    taken: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or is_folder(path):
            continue
        if suffix not in suffixes:
            message = f"files ending in {path.suffix or 'nothing'} are not read"
            if suffix in IMAGE_SUFFIXES:
                yield error(path, f"{message}; convert it to {wanted}")
            else:
                yield warning(path, f"{message}; remove it")
        elif taken.setdefault(path.stem, path.name) != path.name:
            yield warning(path, f"same name as {taken[path.stem]}; only one is used, remove the other")


def normal_form(stem: str) -> str:
    """Return a name in lower case without leading zeros of numbers."""
    return re.sub(r"\d+", lambda match: str(int(match[0])), stem).casefold()
