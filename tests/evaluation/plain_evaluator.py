"""The public DAVIS evaluator's algorithm written plainly: whole frames, a plane for each object, no short cuts."""

from __future__ import annotations

import math

import cv2
import numpy as np


def score_sequence(truth: np.ndarray, prediction: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """J and F, K×T each, of objects 1 to ``count`` = K.

    Args:
        truth: T×H×W ids without void.
        prediction: T×H×W ids.
        count: number of objects.
    """
    planes = [
        np.stack([labels == object_id for object_id in range(1, count + 1)]).astype(float)
        for labels in (truth, prediction)
    ]
    region = np.array([jaccard(true, found) for true, found in zip(*planes, strict=True)])
    contour = np.array(
        [
            [f_measure(*frames) for frames in zip(true, found, strict=True)]
            for true, found in zip(*planes, strict=True)
        ]
    )
    return region, contour


def jaccard(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """J of one object: T×H×W twice to (T,)."""
    truth, prediction = truth.astype(bool), prediction.astype(bool)
    common = np.sum(truth & prediction, axis=(1, 2))
    union = np.sum(truth | prediction, axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return np.where(union == 0, 1.0, common / union)


def f_measure(truth: np.ndarray, prediction: np.ndarray) -> float:
    """F of one object in one frame: H×W twice."""
    radius = math.ceil(0.008 * np.linalg.norm(truth.shape))
    true, found = boundary(truth.astype(bool)), boundary(prediction.astype(bool))
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.uint8)
    near_true = cv2.dilate(true.astype(np.uint8), disk) > 0
    near_found = cv2.dilate(found.astype(np.uint8), disk) > 0
    if not true.any() or not found.any():
        return float(true.any() == found.any())
    precision = np.sum(found & near_true) / np.sum(found)
    recall = np.sum(true & near_found) / np.sum(true)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower-right neighbour: H×W bool."""
    right, below, diagonal = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    diagonal[:-1, :-1] = mask[1:, 1:]
    edges = (mask ^ right) | (mask ^ below) | (mask ^ diagonal)
    edges[-1] = mask[-1] ^ right[-1]
    edges[:, -1] = mask[:, -1] ^ below[:, -1]
    edges[-1, -1] = False
    return edges
