"""Painting tools. A mask is H×W bool and shows one object; points are (x, y) floats in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Point = tuple[float, float]
MAX_RADIUS = 500.0
CORNER_TOLERANCE = 1.5
CLICK_REACH = 0.25
"""Largest distance from a click to a pixel that it changes, as a share of the image's shorter edge."""
IMAGE_DISTANCE, OBJECT_DISTANCE = 0.06, 0.25
"""Largest distance of a click from its object, as a share of the image's shorter edge and of the object's size."""
SUBPIXEL_BITS = 4
"""Fractional bits of the coordinates in which OpenCV draws. In these, centers of pixels are integers."""


def draw_stroke(size: tuple[int, int], points: Sequence[Point], radius: float) -> np.ndarray:
    """Return the mask of a round brush along the points; the stroke is twice ``radius`` pixels wide."""
    import cv2

    reach = radius - 0.5  # OpenCV also fills the pixels on the outline
    image, fixed_reach = np.zeros(size, np.uint8), round(reach * 2**SUBPIXEL_BITS)
    for x, y in _to_fixed_points(points).tolist():
        cv2.circle(image, (x, y), fixed_reach, 1, -1, shift=SUBPIXEL_BITS)
    for first, second in pairwise(points):
        cv2.fillConvexPoly(image, _find_segment_corners(first, second, reach), 1, shift=SUBPIXEL_BITS)
    return image.astype(bool)


def draw_polygon(size: tuple[int, int], points: Sequence[Point]) -> np.ndarray:
    """Return the mask inside a closed line. Where the line crosses itself, the even-odd rule applies."""
    import cv2

    image = np.zeros(size, np.uint8)
    cv2.fillPoly(image, [_to_fixed_points(points)], 1, shift=SUBPIXEL_BITS)
    return image.astype(bool)


def find_corners(mask: np.ndarray) -> list[list[Point]]:
    """Return the outer outlines of a mask as polygons, at most `CORNER_TOLERANCE` pixels from it."""
    import cv2

    contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    polygons = [cv2.approxPolyDP(contour, CORNER_TOLERANCE, True)[:, 0] for contour in contours]
    return [[(x + 0.5, y + 0.5) for x, y in polygon.tolist()] for polygon in polygons if len(polygon) > 2]


def move_outline(mask: np.ndarray, before: Sequence[Point], after: Sequence[Point]) -> np.ndarray:
    """Return a mask without what only the polygon ``before`` has inside, and with what only ``after`` has."""
    old, new = draw_polygon(mask.shape, before), draw_polygon(mask.shape, after)
    return np.asarray((mask & ~(old & ~new)) | (new & ~old))


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Return a mask with its holes filled: background that is not connected to the image's border."""
    import cv2

    outside = np.pad((~mask).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2, flags=4)
    return mask | (outside[1:-1, 1:-1] == 1)


def grow(mask: np.ndarray, radius: int = 1) -> np.ndarray:
    """Return a mask, H×W bool, with the pixels around it."""
    import cv2

    return cv2.dilate(mask.astype(np.uint8), _make_disc(radius)).astype(bool)


def shrink(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask without the pixels at its edge, except at the edge of the image."""
    import cv2

    return cv2.erode(mask.astype(np.uint8), _make_disc(radius)).astype(bool)


def smooth(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask whose outline follows the mean of its surroundings."""
    import cv2

    share = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), radius, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(share > 0.5)


def drop_specks(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask without the parts that are smaller than a disc; the largest part stays."""
    import cv2

    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    return np.isin(parts, np.flatnonzero((areas >= math.pi * radius**2) | (areas == areas.max()))) & mask


def _make_disc(radius: int) -> np.ndarray:
    x = np.arange(-radius, radius + 1)
    return (x * x + x[:, None] ** 2 <= radius * (radius + 1)).astype(np.uint8)


def find_part(labels: np.ndarray, point: Point) -> np.ndarray | None:
    """Return the connected part, H×W bool, at a point of H×W ids; None if there is no object."""
    import cv2

    x, y = map(math.floor, point)
    if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x]):
        return None
    _, parts = cv2.connectedComponents((labels == labels[y, x]).astype(np.uint8), connectivity=8)
    return np.asarray(parts == parts[y, x])


def limit_to_prompt(before: np.ndarray, after: np.ndarray, points: Sequence[Point], *, positive: bool) -> np.ndarray:
    """Return ``before`` with only those changes to ``after`` that are connected to a click or scribble.

    Pixels are added if the points are positive, and removed otherwise, at most `CLICK_REACH` away from the points.
    """
    import cv2

    height, width = before.shape
    columns, rows = np.clip(np.array(points).astype(int), 0, (width - 1, height - 1)).T
    change = (after & ~before) if positive else (before & ~after)
    change &= draw_stroke(before.shape, points, max(8, round(CLICK_REACH * min(height, width))))
    _, parts = cv2.connectedComponents(change.astype(np.uint8), connectivity=8)
    return before ^ (np.isin(parts, parts[rows, columns]) & (parts > 0))


def is_far_from(mask: np.ndarray, box: Sequence[float] | None, points: Sequence[Point]) -> bool:
    """Return whether a box contains less than half of a mask, or all points are far from the mask.

    The box is x, y, width, height. Without pixels in the mask, the result is False.
    """
    rows, columns = np.nonzero(mask)
    if box is not None:
        left, top, width, height = box
        across = (columns >= left) & (columns < left + width)
        return bool((across & (rows >= top) & (rows < top + height)).sum() < len(rows) / 2)
    reach = max(2.0, IMAGE_DISTANCE * min(mask.shape), OBJECT_DISTANCE * len(rows) ** 0.5)
    distances = [np.hypot(columns + 0.5 - x, rows + 0.5 - y) for x, y in points]
    return bool(distances) and len(rows) > 0 and all(distance.min() > reach for distance in distances)


def _to_fixed_points(points: Sequence[Point] | np.ndarray) -> np.ndarray:
    """Return points in the coordinates in which OpenCV draws, N×2 int32."""
    return np.rint((np.array(points, float) - 0.5) * 2**SUBPIXEL_BITS).astype(np.int32)


def _find_segment_corners(first: Point, second: Point, radius: float) -> np.ndarray:
    """Return the corners, 4×2 int32, of the rectangle between two positions of a round brush."""
    start, end = np.array(first), np.array(second)
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length if length else np.zeros(2)
    across = np.array([-along[1], along[0]]) * radius
    return _to_fixed_points(np.array([start + across, end + across, end - across, start - across]))


def find_outlines(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return the corners (x, y) of the outlines of a mask, including those of its holes."""
    import cv2

    contours = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]
    return [[(x, y) for x, y in contour[:, 0].tolist()] for contour in contours]
