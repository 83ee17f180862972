"""J and F of two masks: how well one object is found in one frame.

Source: Perazzi et al. 2016, as computed by the public DAVIS 2017 evaluator. Everything up to the last divisions
counts pixels. Distances are looked up on contours packed into one integer, a bit for each pixel: shifting it moves
the whole contour, which takes a tenth of the time of a dilation by a disk. A look at merged rows comes first, and finds
all or most of a good prediction near.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

TOLERANCE = 0.008
"""Distance at which contours still match, as a fraction of the frame's diagonal."""


def region_similarity(
    annotation: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None
) -> float:
    """J: intersection over union.

    Args:
        annotation: H×W bool, the object in the ground truth.
        prediction: H×W bool.
        void: H×W bool, pixels that count on neither side.

    Returns:
        0 to 1; 1 where both masks are empty.

    Raises:
        ValueError: the masks differ in size.
    """
    annotation, prediction = _without_void(annotation, prediction, void)
    union = np.count_nonzero(annotation | prediction)
    if union == 0:
        return 1.0
    return np.count_nonzero(annotation & prediction) / union


def contour_accuracy(annotation: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """F: harmonic mean of how much of either contour lies near the other one.

    Args:
        annotation: H×W bool, the object in the ground truth.
        prediction: H×W bool.
        void: H×W bool, pixels taken out of both masks before their contours are drawn.

    Returns:
        0 to 1; 1 where neither mask has a contour, even if one is empty and the other fills the frame.

    Raises:
        ValueError: the masks differ in size.
    """
    annotation, prediction = _without_void(annotation, prediction, void)
    box = object_box(annotation | prediction)
    if box is None:
        return 1.0
    return match_contours(annotation[box], prediction[box], tolerance_radius(*annotation.shape))


def match_contours(annotation: np.ndarray, prediction: np.ndarray, radius: int) -> float:
    """F of two masks cut to their `object_box`: H×W bool each; contours match within ``radius`` pixels."""
    true, found = (_pack(_draw(mask, radius), radius) for mask in (annotation, prediction))
    if true.length == 0 or found.length == 0:
        return float(true.length == found.length)
    precision = (found.length - _count_far(found, true, radius)) / found.length
    recall = (true.length - _count_far(true, found, radius)) / true.length
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def tolerance_radius(height: int, width: int) -> int:
    """Pixels by which contours may be apart in a frame of this size: 8 at 480×854.

    In float64: at 75×100 the product is exactly 1, and float32 would round up to 2.
    """
    return math.ceil(TOLERANCE * math.sqrt(height * height + width * width))


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower-right neighbour: H×W bool to H×W bool.

    The frame's border is no contour.
    """
    height, width = mask.shape
    return _draw(mask, 1)[:height, :width]


def object_box(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels of an H×W bool or uint8 array above 0, grown by one; None where there is none.

    Contours lie up to one pixel up and left of a mask. Cut to the box of two masks together, their J and F are
    those of the whole frame.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    return slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)


class _Contour(NamedTuple):
    """The contour of an H×W mask, 8 pixels a byte."""

    rows: np.ndarray
    """uint8, of the size that `_room` gives"""
    length: int
    """number of its pixels"""
    merged: int
    """`_block` rows in one: a bit says whether any of them has a pixel in the column"""


def _draw(mask: np.ndarray, radius: int) -> np.ndarray:
    """The boundary map of an H×W bool mask, in an array of the size that `_room` gives.

    The last row and column are repeated, so they equal what lies outside. The neighbours of all pixels are then
    one slice of the flat array.
    """
    height, width = mask.shape
    rows, stride = _room(mask, radius)
    padded = np.zeros((rows + 1, stride), dtype=bool)
    padded[:height, :width] = mask
    padded[:height, width] = mask[:, -1]
    padded[height] = padded[height - 1]
    flat = padded.ravel()
    below = flat[:-stride] != flat[stride:]
    contour = flat[:-stride] != flat[1 : 1 - stride]
    contour |= below
    # the lower-right pixel differs from this one only if this or the one on the right differs from the one below
    contour[:-1] |= below[1:]
    contour = contour.reshape(rows, stride)
    contour[height:] = False
    contour[:, width:] = False
    return contour


def _room(mask: np.ndarray, radius: int) -> tuple[int, int]:
    """Rows and columns, in whole bytes, that leave ``radius`` empty ones at the end to shift contours into."""
    height, width = mask.shape
    return height + radius, (width + radius + 7) // 8 * 8


def _pack(contour: np.ndarray, radius: int) -> _Contour:
    """A boundary map in an array of the size that `_room` gives, packed and merged."""
    block = _block(radius)
    blocks = len(contour) // block
    rows = np.packbits(contour).reshape(len(contour), -1)
    merged = np.bitwise_or.reduce(rows[: blocks * block].reshape(blocks, block, -1), axis=1)
    return _Contour(rows, int(cv2.norm(rows, cv2.NORM_HAMMING)), _bits(merged))


def _bits(rows: np.ndarray) -> int:
    """All pixels as one integer, a bit each, row after row."""
    return int.from_bytes(rows.tobytes(), "big")


def _block(radius: int) -> int:
    """How many rows are merged: few enough for pixels of adjacent blocks and close columns to be near."""
    return max(radius // 2, 1)


def _count_far(contour: _Contour, other: _Contour, radius: int) -> int:
    """How many pixels of ``contour`` lie more than ``radius`` pixels from those of ``other``."""
    block, height, stride = _block(radius), len(other.rows), 8 * other.rows.shape[1]
    # pixels of adjacent blocks are up to 2 * block - 1 rows apart, which leaves so many columns
    columns = math.isqrt(radius**2 - (2 * block - 1) ** 2)
    near = _spread(_spread(other.merged, 0, columns), 0, 1, stride)
    far = contour.merged ^ (contour.merged & near)
    if not far:
        return 0
    # only these rows need an exact look; the last one has the lowest bits
    lowest, highest = ((bits.bit_length() - 1) // stride for bits in (far & -far, far))
    top, bottom = (height // block * block - rows * block for rows in (highest + 1, lowest))
    others = _bits(other.rows[max(top - radius, 0) : bottom + radius])
    pixels = _bits(contour.rows[top:bottom]) << (min(bottom + radius, height) - bottom) * stride
    return _beyond(pixels, others, radius, stride).bit_count()


def _beyond(far: int, other: int, radius: int, stride: int) -> int:
    """Bits of ``far`` more than ``radius`` pixels from ``other``; rows end in ``radius`` empty bits."""
    reach = 0
    for rows in range(radius, -1, -1):
        # so many rows from its middle, a disk reaches this far to either side
        width = math.isqrt(radius * radius - rows * rows)
        other, reach = _spread(other, reach, width), width
        far ^= far & (other << rows * stride | other >> rows * stride)
    return far


def _spread(bits: int, reach: int, wanted: int, unit: int = 1) -> int:
    """Bits spread by ``wanted`` times ``unit`` bits to either side, from those spread by ``reach`` times."""
    while reach < wanted:
        step = min(wanted - reach, 2 * reach + 1)
        bits |= bits << step * unit | bits >> step * unit
        reach += step
    return bits


def _without_void(
    annotation: np.ndarray, prediction: np.ndarray, void: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as bool, void pixels cleared."""
    if annotation.shape != prediction.shape or annotation.ndim != 2:
        raise ValueError(
            f"masks must be two H×W arrays of one size, got {annotation.shape} and {prediction.shape}"
        )
    annotation, prediction = annotation.astype(bool, copy=False), prediction.astype(bool, copy=False)
    if void is None:
        return annotation, prediction
    if void.shape != annotation.shape:
        raise ValueError(f"the void mask must have the masks' size {annotation.shape}, got {void.shape}")
    kept = ~void.astype(bool, copy=False)
    return annotation & kept, prediction & kept
