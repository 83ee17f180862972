"""Regions of objects on the frames of a video as run lengths, polygons, and their matching to frames and ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, cast

import numpy as np

from aotlab.media.matching import match_frames, require_different_frames, select_images
from aotlab.utils.errors import InputError
from aotlab.utils.numbers import MAX_SIDE

if TYPE_CHECKING:
    from aotlab.media.frames import FrameSource

Size = tuple[int, int]
"""(height, width) in pixels"""
Attributes = Mapping[str, str | int | float | bool]
"""values of an object's attributes by name"""
AttributeTable = dict[int, dict[int, Attributes]]
"""attributes by object id and the frame from which they apply"""
MAX_OUTLINE_LENGTH = 2_000_000
"""largest length of one outline in pixels; drawing takes memory in proportion"""
MAX_ID = 65535
"""largest object id; ids are 16-bit"""


@dataclass(frozen=True)
class VideoInfo:
    """Video that a file of annotations belongs to."""

    name: str
    size: Size
    length: int | None = None
    """number of frames, if known"""
    rate: str = "24"
    """frames per second; may be a fraction"""
    stems: tuple[str, ...] | None = None
    """stems of the images of all frames; None if frames have no names"""
    frame: int | None = None
    """frame to use for a file with objects on a single frame; None: the file's"""
    file: Callable[[int], Path | None] | None = None
    """image file of a frame, which may be None; None if frames have no files"""
    counter: Callable[[], int | None] | None = None
    """counts the frames in a file whose header states `length`; None: `length` is no estimate"""

    @classmethod
    def from_source(cls, source: FrameSource) -> VideoInfo:
        """Describe a source of frames."""
        stems = tuple(map(source.stem, range(source.length or 0))) if source.named else None
        counter = source.count_frames if source.length_is_estimate else None
        rate = str(source.rate)
        return cls(source.name, source.size, source.length, rate, stems, file=source.file, counter=counter)

    @property
    def length_is_estimate(self) -> bool:
        """Whether `length` is from a file's header, as in `FrameSource`."""
        return self.counter is not None

    def count_frames(self) -> int | None:
        """Return `length`, but counted in the file if it is an estimate."""
        return self.length if self.counter is None else self.counter()

    def image_name(self, frame: int, stem: str) -> str:
        """Return the name of a frame's image in a folder named after the video, with ``stem`` if it has no file."""
        file = None if self.file is None else self.file(frame)
        return f"{self.name}/{f'{stem}.jpg' if file is None else file.name}"


@dataclass(frozen=True)
class ParsedRegion:
    """One object on one frame, or a frame without objects, as listed in a file."""

    frame: int | None
    """frame number in the file; None if it only names images"""
    rle: np.ndarray | None
    """run lengths, as in `Region`; None: the frame is annotated and shows no object"""
    class_name: str = ""
    """empty if unset"""
    key: Hashable = None
    """object id from 1, or any other value shared by all regions of the object; None: unknown"""
    image: str | Path = ""
    """name of the frame's image, which may be a URL or a Windows path, or the file of its mask; empty if unset"""
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Region:
    """The pixels of one object on one frame."""

    object_id: int
    rle: np.ndarray
    """lengths of alternating runs of pixels outside and inside, column by column (COCO's order), int64"""
    confidence: float = 1.0
    lost: bool = False
    """whether the object is occluded or out of frame"""
    attributes: Attributes = field(default_factory=dict)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.rle[1::2].sum())


