"""Run lengths of masks, COCO's compressed text, and polygons filled as by COCO's tools."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Size = tuple[int, int]
"""(height, width) in pixels."""
MAX_OUTLINE_LENGTH = 2_000_000
"""Largest length of one outline in pixels; drawing takes memory in proportion."""


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

    Raises `ValueError` if they do not fill the image.
    """
    rle = decompress_rle(counts) if isinstance(counts, str) else counts
    if (
        not isinstance(rle, list)
        or not all(isinstance(count, int) and 0 <= count <= size[0] * size[1] for count in rle)
        or sum(rle) != size[0] * size[1]
    ):
        raise ValueError(f"its run lengths do not fill an image of {size[1]}×{size[0]}")
    result = np.array(rle, dtype=np.int64)
    return result if result[1:].all() else encode_rle(decode_rle(result, size))  # without empty runs


def decompress_rle(text: str) -> list[int] | None:
    """Return the counts of COCO's compressed run lengths; None if the text is damaged.

    A character holds five bits of a count, lowest first, and one bit that is set if more characters follow. From the
    fourth count on, the difference to the last but one is stored. pycocotools reads past the end of damaged text.
    """
    counts: list[int] = []
    count = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift == 60:  # at most 12 characters
            return None
        count |= (code & 31) << shift
        shift += 5
        if code & 32 == 0:
            if code & 16:  # negative
                count -= 1 << shift
            counts.append(count + counts[-2] if len(counts) > 2 else count)
            count = shift = 0
    return counts if shift == 0 else None


def drop_empty_polygons(polygons: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """Return polygons without those of fewer than three points, or within the first pixel of the image.

    Raises `ValueError` unless each polygon is a list of coordinates.
    """
    if not isinstance(polygons, list) or not all(isinstance(points, list) for points in polygons):
        raise ValueError("expected a list of polygons, each a list x1, y1, x2, y2, …")
    return [points for points in polygons if len(points) % 2 or (len(points) >= 6 and not _is_at_corner(points))]


def _is_at_corner(points: Sequence[float]) -> bool:
    """Return whether all coordinates are from 0 to 1, as fractions of the image would be, up to rounding."""
    return all(isinstance(value, int | float) and 0 <= value <= 1.01 for value in points)


def fill_polygons(polygons: Sequence[Sequence[float]], size: Size) -> np.ndarray:
    """Return the run lengths of the union of polygons, each x1, y1, x2, y2, … in pixels, filled as COCO's tools do.

    Raises:
        ValueError: fewer than three points, a coordinate far outside or not a number, or too long an outline.
    """
    from pycocotools import mask as coco

    outlines = [_require_outline(points, size) for points in polygons or [()]]
    filled = coco.decode(coco.merge(coco.frPyObjects(outlines, *size)))
    return encode_rle(filled > 0)


def _require_outline(points: Sequence[float], size: Size) -> list[float]:
    """Return the coordinates of a polygon that can be drawn; raises as `fill_polygons`."""
    count = len(points) if isinstance(points, list | tuple) else 0
    limit = 2 * max(size) + 100
    valid = count >= 6 and not count % 2
    valid = valid and all(isinstance(value, int | float) and abs(value) <= limit for value in points)
    if valid and max(points) > 1:  # else fractions of the image
        corners = np.reshape([*points, *points[:2]], (-1, 2))
        if np.abs(np.diff(corners, axis=0)).max(axis=1).sum() <= MAX_OUTLINE_LENGTH:
            return [float(value) for value in points]
    raise ValueError(
        f"a polygon of {count} coordinates cannot be drawn: expected three points or more in pixels, not fractions, "
        f"of an image of {size[1]}×{size[0]}"
    )


def parse_segmentation(segmentation: Any, size: Size) -> np.ndarray:
    """Return the run lengths of polygons, a list of counts, or compressed text; raises `ValueError` for others."""
    if isinstance(segmentation, list):
        return fill_polygons(segmentation, size)
    if isinstance(segmentation, dict) and segmentation.get("size") == list(size):
        return parse_rle(segmentation.get("counts"), size)
    raise ValueError(
        f"a segmentation is {str(segmentation)[:60]!r}, not polygons or run lengths of {size[1]}×{size[0]}"
    )
