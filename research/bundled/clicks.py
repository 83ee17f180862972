"""Simulated clicks, and the IoU of their predictions."""

from __future__ import annotations

import cv2
import numpy as np

from aotlab.evaluation.metrics import region_similarity
from aotlab.media.masks import VOID
from aotlab.media.prompt import Point


def distance_to_edge(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to the nearest pixel outside a mask H×W bool; the border is outside."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1])


def find_largest_error(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the depths H×W of what is missing (1) or surplus (0), whichever is deeper, and which it is."""
    missing = distance_to_edge((truth == 1) & ~prediction)
    surplus = distance_to_edge((truth == 0) & prediction)
    return (missing, 1) if missing.max() >= surplus.max() else (surplus, 0)


def next_click(prediction: np.ndarray, truth: np.ndarray) -> tuple[Point, int] | None:
    """Return the next click of a person, in the middle of the largest error.

    The largest error is the missing or surplus region with the deepest pixel (Xu et al., Deep Interactive Object
    Selection, 2016; Sofiiuk et al., RITM, 2021).

    Args:
        prediction: H×W bool, all False before the first click.
        truth: H×W, 1 on the object, 0 on background, 255 for ignored pixels.

    Returns:
        (x, y) and 1 on the object or 0 on background; None if nothing is wrong.
    """
    depth, label = find_largest_error(prediction, truth)
    if depth.max() <= 0:
        return None
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return (float(column), float(row)), label


def jaccard(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the IoU of a prediction H×W bool and a truth H×W of 0, 1 and 255; 1 if both are empty."""
    return region_similarity(truth == 1, prediction & (truth != VOID))
