"""Regions of objects: as listed in a file, and by frame and object id."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aotlab.media.prompt import Box
from aotlab.media.rle import Size, decode_rle, encode_rle
from aotlab_video.masks.soft_masks import SoftMask
from aotlab_video.masks.value_syntax import MaskFormat

if TYPE_CHECKING:
    from aotlab_video.sources.frames import FrameSource

Attributes = Mapping[str, str | int | float | bool]
"""Values of an object's attributes by name."""
AttributeTable = dict[int, dict[int, Attributes]]
"""Attributes by object id and the frame from which they apply."""
HOLE_NAMES = ("background", "_background_", "__background__")
"""Class names of regions without an object, which cut a hole into the regions drawn before; in any letter case."""
VOID_NAME = "__ignore__"
VOID_NAMES = (VOID_NAME, "ignore", "void", "dontcare")
"""Class names of regions of undecided pixels, in any letter case."""


@dataclass(frozen=True)
class VideoInfo:
    """Video that a file of annotations belongs to."""

    name: str
    size: Size
    length: int | None = None
    """Number of frames, if known."""
    rate: str = "24"
    """Frames per second; may be a fraction."""
    frame_names: tuple[str, ...] | None = None
    """Names of the images of all frames without suffix; None if frames have no names."""
    source: FrameSource | None = None
    """Frames of the video, for their files."""
    start_number: int | None = None
    """Number of the first frame in files of masks, if frames have no names; None: 0, but a first mask 1 is refused."""
    mask_format: MaskFormat | None = None
    """Format of mask images; None: binary if all are black and white, else ids; what contradicts it is refused."""

    @classmethod
    def from_source(cls, source: FrameSource) -> VideoInfo:
        """Describe a source of frames."""
        names = tuple(map(source.frame_name, range(source.length or 0))) if source.has_names else None
        return cls(source.name, source.size, source.length, str(source.rate), names, source=source)

    def image_name(self, frame: int, name: str) -> str:
        """Return the name of a frame's image in a folder named after the video; ``name.jpg`` if it has no file."""
        file = None if self.source is None else self.source.file(frame)
        return f"{self.name}/{f'{name}.jpg' if file is None else file.name}"


class GroupKey(NamedTuple):
    """Key of regions with one label and one group number, which are one object."""

    label: str
    number: int | str


@dataclass(frozen=True)
class ParsedRegion:
    """An object on a frame, or a frame without objects, as listed in a file."""

    frame: int | None
    """Frame number in the file; None if it only names images."""
    rle: np.ndarray | None
    """Run lengths, as in `Region`; without pixels, the object is absent. None: the frame has no object, or a box."""
    class_name: str = ""
    """Empty if unset."""
    key: Hashable = None
    """Object id from 1, or any other value shared by all regions of the object; None: unknown."""
    image: str | Path = ""
    """Name of the frame's image, which may be a URL or a Windows path, or the file of its mask; empty if unset."""
    attributes: Attributes = field(default_factory=dict)
    box: Box | None = None
    """Box instead of a mask; ``rle`` is then None."""
    soft: SoftMask | None = None
    """Values from 0 to 1, which ``rle`` cuts at one half; None if they are 0 or 1."""


@dataclass(frozen=True)
class ParsedFile:
    """Contents of a file of masks, before they are matched with the frames of a video."""

    regions: Sequence[ParsedRegion]
    classes: Mapping[str, int] = field(default_factory=dict)
    """Class ids by class name; empty if unset."""
    video: str = ""
    """Name of the video; empty if unset."""
    counts_from_zero: bool = False
    """Whether the file or its format states that frames count from 0."""
    left_out: str = ""
    """Description of what is not read, with counts; empty if everything is."""


@dataclass(frozen=True, eq=False)
class Region:
    """The pixels of one object on one frame; without pixels, the object is known to be absent."""

    object_id: int
    rle: np.ndarray
    """Lengths of alternating runs of pixels outside and inside, column by column (COCO's order), int64."""
    confidence: float = 1.0
    lost: bool = False
    """Whether the object is occluded or out of frame."""
    attributes: Attributes = field(default_factory=dict)
    soft: SoftMask | None = None
    """Values from 0 to 1, as in `ParsedRegion`."""

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.rle[1::2].sum())


