"""J and F of two masks: how well one object is found in one frame.

Source: Perazzi et al. 2016, as computed by the public DAVIS 2017 evaluator. Everything up to the last divisions
counts pixels. Distances are looked up on contours packed into one integer, a bit for each pixel: shifting it moves
the whole contour, which takes a tenth of the time of a dilation by a disk.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

TOLERANCE = 0.008
"""Distance at which contours still match, as a fraction of the frame's diagonal."""


def region_similarity(truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """J: intersection over union.

    Args:
        truth: H×W bool, the object's true mask.
        prediction: H×W bool.
        void: H×W bool, pixels that count on neither side.

    Returns:
        0 to 1; 1 where both masks are empty.

    Raises:
        ValueError: the masks differ in size.
    """
    truth, prediction = _without_void(truth, prediction, void)
    union = np.count_nonzero(truth | prediction)
    if union == 0:
        return 1.0
    return np.count_nonzero(truth & prediction) / union


def contour_accuracy(truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None = None) -> float:
    """F: harmonic mean of how much of either contour lies near the other one.

    Args:
        truth: H×W bool, the object's true mask.
        prediction: H×W bool.
        void: H×W bool, pixels taken out of both masks before their contours are drawn.

    Returns:
        0 to 1; 1 where neither mask has a contour, even if one is empty and the other fills the frame.

    Raises:
        ValueError: the masks differ in size.
    """
    truth, prediction = _without_void(truth, prediction, void)
    box = object_box(truth | prediction)
    if box is None:
        return 1.0
    return match_contours(truth[box], prediction[box], tolerance_radius(*truth.shape))


def match_contours(truth: np.ndarray, prediction: np.ndarray, radius: int) -> float:
    """F of two masks cut to their `object_box`: H×W bool each; contours match within ``radius`` pixels."""
    stride = truth.shape[1] + radius + 1
    true_contour, found_contour = (_pack(_contour(mask, stride)) for mask in (truth, prediction))
    true_length, found_length = true_contour.bit_count(), found_contour.bit_count()
    if true_length == 0 or found_length == 0:
        return float(true_length == found_length)
    precision = _count_near(found_contour, true_contour, radius, stride) / found_length
    recall = _count_near(true_contour, found_contour, radius, stride) / true_length
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
    return _contour(mask, mask.shape[1] + 1)[:, : mask.shape[1]]


def count_near(contour: np.ndarray, other: np.ndarray, radius: int) -> int:
    """How many pixels of ``contour`` lie at most ``radius`` pixels (Euclidean) from one of ``other``; H×W bool."""
    padded = [np.pad(mask, ((0, 0), (0, radius))) for mask in (contour, other)]
    return _count_near(_pack(padded[0]), _pack(padded[1]), radius, contour.shape[1] + radius)


def object_box(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels of an H×W bool or uint8 array above 0, grown by one; None where there is none.

    Contours lie up to one pixel up and left of a mask. Cut to the box of two masks together, their J and F are
    those of the whole frame.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    return slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)


def _contour(mask: np.ndarray, stride: int) -> np.ndarray:
    """The boundary map of an H×W bool mask in rows of ``stride`` > W pixels, which are empty from W on.

    The last row and column are repeated, so they equal what lies outside. The neighbours of all pixels are then
    one slice of the flat array.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2, stride), dtype=bool)
    padded[:height, :width] = mask
    padded[:height, width] = mask[:, -1]
    padded[height] = padded[height - 1]
    flat, count = padded.ravel(), height * stride
    here = flat[:count]
    contour = here != flat[1 : count + 1]
    contour |= here != flat[stride : stride + count]
    contour |= here != flat[stride + 1 : stride + count + 1]
    contour = contour.reshape(height, stride)
    contour[:, width:] = False
    return contour


def _pack(mask: np.ndarray) -> int:
    """All pixels as one integer, a bit each, row after row."""
    return int.from_bytes(np.packbits(mask).tobytes(), "big")


def _count_near(contour: int, other: int, radius: int, stride: int) -> int:
    """`count_near` on packed masks, whose rows end in ``radius`` empty pixels: room to shift within a row."""
    # a square inside the disk takes few shifts and finds most of what a good prediction has
    side = radius // 2
    square = _spread(_spread(other, 0, side), 0, side, stride)
    far = contour ^ (contour & square)
    if far:
        far = _beyond(far, other, radius, stride)
    return contour.bit_count() - far.bit_count()


def _beyond(far: int, other: int, radius: int, stride: int) -> int:
    """Bits of ``far`` more than ``radius`` pixels from ``other``, with empty rows cut off below."""
    lowest, highest = ((bits.bit_length() - 1) // stride for bits in (far & -far, far))
    below = max(lowest - radius, 0) * stride
    rows_left = highest - lowest + 2 * radius + 1
    far >>= below
    other = other >> below & (1 << rows_left * stride) - 1
    reach = 0
    for rows in range(radius, -1, -1):
        # so many rows from its middle, a disk reaches this far to either side
        width = math.isqrt(radius * radius - rows * rows)
        other, reach = _spread(other, reach, width), width
        far ^= far & (other << rows * stride | other >> rows * stride)
    return far


def _spread(bits: int, reach: int, wanted: int, unit: int = 1) -> int:
    """Bits spread by ``wanted`` times ``unit`` places to either side, from those spread by ``reach`` times."""
    while reach < wanted:
        step = min(wanted - reach, 2 * reach + 1)
        bits |= bits << step * unit | bits >> step * unit
        reach += step
    return bits


def _without_void(
    truth: np.ndarray, prediction: np.ndarray, void: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both masks as bool, void pixels cleared."""
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise ValueError(
            f"masks must be two H×W arrays of one size, got {truth.shape} and {prediction.shape}"
        )
    truth, prediction = truth.astype(bool, copy=False), prediction.astype(bool, copy=False)
    if void is None:
        return truth, prediction
    if void.shape != truth.shape:
        raise ValueError(f"the void mask must have the masks' size {truth.shape}, got {void.shape}")
    kept = ~void.astype(bool, copy=False)
    return truth & kept, prediction & kept
