"""Regions of objects on frames as run lengths, the form between all formats; their geometry, and polygons."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from aotlab.masks.exchange.safe_files import ContentError
from aotlab.utils.numbers import LONGEST_SIDE

Size = tuple[int, int]
"""(height, width) in pixels"""
LONGEST_OUTLINE = 2_000_000
"""largest length of one outline in pixels; drawing takes memory in proportion"""


@dataclass(frozen=True)
class Found:
    """One object on one frame, as listed in a file."""

    frame: int
    """frame number in the file"""
    runs: np.ndarray
    """run lengths, as in `Region`"""
    class_name: str = ""
    """empty if unset"""
    key: Hashable = None
    """object id from 1, or any other value shared by all regions of the object; None: unknown"""
    stem: str = ""
    """stem of the frame's image; empty if unset"""


@dataclass(frozen=True)
class Region:
    """The pixels of one object on one frame."""

    object_id: int
    runs: np.ndarray
    """lengths of alternating runs of pixels outside and inside, column by column (COCO's order), int64"""
    confidence: float = 1.0
    lost: bool = False

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.runs[1::2].sum())


def mean_confidence(regions: Sequence[Region]) -> float:
    """Return the mean confidence with four decimals; 0 without regions."""
    return round(sum(region.confidence for region in regions) / max(len(regions), 1), 4)


@dataclass
class Annotations:
    """Objects of one video on some of its frames; an overlap belongs to the later region."""

    size: Size
    frames: dict[int, list[Region]] = field(default_factory=dict)
    """regions by frame number"""
    class_names: dict[int, str] = field(default_factory=dict)
    """class names by object id, if known"""
    stems: dict[int, str] = field(default_factory=dict)
    """stem of each frame's image, if known"""

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
        """Return class ids from 1 by class name, in alphabetical order."""
        names = sorted({self.class_name(object_id) for object_id in self.objects()})
        return {name: index for index, name in enumerate(names, start=1)}

    def stem(self, frame: int) -> str:
        """Return the stem of a frame's image; the frame number in five digits if unknown."""
        return self.stems.get(frame, f"{frame:05d}")

    def mask(self, frame: int) -> np.ndarray:
        """Return H×W object ids on a frame, 0 is background; uint8, or uint16 if an id of the frame needs it."""
        largest = max((region.object_id for region in self.frames.get(frame, ())), default=0)
        mask = np.zeros(self.size, dtype=np.min_scalar_type(largest))
        for region in self.frames.get(frame, ()):
            mask[pixels(region.runs, self.size)] = region.object_id
        return mask


@dataclass(frozen=True)
class Written:
    """Video of an annotation file to write."""

    video: str
    rate: str
    """frames per second; may be a fraction"""
    length: int
    """number of frames"""


def require_size(height: object, width: object, expected: Size | None = None) -> Size:
    """Return the size stated in a file.

    Raises:
        ContentError: not whole numbers from 1 to `LONGEST_SIDE`, or not the expected size.
    """
    sides = [side for side in (height, width) if type(side) is int and 1 <= side <= LONGEST_SIDE]
    if len(sides) < 2:
        raise ContentError(
            f"states a size of {width!s:.20}×{height!s:.20}; expected whole numbers from 1 to {LONGEST_SIDE}"
        )
    if expected is not None and tuple(sides) != expected:
        raise ContentError(
            f"is for images of {width}×{height}, but the video is {expected[1]}×{expected[0]}; "
            "give masks of the video's size"
        )
    return sides[0], sides[1]


def require_runs(counts: object, size: Size) -> np.ndarray:
    """Return run lengths from counts or COCO's compressed text; raises `ContentError` if they do not fill the image."""
    runs = decompress(counts, most=size[0] * size[1] + 2) if isinstance(counts, str) else counts
    if (
        not isinstance(runs, list)
        or not all(isinstance(count, int) and 0 <= count <= size[0] * size[1] for count in runs)
        or sum(runs) != size[0] * size[1]
    ):
        raise ContentError(
            f"its run lengths do not fill an image of {size[1]}×{size[0]}; expected COCO run lengths"
        )
    result = np.array(runs, dtype=np.int64)
    return result if result[1:].all() else runs_of(pixels(result, size))  # without empty runs


