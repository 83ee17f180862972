"""Painting tools on the mask of one object. Masks are H×W bool; points are (x, y) floats in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from aotlab import InputError

Point = tuple[float, float]
MAX_RADIUS = 500.0
CLICK_REACH = 0.25
"""largest distance from a click at which a mask changes, relative to the image's shorter edge"""
MARK_REACH, OBJECT_REACH = 0.06, 0.25
"""distance within which a click belongs to an object, relative to the image's shorter edge and to the object's size"""
SUBPIXEL_BITS = 4
"""fractional bits of OpenCV's drawing coordinates"""


def draw_stroke(size: tuple[int, int], points: Sequence[Point], radius: float) -> np.ndarray:
    """Return the mask of a round brush of ``radius`` pixels along the points."""
    import cv2

    image = np.zeros(size, np.uint8)
    for point in points:
        cv2.circle(
            image, _to_fixed_point(point), round(radius * 2**SUBPIXEL_BITS), 1, -1, shift=SUBPIXEL_BITS
        )
    for first, second in pairwise(points):
        cv2.fillConvexPoly(image, _sweep_disc(first, second, radius), 1, shift=SUBPIXEL_BITS)
    return image.astype(bool)


def draw_polygon(size: tuple[int, int], points: Sequence[Point]) -> np.ndarray:
    """Return the mask inside a closed line, which may cross itself (even-odd rule)."""
    import cv2

    image = np.zeros(size, np.uint8)
    corners = np.array([_to_fixed_point(point) for point in points], np.int32)
    cv2.fillPoly(image, [corners], 1, shift=SUBPIXEL_BITS)
    return image.astype(bool)


def fill_mask_holes(mask: np.ndarray) -> np.ndarray:
    """Fill holes: background that is not connected to the image's border."""
    import cv2

    outside = np.pad((~mask).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2, flags=4)
    return mask | (outside[1:-1, 1:-1] == 1)


def find_part(mask: np.ndarray, point: Point) -> np.ndarray:
    """Return the connected part of the mask at a point; raises `InputError` if the point is not in the mask."""
    import cv2

    x, y = (int(value) for value in point)
    if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]):
        raise InputError(
            "split: the point is not on the object; click on the part that is to become a new one"
        )
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return np.asarray(parts == parts[y, x])


def limit_to_prompt(
    before: np.ndarray, after: np.ndarray, points: Sequence[Point], *, positive: bool
) -> np.ndarray:
    """The mask ``before`` with only that part of the change to ``after`` that a click or a scribble asks for.

    Args:
        before: H×W bool.
        after: H×W bool.
        points: of the click or scribble, in pixels. Only the connected parts of the change at a point count, within
            `CLICK_REACH` of the points.
        positive: whether pixels are added or removed.

    Returns:
        H×W bool.
    """
    import cv2

    height, width = before.shape
    columns, rows = np.clip(np.array(points).astype(int), 0, (width - 1, height - 1)).T
    change = (after & ~before) if positive else (before & ~after)
    change &= draw_stroke(before.shape, points, max(8, round(CLICK_REACH * min(height, width))))
    _, parts = cv2.connectedComponents(change.astype(np.uint8), connectivity=8)
    return before ^ (np.isin(parts, parts[rows, columns]) & (parts > 0))


def is_away(mask: np.ndarray, box: Sequence[float] | None, points: Sequence[Point]) -> bool:
    """Return whether a box has less than half of a mask inside, or all points are far from it; False without a mask.

    Args:
        mask: H×W bool.
        box: x, y, width, height.
        points: clicks, or the ends of a scribble.
    """
    rows, columns = np.nonzero(mask)
    if box is not None:
        left, top, width, height = box
        across = (columns >= left) & (columns < left + width)
        return bool((across & (rows >= top) & (rows < top + height)).sum() < len(rows) / 2)
    reach = max(2.0, MARK_REACH * min(mask.shape), OBJECT_REACH * len(rows) ** 0.5)
    distances = [np.hypot(columns + 0.5 - x, rows + 0.5 - y) for x, y in points]
    return bool(distances) and len(rows) > 0 and all(each.min() > reach for each in distances)


def _to_fixed_point(point: Point) -> tuple[int, int]:
    """Convert a point to OpenCV's units, in which pixel centers are integers."""
    return round((point[0] - 0.5) * 2**SUBPIXEL_BITS), round((point[1] - 0.5) * 2**SUBPIXEL_BITS)


def _sweep_disc(first: Point, second: Point, radius: float) -> np.ndarray:
    """Return the corners, 4×2 int32, of the area swept by a disc between two points."""
    start, end = np.array(first), np.array(second)
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length if length else np.zeros(2)
    across = np.array([-along[1], along[0]]) * radius
    corners = [start + across, end + across, end - across, start - across]
    return np.array([_to_fixed_point((float(x), float(y))) for x, y in corners], np.int32)


def find_outlines(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return the corners (x, y) of each outline of a mask H×W bool, holes included."""
    import cv2

    found = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]
    return [[(x, y) for x, y in each[:, 0].tolist()] for each in found]
