"""Masks of a part of the image, and outlines of masks."""

from __future__ import annotations

import numpy as np

from aotlab import sdk
from aotlab_studio.formats import Size


def place_mask(part: np.ndarray, left: int, top: int, size: Size) -> np.ndarray:
    """Return the run lengths of an image with an h×w bool mask at (left, top); raise `ValueError` outside it."""
    height, width = part.shape
    if not (0 <= left < left + width <= size[1] and 0 <= top < top + height <= size[0]):
        raise ValueError(
            f"a mask of {width}×{height} at {left}, {top} does not lie in an image of {size[1]}×{size[0]}"
        )
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = part
    return sdk.encode_rle(mask)


def trace_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return polygons N×2 (x, y) in pixels, N at least 3, around the parts of an H×W bool mask, largest first.

    Holes are filled. The lines run a quarter of a pixel inside the edge, so filling them restores the mask except for
    smoothed staircases.
    """
    import cv2

    doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, 0), 2, 1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contours = sorted(contours, key=cv2.contourArea, reverse=True)
    outlines = [(cv2.approxPolyDP(contour, 0.6, True)[:, 0] + 0.5) / 2 for contour in contours]
    # one within the first pixel would be read as fractions of the image
    return [outline for outline in outlines if len(outline) >= 3 and outline.max() > 1]