def decompress(text: str, *, most: int) -> list[int]:
    """Return the counts of COCO's compressed run lengths, or [-1] if the text is damaged or has too many.

    A letter holds five bits of a count, lowest first, and one bit that is set if more letters follow. From the third
    count on, the difference to the last but one is stored. pycocotools reads past the end of damaged texts.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    letters = np.diff(ends, prepend=-1)
    whole = len(codes) > 0 and codes.min() >= 0 and codes.max() < 64 and codes[-1] & 32 == 0
    if not whole or letters.max() > 12 or len(ends) > most:
        return [-1]
    starts = ends + 1 - letters
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, letters))
    counts = np.add.reduceat((codes & 31) << shifts, starts) - ((codes[ends] >> 4) << 5 * letters)
    counts[1::2], counts[2::2] = counts[1::2].cumsum(), counts[2::2].cumsum()
    return counts.tolist()


def compress(runs: Iterable[int]) -> str:
    """Return COCO's compressed text of run lengths; the inverse of `decompress`."""
    from pycocotools import mask as coco

    counts = [int(count) for count in runs]
    text: bytes = coco.frPyObjects({"counts": counts, "size": [sum(counts), 1]}, sum(counts), 1)["counts"]
    return text.decode()


def pixels(runs: np.ndarray, size: Size) -> np.ndarray:
    """Return the H×W bool mask of run lengths."""
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[1], size[0]).T


def runs_of(mask: np.ndarray) -> np.ndarray:
    """Return the run lengths of an H×W bool mask."""
    flat = np.asarray(mask, dtype=bool).T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat.size and flat[0] else [], [0], changes, [flat.size]])
    return np.diff(edges).astype(np.int64)


def runs_of_part(part: np.ndarray, left: int, top: int, size: Size) -> np.ndarray:
    """Return the run lengths of an image in which a h×w bool mask lies at (left, top).

    Raises:
        ContentError: it does not lie in the image.
    """
    height, width = part.shape
    if not (0 <= left < left + width <= size[1] and 0 <= top < top + height <= size[0]):
        raise ContentError(
            f"a mask of {width}×{height} at {left}, {top} does not lie in an image of {size[1]}×{size[0]}"
        )
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = part
    return runs_of(mask)


def box_of(runs: np.ndarray, size: Size) -> list[float]:
    """Return x, y, width and height of the box around a region; zeros if it is empty."""
    from pycocotools import mask as coco

    box: list[float] = coco.toBbox({"size": list(size), "counts": compress(runs)}).tolist()
    return box


def runs_of_polygons(polygons: Sequence[Sequence[float]], size: Size) -> np.ndarray:
    """Return the run lengths of the union of polygons, each x1, y1, x2, y2, … in pixels, filled as COCO's tools do.

    Raises:
        ContentError: fewer than three points, a coordinate far outside or not a number, or too long an outline.
    """
    from pycocotools import mask as coco

    outlines = [_outline(points, size) for points in polygons]
    if not outlines:
        raise ContentError("a polygon without points; expected at least three")
    filled = coco.decode(coco.merge(coco.frPyObjects(outlines, *size)))
    return runs_of(filled > 0)


def outlines_of(mask: np.ndarray) -> list[list[float]]:
    """Return polygons around the parts of an H×W bool mask, largest first: x1, y1, x2, y2, … in pixels.

    Holes are filled. The lines run a quarter of a pixel inside the edge, so filling them restores the mask except for
    smoothed staircases.
    """
    import cv2

    twice = np.repeat(np.repeat(mask.astype(np.uint8), 2, 0), 2, 1)
    contours, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        corners = cv2.approxPolyDP(contour, 0.6, True)[:, 0, :]
        outlines.append([float(value) for value in ((corners + 0.5) / 2).ravel()])
    return outlines


def _outline(points: Sequence[float], size: Size) -> list[float]:
    """Return the coordinates of a polygon that can be drawn; raises as `runs_of_polygons`."""
    count = len(points) if isinstance(points, list | tuple) else 0
    if count < 6 or count % 2:
        raise ContentError(f"a polygon of {count} coordinates; expected three points or more")
    limit = 2 * max(size) + 100
    for value in points:
        if not isinstance(value, int | float) or not abs(value) <= limit:
            raise ContentError(
                f"a coordinate of {value!s:.20} on an image of {size[1]}×{size[0]}; expected pixels in the image"
            )
    corners = [*zip(points[::2], points[1::2], strict=True), (points[0], points[1])]
    if sum(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairwise(corners)) > LONGEST_OUTLINE:
        raise ContentError(f"an outline longer than {LONGEST_OUTLINE} pixels; expected one around an object")
    return [float(value) for value in points]
