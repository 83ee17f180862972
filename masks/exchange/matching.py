"""Matching of found objects to a video: object ids and frames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath

from aotlab.masks.exchange.regions import Annotations, Found, Region, Size
from aotlab.masks.exchange.safe_files import ContentError

LARGEST_ID = 65535
"""largest object id; ids are 16-bit"""
MOST_REGIONS = 5_000_000
"""largest number of regions in a file, over all frames"""


@dataclass(frozen=True)
class Target:
    """Video to read masks for."""

    name: str
    size: Size
    length: int | None = None
    """number of frames, if known"""
    stem: Callable[[int], str] | None = None
    """stem of a frame's image"""


def match(found: Sequence[Found], target: Target, frame: int | None = None) -> Annotations:
    """Assign found objects to the frames of a video and to object ids.

    Frames are matched by image name if the names are the video's, else by number. Regions with one key are one object.
    Regions without a key are separate objects if all are on one frame; else those of one class are one object, if no
    frame has two of them. An integer above 0 as a key is the object id; other objects get free ids in order.

    Args:
        found: at least one.
        frame: return only this frame; if the file has a single frame, use it for this one.

    Raises:
        ContentError: no object, too many, another video's frames, or ambiguous regions.
    """
    if not found:
        raise ContentError(
            "holds no object; give a mask with an id above 0, or a polygon, where an object is"
        )
    if len(found) > MOST_REGIONS:
        raise ContentError(f"holds more than {MOST_REGIONS} regions; split it by video")
    frames, keys = _frames(found, target), _keys(found)
    ids = _ids(keys)
    if max(ids.values()) > LARGEST_ID:
        raise ContentError(f"holds more than {LARGEST_ID} objects; split it")
    result = Annotations(target.size)
    for one, key in zip(found, keys, strict=True):
        result.frames.setdefault(frames[one.frame], []).append(Region(ids[key], one.runs))
        if one.class_name:
            result.class_names.setdefault(ids[key], one.class_name)
    if frame is not None:
        if frame not in result.frames and len(result.frames) > 1:
            others = ", ".join(map(str, sorted(result.frames)[:10]))
            raise ContentError(f"has no mask for frame {frame}, but for {others}")
        result.frames = {frame: result.frames.get(frame) or next(iter(result.frames.values()))}
    return result


def numbers_of(names: Iterable[str]) -> list[int]:
    """Return frame numbers of image names: the number each ends with, or their order if these are not distinct."""
    names = list(names)
    endings = [re.search(r"(\d{1,9})$", PurePosixPath(name).stem) for name in names]
    found = [int(ending[1]) for ending in endings if ending]
    return found if len(set(found)) == len(names) else list(range(len(names)))


def stem_of(name: str) -> str:
    """Return the stem of an image's name, which may be an address or a Windows path."""
    return PurePosixPath(re.split(r"[?#]", name)[0].replace("\\", "/")).stem


def _frames(found: Sequence[Found], target: Target) -> dict[int, int]:
    """Return frame numbers in the video by those in the file."""
    stems = {one.frame: one.stem for one in found}
    if target.stem is not None and target.length is not None:
        where = {target.stem(index): index for index in range(target.length)}
        odd = [stem for stem in stems.values() if stem not in where]
        if odd and len(odd) < len(stems):
            raise ContentError(f"image {odd[0]!r} is not one of the video {target.name}")
        if not odd:
            return {frame: where[stem] for frame, stem in stems.items()}
    if min(stems) < 0:
        raise ContentError(f"is for frame {min(stems)}; expected frames from 0")
    if target.length is not None and max(stems) >= target.length and len(stems) > 1:
        raise ContentError(f"is for frame {max(stems)}, but the video holds {target.length} frames")
    return {frame: frame for frame in stems}


def _keys(found: Sequence[Found]) -> list[Hashable]:
    """Return a key for every region."""
    unnamed = [one for one in found if one.key is None]
    if len({one.frame for one in unnamed}) <= 1:
        return [(index,) if one.key is None else one.key for index, one in enumerate(found)]
    (frame, name), most = Counter((one.frame, one.class_name) for one in unnamed).most_common(1)[0]
    if most > 1:
        raise ContentError(
            f"frame {frame} has {most} regions {name!r} that cannot be told apart on other frames; "
            "export with track ids or groups, or give each object its own class"
        )
    return [("class", one.class_name) if one.key is None else one.key for one in found]


def _ids(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    """Return object ids by key: integers from 1 to `LARGEST_ID` are kept, others get free ids in order."""
    order = dict.fromkeys(keys)
    ids: dict[Hashable, int] = {
        key: key for key in order if isinstance(key, int) and key is not True and 0 < key <= LARGEST_ID
    }
    taken = set(ids.values())
    free = (number for number in count(1) if number not in taken)
    return ids | {key: next(free) for key in order if key not in ids}
