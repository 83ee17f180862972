"""Region similarity J and contour accuracy F of two masks.

Source: Perazzi et al. 2016, as computed by the public DAVIS 2017 evaluator. All counts are integers up to the last
division. A contour is packed into one integer with a bit per pixel, so a shift moves all of it; matching takes a tenth
of the time of dilation by a disk. Merged rows are compared first, which settles most pixels of a good prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from aotlab.utils.errors import InputError

TOLERANCE = 0.008
"""largest distance of matching contours, as a fraction of the frame's diagonal"""


ObjectMeasure = Callable[[np.ndarray, np.ndarray, tuple[int, int]], Sequence[float]]
"""(annotation, prediction, size) to J, F and further values of one object; both are H×W bool, cropped to the
`object_box` of both, ``size`` is (height, width) of the whole frame"""


def score_object(
    annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int], measure: ObjectMeasure
) -> Sequence[float] | float:
    """Return the values of a measure for one object, H×W bool each; 1 if both masks are empty."""
    union = annotation | prediction
    box = object_box(union) if union.size else None
    return 1.0 if box is None else measure(annotation[box], prediction[box], size)


def require_same_size(name: str, annotation: np.ndarray, prediction: np.ndarray) -> None:
    """Check that two H×W arrays have one size; raises `InputError` about the prediction ``name``."""
    (height, width), found = annotation.shape, prediction.shape
    if found != (height, width):
        raise InputError(
            f"{name}: the prediction is {found[1]}×{found[0]}, its annotation {width}×{height}; "
            "write predictions in the annotation's size"
        )


def region_and_contour(
    annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]
) -> tuple[float, float]:
    """Return J and F as an `ObjectMeasure`.

    F is 1 if neither mask has a contour, even if one is empty and the other fills the frame.
    """
    region = region_similarity(annotation, prediction)
    return region, 1.0 if region == 1 else match_contours(annotation, prediction, tolerance_radius(*size))


def region_similarity(annotation: np.ndarray, prediction: np.ndarray) -> float:
    """Return J, the intersection over union of two H×W bool masks that are not both empty."""
    # one bit of each byte is set, so the Hamming norm counts pixels
    different = int(cv2.norm(annotation.view(np.uint8), prediction.view(np.uint8), cv2.NORM_HAMMING))
    total = cv2.countNonZero((annotation | prediction).view(np.uint8))
    return (total - different) / total


def match_contours(annotation: np.ndarray, prediction: np.ndarray, radius: int) -> float:
    """Return F of two H×W bool masks cropped to their `object_box`; contours match within ``radius`` pixels."""
    true, found = (_pack(_draw(mask, radius), radius) for mask in (annotation, prediction))
    if true.length == 0 or found.length == 0:
        return float(true.length == found.length)
    precision = (found.length - _count_far(found, true, radius)) / found.length
    recall = (true.length - _count_far(true, found, radius)) / true.length
    return harmonic_mean(precision, recall)


def harmonic_mean(precision: float, recall: float) -> float:
    """Return F of precision and recall; 0 if both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def tolerance_radius(height: int, width: int) -> int:
    """Return the matching radius in pixels for a frame size, for example 8 for 480×854.

    In float64: at 75×100 the product is exactly 1, and float32 would round up to 2.
    """
    return math.ceil(TOLERANCE * math.sqrt(height * height + width * width))


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """Return the pixels that differ from their right, lower or lower-right neighbour: H×W bool to H×W bool.

    The frame's border is not a contour.
    """
    height, width = mask.shape
    return _draw(mask, 1)[:height, :width]


def object_box(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the bounding box of an H×W bool or uint8 mask as slices, padded by one pixel; None if it is empty.

    Contours lie up to one pixel above and left of a mask, so J and F of two masks cropped to their common box equal
    those of the whole frame.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    return slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)


class _Contour(NamedTuple):
    """Contour of an H×W mask, packed to 8 pixels a byte."""

    rows: np.ndarray
    """uint8, of the size returned by `_room`"""
    length: int
    """number of pixels"""
    merged: int
    """`_block` rows combined by OR"""


def _draw(mask: np.ndarray, radius: int) -> np.ndarray:
    """Draw the boundary map of an H×W bool mask into an array of the size returned by `_room`.

    The last row and column are repeated, so that the neighbours of all pixels are one slice of the flat array.
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
    """Return rows and columns, in whole bytes, with ``radius`` empty ones at the end for shifts."""
    height, width = mask.shape
    return height + radius, (width + radius + 7) // 8 * 8


def _pack(contour: np.ndarray, radius: int) -> _Contour:
    """Pack a boundary map of the size returned by `_room`."""
    block = _block(radius)
    blocks = len(contour) // block
    rows = np.packbits(contour).reshape(len(contour), -1)
    merged = np.bitwise_or.reduce(rows[: blocks * block].reshape(blocks, block, -1), axis=1)
    return _Contour(rows, int(cv2.norm(rows, cv2.NORM_HAMMING)), _bits(merged))


def _bits(rows: np.ndarray) -> int:
    """Return all pixels as one integer, one bit each, row by row."""
    return int.from_bytes(rows.tobytes(), "big")


def _block(radius: int) -> int:
    """Return the number of merged rows, small enough that adjacent blocks and close columns are within the radius."""
    return max(radius // 2, 1)


def _count_far(contour: _Contour, other: _Contour, radius: int) -> int:
    """Count the pixels of ``contour`` farther than ``radius`` pixels from ``other``."""
    block, height, stride = _block(radius), len(other.rows), 8 * other.rows.shape[1]
    # pixels of adjacent blocks are up to 2 * block - 1 rows apart, which limits the columns
    columns = math.isqrt(radius**2 - (2 * block - 1) ** 2)
    near = _spread(_spread(other.merged, 0, columns), 0, 1, stride)
    far = contour.merged ^ (contour.merged & near)
    if not far:
        return 0
    # only these rows need exact distances; the last one has the lowest bits
    lowest, highest = ((bits.bit_length() - 1) // stride for bits in (far & -far, far))
    top, bottom = (height // block * block - rows * block for rows in (highest + 1, lowest))
    others = _bits(other.rows[max(top - radius, 0) : bottom + radius])
    pixels = _bits(contour.rows[top:bottom]) << (min(bottom + radius, height) - bottom) * stride
    return _beyond(pixels, others, radius, stride).bit_count()


def _beyond(far: int, other: int, radius: int, stride: int) -> int:
    """Bits of ``far`` more than ``radius`` pixels from ``other``; rows end in ``radius`` empty bits."""
    reach = 0
    for rows in range(radius, -1, -1):
        # half-width of the disk at this row
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
