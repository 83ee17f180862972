"""Matching of found objects to a video: their object ids, and the frames they are on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from aotlab.masks.exchange.regions import Annotations, Found, Region, Size
from aotlab.masks.exchange.safe_files import ContentError

LARGEST_ID = 65535
"""object ids are 16-bit"""
MOST_REGIONS = 5_000_000
"""regions of one file, over all frames"""


@dataclass(frozen=True)
class Target:
    """The video that masks are wanted for."""

    name: str
    size: Size
    length: int | None = None
    """number of frames, if known"""
    stem: Callable[[int], str] | None = None
    """name without suffix of a frame's image"""


def match(found: Sequence[Found], target: Target, frame: int | None = None) -> Annotations:
    """Put found objects on the frames of a video and give them object ids.

    Frames are matched by the names of their images if these are the video's, else by number. Regions with one key are
    one object. Regions without a key are an object each if all are on one frame; else those of one label are one
    object, if no frame has two of them. A whole number above 0 as a key is the object id; other objects are counted.

    Args:
        found: at least one.
        target: the video.
        frame: the wanted frame: of several frames only this one is returned; a single frame is taken for it.

    Raises:
        ContentError: no object, too many, another video's frames, or no telling which regions are one object.
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
        if one.label:
            result.labels.setdefault(ids[key], one.label)
    if frame is not None and frame not in result.frames:
        if len(result.frames) > 1:
            others = ", ".join(map(str, sorted(result.frames)[:10]))
            raise ContentError(f"has no mask for frame {frame}, but for {others}")
        (result.frames[frame],) = result.frames.values()
    return result if frame is None else Annotations(target.size, {frame: result.frames[frame]}, result.labels)


def numbers_of(names: Iterable[str]) -> list[int]:
    """Return frame numbers of image names: the number each ends with, or their order if these are not different."""
    names = list(names)
    endings = [re.search(r"(\d{1,9})$", PurePosixPath(name).stem) for name in names]
    found = [int(ending[1]) for ending in endings if ending]
    return found if len(set(found)) == len(names) else list(range(len(names)))


def stem_of(name: str) -> str:
    """Return an image's name without folder and suffix, also of an address or a Windows path."""
    return PurePosixPath(re.split(r"[?#]", name)[0].replace("\\", "/")).stem


def _frames(found: Sequence[Found], target: Target) -> dict[int, int]:
    """Frame numbers of the video by those of the file."""
    stems = {one.frame: one.stem for one in found}
    if target.stem is not None and target.length is not None:
        where = {target.stem(index): index for index in range(target.length)}
        odd = [stem for stem in stems.values() if stem not in where]
        if odd and len(odd) < len(stems):
            raise ContentError(f"image {odd[0]!r} is not one of the video {target.name}")
        if not odd:
            return {frame: where[stem] for frame, stem in stems.items()}
    late = [frame for frame in stems if target.length is not None and frame >= target.length]
    if late and len(stems) > 1:
        raise ContentError(f"is for frame {late[0]}, but the video holds {target.length} frames")
    return {frame: frame for frame in stems}


def _keys(found: Sequence[Found]) -> list[Hashable]:
    """A key for every region."""
    unnamed = [one for one in found if one.key is None]
    if len({one.frame for one in unnamed}) <= 1:
        return [(index,) if one.key is None else one.key for index, one in enumerate(found)]
    (frame, label), most = Counter((one.frame, one.label) for one in unnamed).most_common(1)[0]
    if most > 1:
        raise ContentError(
            f"frame {frame} has {most} regions {label!r}, without telling which of them is which on other "
            "frames; export with track ids or groups, or give each object its own label"
        )
    return [("label", one.label) if one.key is None else one.key for one in found]


def _ids(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    """Object ids by key: whole numbers from 1 to `LARGEST_ID` are kept, others get free numbers in their order."""
    order = dict.fromkeys(keys)
    ids: dict[Hashable, int] = {
        key: key
        for key in order
        if isinstance(key, int) and not isinstance(key, bool) and 0 < key <= LARGEST_ID
    }
    taken, following = set(ids.values()), 1
    for key in order:
        if key not in ids:
            while following in taken:
                following += 1
            ids[key] = following
            taken.add(following)
    return ids
