"""Simulated prompts of training: clicks, jittered boxes, strokes and rough masks, drawn as planes of pixels.

Planes are those of `aotlab.prompting.prompt_network.PLANES`: positive, negative, box, mask.
"""

from __future__ import annotations

import cv2
import numpy as np

from aotlab.media.prompt import mask_to_box
from research.bundled.clicks import distance_to_edge, find_largest_error

POSITIVE, NEGATIVE, BOX, MASK = range(4)
DISC_RADIUS = 5
"""Radius of a click's disc in pixels."""
Pixel = tuple[int, int]
"""Row and column."""


def draw_first_prompt(truth: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a first prompt: 42 % one click, 26 % a box, 12 % clicks, 10 % a stroke, 10 % a rough mask.

    Args:
        truth: H×W uint8, 1 on the object, 0 on background, 255 where pixels do not count.
        others: H×W bool, other objects, on which some negative clicks lie.

    Returns:
        4×H×W float32 planes in 0 to 1.
    """
    mask = truth == 1
    planes = np.zeros((4, *truth.shape), np.float32)
    depth, kind = distance_to_edge(mask), rng.random()
    if kind < 0.10:
        _add_given_mask(planes, truth, rng)
        return planes
    if kind < 0.52:
        add_disc(planes[POSITIVE], draw_pixel(depth, rng))
        negatives = int(bool(others.any()) and rng.random() < 0.3)
    elif kind < 0.78:
        add_box(planes[BOX], mask, rng)
        if rng.random() < 0.15:
            add_disc(planes[POSITIVE], draw_pixel(depth, rng))
        negatives = int(bool(others.any()) and rng.random() < 0.2)
    elif kind < 0.90:
        for _ in range(rng.integers(2, 4)):
            add_disc(planes[POSITIVE], draw_pixel(depth, rng, exact=0.1))
        negatives = int(rng.integers(0, 3))
    else:
        add_stroke(planes[POSITIVE], depth, rng)
        negatives = int(rng.random() < 0.3)
    for _ in range(negatives):
        add_disc(planes[NEGATIVE], _draw_negative_pixel(truth, others, rng))
    if rng.random() < 0.25:  # as in the refining pass
        planes[MASK] = distort_mask(mask, rng)
    return planes


def _add_given_mask(planes: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> None:
    """Draw in place a rough mask, usually with a click that corrects it or lies on the object."""
    planes[MASK] = distort_mask(truth == 1, rng)
    chance = rng.random()
    if chance < 0.6:
        add_correction(planes, planes[MASK], truth, rng)
    elif chance < 0.88:
        add_disc(planes[POSITIVE], draw_pixel(distance_to_edge(truth == 1), rng))


def add_correction(planes: np.ndarray, prediction: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> None:
    """Add in place a click in the deepest error of a prediction, H×W in 0 to 1; nothing if no error is deep enough."""
    depth, label = find_largest_error(prediction > 0.5, truth)
    if depth.max() >= 1:
        add_disc(planes[POSITIVE if label else NEGATIVE], draw_pixel(depth, rng))


def draw_pixel(depth: np.ndarray, rng: np.random.Generator, *, exact: float = 0.5) -> Pixel | None:
    """Draw a pixel deep inside a region: with probability ``exact`` the deepest one; None if the region is empty."""
    top = float(depth.max())
    if top <= 0:
        return None
    min_depth = top if rng.random() < exact else top * rng.uniform(0.25, 0.8)
    rows, columns = np.nonzero(depth >= min_depth)
    chosen = rng.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def add_disc(plane: np.ndarray, pixel: Pixel | None, radius: int = DISC_RADIUS) -> None:
    """Set a disc to 1 in place."""
    if pixel is not None:
        cv2.circle(plane, pixel[::-1], radius, 1.0, -1)


def add_box(plane: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> None:
    """Fill the box around a mask in place; four times in five each side is moved by 6 % of its length (one sigma)."""
    left, top, width, height = mask_to_box(mask)
    offsets = np.clip(0.06 * rng.normal(size=4), -0.12, 0.18) * (rng.random() < 0.8)
    x0, x1 = round(left - offsets[0] * width), round(left + (1 + offsets[1]) * width)
    y0, y1 = round(top - offsets[2] * height), round(top + (1 + offsets[3]) * height)
    plane[max(0, y0) : max(1, y1), max(0, x0) : max(1, x1)] = 1


def add_stroke(plane: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> None:
    """Draw in place a curve through three pixels of a region, as far as it stays inside."""
    radius = max(1, int(min(depth.max() * 0.4, rng.uniform(2, 5))))
    inside = np.argwhere(depth >= max(min(radius + 1, depth.max() * 0.5), 1e-3))
    if len(inside) == 0:
        return
    start, middle, end = inside[rng.integers(len(inside), size=3)].astype(float)
    at = np.linspace(0, 1, 24)[:, None]
    curve = (1 - at) ** 2 * start + 2 * at * (1 - at) * middle + at**2 * end
    line = np.zeros_like(plane)
    cv2.polylines(line, [np.round(curve[:, ::-1]).astype(np.int32)], False, 1.0, 2 * radius - 1)
    np.maximum(plane, line * (depth > 0), out=plane)
    add_disc(plane, (int(start[0]), int(start[1])), radius)


def distort_mask(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distort a mask H×W bool: its outline wanders, parts are missing or too much, edges are soft.

    Returns:
        H×W float32 in 0 to 1.
    """
    size = float(np.sqrt(max(mask.sum(), 30)))
    signed = np.where(mask, distance_to_edge(mask), -distance_to_edge(~mask))
    noise = rng.normal(size=(rng.integers(3, 9),) * 2).astype(np.float32)
    noise = np.asarray(cv2.resize(noise, mask.shape[::-1], interpolation=cv2.INTER_CUBIC))
    signed = signed + size * (noise * rng.uniform(0.01, 0.1) + 0.03 * rng.normal())
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for chance, value, reach in ((0.25, -9.0, (0.15, 0.45)), (0.2, 9.0, (0.1, 0.4))):
        if rng.random() < chance:
            random_pixel = (int(rng.integers(mask.shape[0])), int(rng.integers(mask.shape[1])))
            row, column = (draw_pixel(distance_to_edge(mask), rng, exact=0) if value < 0 else None) or random_pixel
            in_disc = (rows - row) ** 2 + (columns - column) ** 2 < (size * rng.uniform(*reach)) ** 2
            signed = np.where(in_disc, value, signed)
    if rng.random() < 0.3:
        return np.asarray(signed > 0, np.float32)
    width = max(0.6, size * rng.uniform(0.005, 0.05))
    return np.asarray(1 / (1 + np.exp(-np.clip(signed / width, -20, 20))), np.float32)


def _draw_negative_pixel(truth: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> Pixel | None:
    """Draw a pixel on another object, or near the object's outline."""
    if others.any() and rng.random() < 0.7:
        return draw_pixel(distance_to_edge(others & (truth != 1)), rng)
    mask = (truth == 1).astype(np.uint8)
    reach = int(min(25, 6 + 0.3 * mask.sum() ** 0.5))
    dilated = np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=reach)) > 0
    return draw_pixel(distance_to_edge(dilated & (truth == 0)), rng, exact=0.1)
