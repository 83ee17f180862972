"""Which regions of a file are of one object, and on which frame of a video they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from aotlab.masks.exchange.regions import MOST_REGIONS, Annotations, Region, Size
from aotlab.utils.errors import InputError

LARGEST_ID = 65535
"""Object ids are 16-bit."""


@dataclass(frozen=True)
class Target:
    """The video that masks are wanted for."""

    name: str
    size: Size
    length: int | None = None
    """number of frames, if that is known"""
    stem: Callable[[int], str] | None = None
    """name without suffix of a frame's picture"""

    def require_same(self, size: Size, name: str) -> None:
        """Raise `InputError` if a file's masks are of another size."""
        if size != self.size:
            raise InputError(
                f"{name}: is for pictures of {size[1]}×{size[0]}, but the video is {self.size[1]}×{self.size[0]}; "
                "give masks of the video's size"
            )


@dataclass(frozen=True)
class Found:
    """A region as a file has it."""

    frame: int
    runs: np.ndarray
    label: str = ""
    key: Hashable = None
    """what names its object in the file; None: nothing does"""


def annotate(found: Sequence[Found], size: Size, name: str) -> Annotations:
    """Number the objects and sort the regions by frame.

    Regions with one key are one object. Of those without, each is an object if they are all on one frame; else those
    of one label are, if no frame has two. A whole number above 0 as a key is the object's id, else they are counted.

    Raises:
        InputError: nothing says which regions are of one object, or there are too many.
    """
    if len(found) > MOST_REGIONS:
        raise InputError(f"{name}: holds more than {MOST_REGIONS} regions; split it by video")
    keys = _keys(found, name)
    ids = _ids(keys)
    if max(ids.values(), default=0) > LARGEST_ID:
        raise InputError(f"{name}: holds more than {LARGEST_ID} objects; split it")
    result = Annotations(size)
    for region, key in zip(found, keys, strict=True):
        result.frames.setdefault(region.frame, []).append(Region(ids[key], region.runs))
        if region.label:
            result.labels.setdefault(ids[key], region.label)
    return result


def _keys(found: Sequence[Found], name: str) -> list[Hashable]:
    """A key for every region."""
    unnamed = [region for region in found if region.key is None]
    if len({region.frame for region in unnamed}) <= 1:
        return [(index,) if region.key is None else region.key for index, region in enumerate(found)]
    counts = Counter((region.frame, region.label) for region in unnamed)
    (frame, label), most = counts.most_common(1)[0]
    if most > 1:
        raise InputError(
            f"{name}: frame {frame} has {most} regions {label!r}, and nothing says which of them is which on other "
            "frames; export with track ids or groups, or give each object its own label"
        )
    return [("label", region.label) if region.key is None else region.key for region in found]


def _ids(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    """Whole numbers from 1 to `LARGEST_ID` are kept, all others get free numbers in their order."""
    order = dict.fromkeys(keys)
    ids: dict[Hashable, int] = {
        key: key
        for key in order
        if isinstance(key, int) and not isinstance(key, bool) and 0 < key <= LARGEST_ID
    }
    taken = set(ids.values())
    following = 1
    for key in order:
        if key not in ids:
            while following in taken:
                following += 1
            ids[key] = following
            taken.add(following)
    return ids


def match_frames(annotations: Annotations, target: Target, name: str) -> Annotations:
    """The same on the frames of a video: by the names of its pictures where they fit, else by the frames' numbers.

    Raises:
        InputError: only some of the names fit, or there is no such frame.
    """
    stems = annotations.stems
    if stems and target.stem is not None and target.length is not None:
        where = {target.stem(index): index for index in range(target.length)}
        fitting = [frame for frame in annotations.frames if stems.get(frame) in where]
        if fitting and len(fitting) < len(annotations.frames):
            odd = next(frame for frame in annotations.frames if frame not in fitting)
            raise InputError(f"{name}: picture {stems.get(odd)!r} is not one of the video {target.name}")
        if fitting:
            frames = {where[stems[frame]]: regions for frame, regions in annotations.frames.items()}
            return Annotations(annotations.size, frames, annotations.labels)
    late = [frame for frame in annotations.frames if target.length is not None and frame >= target.length]
    if late and len(annotations.frames) > 1:
        raise InputError(f"{name}: is for frame {late[0]}, but the video holds {target.length} frames")
    return annotations


def numbers_of(names: Iterable[str]) -> list[int]:
    """Frame numbers of pictures' names: the number each ends with, or where these do not differ, their order."""
    names = list(names)
    endings = [re.search(r"(\d{1,9})$", PurePosixPath(name).stem) for name in names]
    found = [int(ending[1]) for ending in endings if ending]
    return found if len(set(found)) == len(names) else list(range(len(names)))


def stem_of(name: str) -> str:
    """A picture's name without folder and suffix, also of an address or a Windows path."""
    return PurePosixPath(re.split(r"[?#]", name)[0].replace("\\", "/")).stem