@dataclass
class Annotations:
    """Objects of one video on some of its frames; an overlap belongs to the later region."""

    size: Size
    frames: dict[int, list[Region]] = field(default_factory=dict)
    """regions by frame number; none on an annotated frame without objects"""
    class_names: dict[int, str] = field(default_factory=dict)
    """class names by object id, if known"""
    stems: dict[int, str] = field(default_factory=dict)
    """stem of each frame's image, if known"""
    classes: dict[str, int] = field(default_factory=dict)
    """ids by class name, as in the input; objects may have other classes too"""
    video: str = ""
    """name of the video in the input; empty if unset"""
    assigned_ids: frozenset[int] = frozenset()
    """ids of the objects without an id in the input"""

    def regions(self) -> Iterator[tuple[int, Region]]:
        """Yield frame number and region of all regions, by frame."""
        return ((frame, region) for frame in sorted(self.frames) for region in self.frames[frame])

    def objects(self) -> list[int]:
        """Return the ids of all objects, ascending."""
        return sorted({region.object_id for _, region in self.regions()})

    def class_name(self, object_id: int) -> str:
        """Return the object's class name; "object" if unknown."""
        return self.class_names.get(object_id, "object")

    def class_ids(self) -> dict[str, int]:
        """Return class ids by class name, ascending: `classes`, and free ids from 1 for other names in order."""
        names = sorted({self.class_name(object_id) for object_id in self.objects()})
        ids = add_class_ids(self.classes, dict.fromkeys(names))
        return dict(sorted(ids.items(), key=lambda item: item[1]))

    def attribute_table(self) -> AttributeTable:
        """Return the attributes of the objects that have any, with the frames on which they change."""
        table: AttributeTable = {}
        for frame, region in self.regions():
            changes = table.setdefault(region.object_id, {})
            if not changes or changes[max(changes)] != region.attributes:
                changes[frame] = region.attributes
        return {object_id: changes for object_id, changes in table.items() if any(changes.values())}

    def add_attributes(self, table: AttributeTable) -> None:
        """Set the attributes of each region to the last ones of its object up to the frame, or else its first ones."""
        for frame, regions in self.frames.items() if table else ():
            self.frames[frame] = [
                replace(region, attributes=_find_attributes(table.get(region.object_id, {}), frame))
                for region in regions
            ]

    def stem(self, frame: int) -> str:
        """Return the stem of a frame's image; the frame number in five digits if unknown."""
        return self.stems.get(frame, f"{frame:05d}")

    def mask(self, frame: int) -> np.ndarray:
        """Return H×W object ids on a frame, 0 is background; uint8, or uint16 if an id of the frame needs it."""
        largest = max((region.object_id for region in self.frames.get(frame, ())), default=0)
        mask = np.zeros(self.size, dtype=np.min_scalar_type(largest))
        for region in self.frames.get(frame, ()):
            mask[decode_rle(region.rle, self.size)] = region.object_id
        return mask


def add_class_ids(shared: Mapping[str, int], classes: Mapping[str, int | None]) -> dict[str, int]:
    """Return class ids by name with a video's classes added, which keep their ids if no other class has them.

    Args:
        shared: class ids of other videos, which stay.
        classes: class ids of the video by class name; None: any id.
    """
    merged = dict(shared)
    free = (class_id for class_id in count(1) if class_id not in {*merged.values(), *classes.values()})
    for name, class_id in classes.items():
        if name not in merged:
            merged[name] = next(free) if class_id is None or class_id in merged.values() else class_id
    return merged


def encode_rle(mask: np.ndarray) -> np.ndarray:
    """Return the run lengths of an H×W bool mask."""
    flat = np.asarray(mask, dtype=bool).T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat.size and flat[0] else [], [0], changes, [flat.size]])
    return np.diff(edges).astype(np.int64)


def decode_rle(rle: np.ndarray, size: Size) -> np.ndarray:
    """Return the H×W bool mask of run lengths."""
    flat = np.repeat(np.arange(len(rle)) % 2 == 1, rle)
    return flat.reshape(size[1], size[0]).T


def parse_rle(counts: object, size: Size) -> np.ndarray:
    """Return the run lengths of counts or of COCO's compressed text.

    Raises `InputError` if they do not fill the image.
    """
    rle = decompress_rle(counts) if isinstance(counts, str) else counts
    if (
        not isinstance(rle, list)
        or not all(isinstance(count, int) and 0 <= count <= size[0] * size[1] for count in rle)
        or sum(rle) != size[0] * size[1]
    ):
        raise InputError(
            f"its run lengths do not fill an image of {size[1]}×{size[0]}; expected COCO run lengths"
        )
    result = np.array(rle, dtype=np.int64)
    return result if result[1:].all() else encode_rle(decode_rle(result, size))  # without empty runs


