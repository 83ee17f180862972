"""Scores of one sequence, and a slow reference of the contour score F."""

import math

import numpy as np

from aotlab.evaluation.sequence_scores import METRICS, join_scores, require_predictions


def score_sequence(plan, results, metrics=METRICS):
    """Return the `SequenceScores` of a folder of results."""
    require_predictions(plan, results)
    return join_scores(plan, [plan.scorer.score(results, frame) for frame in plan.frames], metrics)


def find_boundary(mask):
    """Return the pixels that differ from their right, lower or lower-right neighbor: H×W bool."""
    right, below, diagonal = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    diagonal[:-1, :-1] = mask[1:, 1:]
    edges = (mask ^ right) | (mask ^ below) | (mask ^ diagonal)
    edges[-1] = mask[-1] ^ right[-1]
    edges[:, -1] = mask[:, -1] ^ below[:, -1]
    edges[-1, -1] = False
    return edges


def dilate(contour, radius):
    """Return the pixels with a contour pixel in their disk, whose center is shifted by the fraction of its radius."""
    size = math.ceil(2 * radius + 1)
    middle = size // 2
    shift = middle - radius
    steps = range(-middle, size - middle)
    grid = [(down, right) for down in steps for right in steps]
    disk = [(down, right) for down, right in grid if (down + shift) ** 2 + (right + shift) ** 2 <= radius**2]
    reach = np.zeros_like(contour)
    height, width = contour.shape
    for row, column in zip(*np.nonzero(contour), strict=True):
        for down, right in disk:
            if 0 <= row - down < height and 0 <= column - right < width:
                reach[row - down, column - right] = True
    return reach


def brute_force_f(truth, prediction, radius):
    true, found = find_boundary(truth), find_boundary(prediction)
    if not true.any() or not found.any():
        return float(true.any() == found.any())
    precision = (found & dilate(true, radius)).sum() / found.sum()
    recall = (true & dilate(found, radius)).sum() / true.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
