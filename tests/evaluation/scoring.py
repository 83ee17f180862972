"""Scoring of one sequence's folder, and a plain evaluator of whole frames, for the tests of rules."""

import math

import numpy as np

from aotlab.evaluation.sequence_scores import join_scores, require_predictions


def score_sequence(plan, results):
    """`SequenceScores` of a plan's results."""
    require_predictions(plan, results)
    return join_scores(plan, [plan.score(results, frame) for frame in plan.frames])


def boundary(mask):
    """Pixels that differ from their right, lower or lower-right neighbor: H×W bool."""
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
    """Pixels that have one of the contour in their disk; its center is shifted by the radius's fraction."""
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
    true, found = boundary(truth), boundary(prediction)
    if not true.any() or not found.any():
        return float(true.any() == found.any())
    precision = (found & dilate(true, radius)).sum() / found.sum()
    recall = (true & dilate(found, radius)).sum() / true.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