def decompress_rle(text: str) -> list[int] | None:
    """Return the counts of COCO's compressed run lengths; None if the text is damaged.

    A letter holds five bits of a count, lowest first, and one bit that is set if more letters follow. From the fourth
    count on, the difference to the last but one is stored. pycocotools reads past the end of damaged text.
    """
    counts: list[int] = []
    count = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift == 60:  # at most 12 letters
            return None
        count |= (code & 31) << shift
        shift += 5
        if code & 32 == 0:
            if code & 16:  # negative
                count -= 1 << shift
            counts.append(count + counts[-2] if len(counts) > 2 else count)
            count = shift = 0
    return counts if shift == 0 else None


def compress_rle(rle: np.ndarray) -> str:
    """Return COCO's compressed text of run lengths; the inverse of `decompress_rle`."""
    from pycocotools import mask as coco

    pixels = int(rle.sum())
    text: bytes = coco.frPyObjects({"counts": rle.tolist(), "size": [pixels, 1]}, pixels, 1)["counts"]
    return text.decode()


def rle_to_box(rle: np.ndarray, size: Size) -> list[float]:
    """Return x, y, width and height of the box around a region; zeros if it is empty."""
    from pycocotools import mask as coco

    box: list[float] = coco.toBbox(
        coco.frPyObjects({"counts": rle.tolist(), "size": list(size)}, *size)
    ).tolist()
    return box


def require_size(height: object, width: object, expected: Size | None = None) -> Size:
    """Return the size of images according to a file.

    Raises `InputError` unless it is whole numbers from 1 to `MAX_SIDE`, and the expected size.
    """
    size = height, width
    valid = all(type(side) is int and 1 <= side <= MAX_SIDE for side in size)
    if not valid or expected not in (None, size):
        wanted = (
            f"sides of 1 to {MAX_SIDE}" if expected is None else f"{expected[1]}×{expected[0]}, as the video"
        )
        raise InputError(f"is for images of {width!s:.20}×{height!s:.20}; expected {wanted}")
    return cast(Size, size)


def fill_polygons(polygons: Sequence[Sequence[float]], size: Size) -> np.ndarray:
    """Return the run lengths of the union of polygons, each x1, y1, x2, y2, … in pixels, filled as COCO's tools do.

    Raises:
        InputError: fewer than three points, a coordinate far outside or not a number, or too long an outline.
    """
    from pycocotools import mask as coco

    outlines = [_require_outline(points, size) for points in polygons or [()]]
    filled = coco.decode(coco.merge(coco.frPyObjects(outlines, *size)))
    return encode_rle(filled > 0)


def _find_attributes(changes: Mapping[int, Attributes], frame: int) -> Attributes:
    """Return the attributes of one object on a frame, see `Annotations.add_attributes`."""
    first = min(changes, default=frame)
    return changes.get(max((start for start in changes if start <= frame), default=first), {})


def _require_outline(points: Sequence[float], size: Size) -> list[float]:
    """Return the coordinates of a polygon that can be drawn; raises as `fill_polygons`."""
    count = len(points) if isinstance(points, list | tuple) else 0
    limit = 2 * max(size) + 100
    valid = count >= 6 and not count % 2
    valid = valid and all(isinstance(value, int | float) and abs(value) <= limit for value in points)
    if valid and max(points) > 1:  # else fractions of the image
        corners = [*zip(points[::2], points[1::2], strict=True), (points[0], points[1])]
        length = sum(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairwise(corners))
        if length <= MAX_OUTLINE_LENGTH:
            return [float(value) for value in points]
    raise InputError(
        f"a polygon of {count} coordinates cannot be drawn; expected three points or more in pixels, not fractions, "
        f"of an image of {size[1]}×{size[0]}"
    )


