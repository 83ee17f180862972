"""Matching of regions in a file with the frames of a video and with object ids."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeGuard

import numpy as np

from aotlab.media.masks import MAX_ID
from aotlab.media.rle import Size, decode_rle, encode_rle
from aotlab.utils.errors import InputError, require
from aotlab.utils.text import format_count, join_truncated
from aotlab_video.masks.matching import match_frames, require_different_frames, select_images
from aotlab_video.masks.regions import (
    HOLE_NAMES,
    VOID_NAMES,
    Annotations,
    GroupKey,
    ParsedFile,
    ParsedRegion,
    Region,
    VideoInfo,
)
from aotlab_video.masks.value_syntax import START_NUMBER_OPTION

HOLE, UNDECIDED = 0, -1
"""Object ids of regions that are not objects."""
NEGATIVE_MESSAGES = {
    HOLE: "of the class background: no object there",
    UNDECIDED: "of undecided pixels (255, 10000, __ignore__): no object there",
}
NO_OBJECT = "contains no object; draw one, as a region or as pixels with an id above 0"


def match_regions(parsed: ParsedFile, video: VideoInfo, frame: int | None = None) -> Annotations:
    """Assign the regions of a file to the frames of a video and to object ids.

    Frames are matched by image name, or by number if the video's frames have no names (`match_frames`). Regions with
    one key are one object. Regions without a key are separate objects if all are on one frame; else regions of one
    class are one object, if no frame has two of them. An integer above 0 as a key is the object id; other objects get
    free ids in order. The regions of an object on one frame are joined.

    Args:
        frame: frame to which a file with a single frame belongs; None: the frame that the file names.

    Raises:
        InputError: no object, too many, another video's frames, or ambiguous regions.
    """
    regions = parsed.regions
    if frame is not None and len({(region.frame, region.image) for region in regions}) == 1:
        regions = [replace(region, frame=frame, image="") for region in regions]
        video = replace(video, start_number=0)
    matched = zip(_assign_frames(regions, video, parsed.counts_from_zero), regions, strict=True)
    in_video = [(index, region) for index, region in matched if index is not None]
    shown = [(index, region) for index, region in in_video if region.rle is not None or region.box is not None]
    objects = [(index, region) for index, region in shown if _find_negative(region) is None]
    has_object = any(region.box or (region.rle is not None and region.rle[1::2].any()) for _, region in objects)
    require(has_object, NO_OBJECT)
    keys = _assign_keys(objects)
    changed_classes = _check_classes(objects, keys)
    ids = _assign_ids(keys)
    require(max(ids.values()) <= MAX_ID, f"has more than {MAX_ID} objects", remedy="split it")
    result = Annotations(video.size, classes=dict(parsed.classes), video=parsed.video)
    result.warnings = [f"left out: {parsed.left_out}"] * bool(parsed.left_out) + changed_classes
    result.frames = {index: [] for index in sorted({index for index, region in in_video if region.box is None})}
    object_ids, negatives = (ids[key] for key in keys), Counter[int]()
    for index, region in shown:
        negative = _find_negative(region)
        object_id = next(object_ids) if negative is None else negative
        if negative is not None:
            negatives[negative] += 1
        elif region.class_name:
            result.class_names.setdefault(object_id, region.class_name)
        if region.box is not None:
            if negative is None:
                result.boxes.setdefault(index, {})[object_id] = region.box
        elif region.rle is not None:
            result.frames[index].append(Region(object_id, region.rle, attributes=region.attributes, soft=region.soft))
    for index, parts in result.frames.items():
        result.frames[index], void = _join_regions(parts, video.size)
        if void is not None:
            result.void[index] = void
    for negative in sorted(negatives):
        result.warnings.append(f"{format_count(negatives[negative], 'region')} {NEGATIVE_MESSAGES[negative]}")
    if out_of_range := [key for key in ids if type(key) is int and not _is_id(key)]:
        examples = join_truncated([f"{key} is object {ids[key]}" for key in out_of_range], 3)
        result.warnings.append(f"object ids are 1 to {MAX_ID}, so {examples}")
    result.assigned_ids = frozenset(ids[key] for key in ids if ids[key] not in (key, getattr(key, "number", None)))
    return result


def _assign_frames(regions: Sequence[ParsedRegion], video: VideoInfo, counts_from_zero: bool) -> list[int | None]:
    """Return the frame of each region in the video; None for frames of other videos."""
    keys = [*dict.fromkeys((region.frame, region.image) for region in regions)]
    images = dict.fromkeys(image for _, image in keys if image)
    selected = {"", *select_images([*images], video.frame_names, video.name)}
    keys = [key for key in keys if key[1] in selected]
    frames: dict[Hashable, int] = {}
    for is_named in (True, False):
        group = [key for key in keys if (bool(key[1]) and video.frame_names is not None) == is_named]
        matched = match_frames(
            group,
            video.frame_names if is_named else None,
            video=video.name,
            start_number=video.start_number,
            counts_from_zero=counts_from_zero,
        )
        frames.update(zip(group, matched, strict=True))
    require_different_frames((frames[key], key[1]) for key in keys)
    _require_existing([*frames.values()], video)
    return [frames.get((region.frame, region.image)) for region in regions]


def _require_existing(frames: Sequence[int], video: VideoInfo) -> None:
    """Raise `InputError` if a frame is not in the video."""
    outside = [frame for frame in frames if frame < 0 or (video.length is not None and frame >= video.length)]
    if outside:
        end = "the end" if video.length is None else video.length - 1
        first = min(frames) + (video.start_number or 0)
        raise InputError(
            f"is for frame {outside[0]}, but the video has frames 0 to {end}",
            remedy=f"count from 0, or give {START_NUMBER_OPTION} {first} if its first frame has number {first}",
        )


def _assign_keys(regions: Sequence[tuple[int, ParsedRegion]]) -> list[Hashable]:
    """Return the key of each region; regions come with their frames."""
    groups: dict[str, dict[Hashable, set[int]]] = {}
    for frame, region in regions:
        if isinstance(region.key, GroupKey):
            groups.setdefault(region.key.label, {}).setdefault(region.key.number, set()).add(frame)
    for label, frames in groups.items():
        # people group the parts of an object on one image, programs all of its regions
        places = [frame for part in frames.values() for frame in part]
        require(
            len(places) == 1 or len({*places}) < len(places) or len(frames) < len(places),
            f"the groups {join_truncated([*frames], 3)} of {label!r} are on one frame each, so they may be one object",
            remedy="give an object the same group on all frames, or each object its own label",
        )
    unnamed = [(frame, region.class_name) for frame, region in regions if region.key is None]
    if len({frame for frame, _ in unnamed}) <= 1:
        return [(index,) if region.key is None else region.key for index, (_, region) in enumerate(regions)]
    (frame, name), count = Counter(unnamed).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"frame {frame} has {count} regions {name!r} that cannot be matched with other frames",
            remedy="export with track ids or groups, or give each object its own class",
        )
    return [("class", region.class_name) if region.key is None else region.key for _, region in regions]


def _check_classes(regions: Sequence[tuple[int, ParsedRegion]], keys: Sequence[Hashable]) -> list[str]:
    """Return a sentence about objects that change their class; raise `InputError` for two classes on a frame."""
    names: dict[Hashable, dict[str, int]] = {}
    for (frame, region), key in zip(regions, keys, strict=True):
        if region.class_name:
            frames = names.setdefault(key, {})
            name = next((name for name, other in frames.items() if other == frame), region.class_name)
            if name != region.class_name:
                raise InputError(
                    f"frame {frame} has one object {_describe_key(key)} of the classes {name!r} and "
                    f"{region.class_name!r}",
                    remedy="give them one class, or other ids or groups",
                )
            frames[region.class_name] = frame
    changed = {key: [*frames] for key, frames in names.items() if len(frames) > 1}
    return [
        f"object {_describe_key(key)} is {first!r} and on other frames {second!r}, and gets the class {first!r} "
        f"(objects with several classes: {len(changed)})"
        for key, (first, second, *_) in [*changed.items()][:1]
    ]


def _describe_key(key: Hashable) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _find_negative(region: ParsedRegion) -> int | None:
    """Return `HOLE` or `UNDECIDED` for a region that is not an object; None for an object."""
    name = region.class_name.casefold()
    return HOLE if name in HOLE_NAMES else UNDECIDED if name in VOID_NAMES else None


def _join_regions(regions: list[Region], size: Size) -> tuple[list[Region], np.ndarray | None]:
    """Return one region for each object, and the undecided pixels, None without any.

    The earlier parts of an object lose the pixels that other objects cover; all earlier regions lose those of a hole or
    of undecided pixels.
    """
    object_ids = {region.object_id for region in regions}
    if len(object_ids) == len(regions) and min(object_ids, default=1) > 0:
        return regions, None
    joined, ids = dict[int, Region](), np.zeros(size, np.int32)
    for region in regions:
        mask = decode_rle(region.rle, size)
        if region.object_id <= 0:
            ids[mask] = region.object_id
            for object_id, below in joined.items():
                joined[object_id] = replace(below, rle=encode_rle(decode_rle(below.rle, size) & ~mask), soft=None)
            continue
        if (earlier := joined.pop(region.object_id, None)) is not None:
            mask |= ids == region.object_id
            region = replace(region, attributes={**earlier.attributes, **region.attributes}, soft=None)
        ids[mask] = region.object_id
        joined[region.object_id] = replace(region, rle=encode_rle(mask))
    return [*joined.values()], encode_rle(ids == UNDECIDED) if (ids == UNDECIDED).any() else None


def _is_id(key: Hashable) -> TypeGuard[int]:
    return type(key) is int and 0 < key <= MAX_ID


def _assign_ids(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    """Return object ids by key: numbers from 1 to `MAX_ID` of one key are kept, others get free ids in order."""
    order = {key: key.number if isinstance(key, GroupKey) else key for key in keys}
    counts = Counter(order.values())
    ids: dict[Hashable, int] = {key: number for key, number in order.items() if _is_id(number) and counts[number] == 1}
    taken = set(ids.values())
    free = (number for number in count(1) if number not in taken)
    return ids | {key: next(free) for key in order if key not in ids}
