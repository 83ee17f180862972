"""Polygons to regions and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from aotlab.masks.exchange.regions import Size, runs_of, short
from aotlab.masks.exchange.safe_files import ContentError

LONGEST_OUTLINE = 2_000_000
"""largest length of one outline in pixels; drawing takes memory in proportion"""


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
                f"a coordinate of {short(value)} on an image of {size[1]}×{size[0]}; expected pixels in the image"
            )
    corners = [*zip(points[::2], points[1::2], strict=True), (points[0], points[1])]
    if sum(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairwise(corners)) > LONGEST_OUTLINE:
        raise ContentError(f"an outline longer than {LONGEST_OUTLINE} pixels; expected one around an object")
    return [float(value) for value in points]