def match_regions(regions: Sequence[ParsedRegion], video: VideoInfo) -> Annotations:
    """Assign the regions of a file to the frames of a video and to object ids.

    Frames are matched by image name (`match_frames`); by number if the file names no images, or states numbers and the
    video's frames have no names. Regions with one key are one object. Regions without a key are separate objects if all
    are on one frame; else regions of one class are one object, if no frame has two of them. An integer above 0 as a key
    is the object id; other objects get free ids in order.

    Raises:
        InputError: no object, too many, another video's frames, or ambiguous regions.
    """
    if video.frame is not None:
        drawn = [region for region in regions if region.rle is not None]
        if len({(region.frame, region.image) for region in drawn}) == 1:
            regions = [replace(region, frame=video.frame, image="") for region in drawn]
    frames = _find_frames(regions, video)
    placed = [(frame, region) for frame, region in zip(frames, regions, strict=True) if frame is not None]
    visible = [(frame, region) for frame, region in placed if region.rle is not None]
    if not visible:
        raise InputError(
            "contains no object; give a mask with an id above 0, or a polygon, where an object is"
        )
    keys = _find_keys(visible)
    ids = _assign_ids(keys)
    if max(ids.values()) > MAX_ID:
        raise InputError(f"has more than {MAX_ID} objects; split it")
    result = Annotations(video.size, {frame: [] for frame in sorted({frame for frame, _ in placed})})
    for (frame, region), key in zip(visible, keys, strict=True):
        assert region.rle is not None
        result.frames[frame].append(Region(ids[key], region.rle, attributes=region.attributes))
        if region.class_name:
            result.class_names.setdefault(ids[key], region.class_name)
    result.assigned_ids = frozenset(ids[key] for key in ids if not _is_id(key))
    return result


def _find_frames(regions: Sequence[ParsedRegion], video: VideoInfo) -> list[int | None]:
    """Return the frame of each region in the video; None for frames of other videos."""
    keys = dict.fromkeys((region.frame, region.image) for region in regions)
    named = [(frame, image) for frame, image in keys if image and (video.stems is not None or frame is None)]
    names = [image for _, image in named]
    matched = match_frames(names, video.stems, video=video.name, count_frames=video.count_frames)
    selected = {"", *select_images([image for _, image in keys if image], video.stems, video.name)}
    frames = {key: key[0] or 0 if key[1] in selected else None for key in keys}
    frames.update(zip(named, matched, strict=True))
    require_different_frames((index, image) for (_, image), index in frames.items())
    indices = [index for index in frames.values() if index is not None]
    length = video.length
    if length is not None and max(indices, default=0) >= length:
        length = video.count_frames()
    outside = [index for index in indices if index < 0 or (length is not None and index >= length)]
    if outside:
        end = "the end" if length is None else length - 1
        raise InputError(f"is for frame {outside[0]}, but the video has frames 0 to {end}")
    return [frames[region.frame, region.image] for region in regions]


def _find_keys(regions: Sequence[tuple[int, ParsedRegion]]) -> list[Hashable]:
    """Return a key for every region, given with its frame."""
    unnamed = [(frame, region.class_name) for frame, region in regions if region.key is None]
    if len({frame for frame, _ in unnamed}) <= 1:
        return [(index,) if region.key is None else region.key for index, (_, region) in enumerate(regions)]
    (frame, name), count = Counter(unnamed).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"frame {frame} has {count} regions {name!r} that cannot be told apart on other frames; "
            "export with track ids or groups, or give each object its own class"
        )
    return [("class", region.class_name) if region.key is None else region.key for _, region in regions]


def _is_id(key: Hashable) -> TypeGuard[int]:
    return isinstance(key, int) and key is not True and 0 < key <= MAX_ID


def _assign_ids(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    """Return object ids by key: integers from 1 to `MAX_ID` are kept, others get free ids in order."""
    order = dict.fromkeys(keys)
    ids: dict[Hashable, int] = {key: key for key in order if _is_id(key)}
    taken = set(ids.values())
    free = (number for number in count(1) if number not in taken)
    return ids | {key: next(free) for key in order if key not in ids}