@dataclass(eq=False)
class Annotations(Mapping[int, np.ndarray]):
    """Objects of one video on some of its frames; an overlap belongs to the later region.

    A mapping from frame numbers, ascending, to masks, which are decoded on access.
    """

    size: Size
    frames: dict[int, list[Region]] = field(default_factory=dict)
    """Regions by frame number; empty for an annotated frame without objects."""
    class_names: dict[int, str] = field(default_factory=dict)
    """Class names by object id, if known."""
    frame_names: dict[int, str] = field(default_factory=dict)
    """Name of each frame's image without suffix, if known."""
    classes: dict[str, int] = field(default_factory=dict)
    """Ids by class name, as in the input; objects may have other classes too."""
    video: str = ""
    """Name of the video in the input; empty if unset."""
    boxes: dict[int, dict[int, Box]] = field(default_factory=dict)
    """Boxes of objects without a mask, by frame number and object id."""
    void: dict[int, np.ndarray] = field(default_factory=dict)
    """Run lengths of undecided pixels by frame number."""
    warnings: list[str] = field(default_factory=list)
    """Descriptions of what the file has and the objects lack, with counts."""
    assigned_ids: frozenset[int] = frozenset()
    """Ids of the objects that have none in the file."""

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping would compare the masks, which are arrays

    def __getitem__(self, frame: int) -> np.ndarray:
        if frame not in self.frames:
            raise KeyError(frame)
        return self.mask(frame)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.frames))

    def __len__(self) -> int:
        return len(self.frames)

    def add_mask(self, frame: int, mask: np.ndarray, soft: Mapping[int, SoftMask] = MappingProxyType({})) -> None:
        """Replace the regions of a frame by those of H×W object ids; ``soft``: values from 0 to 1 of objects."""
        ids = np.unique(mask[mask > 0]).tolist()
        self.frames[frame] = [Region(key, encode_rle(mask == key), soft=soft.get(key)) for key in ids]

    def soft_masks(self, frame: int) -> dict[int, SoftMask]:
        """Return the values from 0 to 1 that were given for objects on a frame, by id."""
        return {region.object_id: region.soft for region in self.frames.get(frame, ()) if region.soft is not None}

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
        """Return the attributes of objects by the frame from which they apply; objects without any are left out.

        Those that an object has with the same value on all its frames apply from frame 0.
        """
        table: AttributeTable = {}
        for frame, region in self.regions():
            changes = table.setdefault(region.object_id, {})
            if not changes or changes[max(changes)] != region.attributes:
                changes[frame] = region.attributes
        for object_id, changes in table.items():
            first, *others = changes.values()
            constants = dict(item for item in first.items() if all(item in values.items() for values in others))
            table[object_id] = ({0: constants} if constants else {}) | (changes if others else {})
        return {object_id: changes for object_id, changes in table.items() if any(changes.values())}

    def add_attributes(self, table: AttributeTable) -> None:
        """Give each region the attributes of its object that apply on the frame."""
        for frame, regions in self.frames.items() if table else ():
            self.frames[frame] = [
                replace(region, attributes=_find_attributes(table.get(region.object_id, {}), frame))
                for region in regions
            ]

    def frame_name(self, frame: int) -> str:
        """Return the name of a frame's image without suffix; the frame number in five digits if unknown."""
        return self.frame_names.get(frame, f"{frame:05d}")

    def mask(self, frame: int) -> np.ndarray:
        """Return H×W object ids on a frame, 0 is background, in the smallest unsigned type with a value to spare."""
        regions = self.frames.get(frame, ())
        largest = max((region.object_id for region in regions), default=0)
        mask = np.zeros(self.size, dtype=np.min_scalar_type(largest + 1))
        for region in regions:
            mask[decode_rle(region.rle, self.size)] = region.object_id
        return mask

    def void_mask(self, frame: int) -> np.ndarray:
        """Return the undecided pixels of a frame without an object, H×W bool."""
        void = decode_rle(self.void[frame], self.size) if frame in self.void else np.zeros(self.size, bool)
        return void & (self.mask(frame) == 0)


@dataclass
class ObjectClasses:
    """Classes and attributes of the objects of a video, for outputs that store them."""

    class_names: dict[int, str] = field(default_factory=dict)
    """Class names by object id."""
    class_ids: dict[str, int] = field(default_factory=dict)
    """Class ids by class name."""
    attributes: AttributeTable = field(default_factory=dict)
    """Attributes of the objects, for formats that store them."""


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


def _find_attributes(changes: Mapping[int, Attributes], frame: int) -> Attributes:
    """Return the latest attributes of an object up to a frame."""
    return changes.get(max((start for start in changes if start <= frame), default=-1), {})
