"""What all formats are turned into and made of: regions of objects on frames, as run lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from aotlab.utils.errors import InputError

Size = tuple[int, int]
"""(height, width) in pixels"""

LONGEST_SIDE = 32768
"""Pixels of a side above which a stated size is taken for a mistake."""
MOST_REGIONS = 5_000_000
"""Regions of one file, over all frames."""
LONGEST_OUTLINE = 2_000_000
"""Pixels of one outline; tracing it takes memory in proportion."""


@dataclass(frozen=True)
class Region:
    """The pixels of one object on one frame."""

    object_id: int
    runs: np.ndarray
    """lengths of alternating runs of pixels outside and inside, column by column (COCO's order), int64"""
    confidence: float = 1.0
    lost: bool = False


@dataclass
class Annotations:
    """Objects of one video on some of its frames; an overlap belongs to the region that comes later."""

    size: Size
    frames: dict[int, list[Region]] = field(default_factory=dict)
    """by frame number"""
    labels: dict[int, str] = field(default_factory=dict)
    """class of an object by its id, where the file says one"""
    stems: dict[int, str] = field(default_factory=dict)
    """name without suffix of the picture of a frame, where the file says one"""

    def objects(self) -> list[int]:
        """Ids of all objects, ascending."""
        return sorted({region.object_id for regions in self.frames.values() for region in regions})

    def mask(self, frame: int) -> np.ndarray:
        """H×W ids of the objects on a frame, 0 is background; uint8, or uint16 where an id of the frame needs it."""
        largest = max((region.object_id for region in self.frames.get(frame, ())), default=0)
        mask = np.zeros(self.size, dtype=np.min_scalar_type(largest))
        for region in self.frames.get(frame, ()):
            mask[pixels(region.runs, self.size)] = region.object_id
        return mask


def require_size(height: object, width: object, name: str) -> Size:
    """The size a file states, if it is one.

    Raises:
        InputError: no whole numbers from 1 to `LONGEST_SIDE`.
    """
    if not all(
        isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= LONGEST_SIDE
        for side in (height, width)
    ):
        raise InputError(
            f"{name}: states a size of {_short(width)}×{_short(height)}; "
            f"expected whole numbers of pixels from 1 to {LONGEST_SIDE}"
        )
    return int(height), int(width)  # type: ignore[call-overload]


def require_runs(counts: object, size: Size, name: str) -> np.ndarray:
    """Run lengths from a file: a list of counts, or COCO's compressed text.

    Raises:
        InputError: they do not fill a picture of this size.
    """
    wrong = InputError(
        f"{name}: its run lengths do not fill a picture of {size[1]}×{size[0]}; expected COCO run lengths"
    )
    if isinstance(counts, str):
        runs = decompress(counts, most=size[0] * size[1] + 2)
    elif isinstance(counts, list) and all(isinstance(count, int) for count in counts):
        runs = counts
    else:
        raise wrong
    if any(not 0 <= count <= size[0] * size[1] for count in runs) or sum(runs) != size[0] * size[1]:
        raise wrong
    return np.array(runs, dtype=np.int64)


def decompress(text: str, *, most: int) -> list[int]:
    """Counts of COCO's compressed run lengths, as far as they can be read; at most ``most`` of them.

    Each count is a little-endian number of six bits a letter, of which one says whether more follow; from the third on
    a count is the difference to that two before. pycocotools reads past the end of a damaged text: hence this check.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 60 or len(counts) > most:
            return [-1]
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts if not shift else [-1]


def compress(runs: Iterable[int]) -> str:
    """COCO's compressed text of run lengths; the inverse of `decompress`."""
    counts = [int(count) for count in runs]
    letters = []
    for index, count in enumerate(counts):
        rest = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            code, rest = rest & 31, rest >> 5
            more = rest != (-1 if code & 16 else 0)
            letters.append(chr(code + 32 * more + 48))
    return "".join(letters)


def pixels(runs: np.ndarray, size: Size) -> np.ndarray:
    """H×W bool of run lengths."""
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[1], size[0]).T


def runs_of(mask: np.ndarray) -> np.ndarray:
    """Run lengths of an H×W bool mask."""
    flat = np.asarray(mask, dtype=bool).T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat.size and flat[0] else [], [0], changes, [flat.size]])
    return np.diff(edges).astype(np.int64)


def runs_of_polygons(polygons: Sequence[Sequence[float]], size: Size, name: str) -> np.ndarray:
    """Run lengths of the union of polygons, each x1, y1, x2, y2, … in pixels, filled as COCO's tools do.

    Raises:
        InputError: fewer than three points, a coordinate that is no number or far outside, an outline without end.
    """
    from pycocotools import mask as coco

    outlines = [require_outline(points, size, name) for points in polygons]
    if not outlines:
        raise InputError(f"{name}: a polygon without points; expected at least three")
    filled = coco.decode(coco.merge(coco.frPyObjects(outlines, *size)))
    return runs_of(filled > 0)


def require_outline(points: Sequence[float], size: Size, name: str) -> list[float]:
    """The coordinates of a polygon, if it can be drawn; raises as `runs_of_polygons`."""
    if not isinstance(points, list | tuple) or len(points) < 6 or len(points) % 2:
        raise InputError(f"{name}: a polygon of {_count(points)} coordinates; expected three points or more")
    limit = 2 * max(size) + 100
    for value in points:
        if not isinstance(value, int | float) or not abs(value) <= limit:
            raise InputError(
                f"{name}: a coordinate of {_short(value)} on a picture of {size[1]}×{size[0]}; "
                "expected pixels in the picture"
            )
    corners = [*zip(points[::2], points[1::2], strict=True), (points[0], points[1])]
    if sum(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairwise(corners)) > LONGEST_OUTLINE:
        raise InputError(
            f"{name}: an outline longer than {LONGEST_OUTLINE} pixels; expected one around an object"
        )
    return [float(value) for value in points]


def outlines_of(mask: np.ndarray) -> list[list[float]]:
    """Polygons around the parts of an H×W bool mask, largest first: x1, y1, x2, y2, … in pixels; holes are filled.

    They run a quarter of a pixel inside the edge, so that filling them gives the mask again but for what smoothing a
    staircase changes.
    """
    import cv2

    twice = np.repeat(np.repeat(mask.astype(np.uint8), 2, 0), 2, 1)
    contours, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        corners = cv2.approxPolyDP(contour, 0.6, True)[:, 0, :]
        outlines.append([float(value) for value in ((corners + 0.5) / 2).ravel()])
    return outlines


def _count(points: object) -> int:
    return len(points) if isinstance(points, list | tuple) else 0


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:20]}…"
