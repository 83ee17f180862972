"""Prompts as planes of pixels, the region to look at, and the parts of an answer that a prompt supports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.media.prompt import Point, Prompt

Window = tuple[int, int, int, int]
"""left, top, right and bottom in pixels of the frame, right and bottom excluded"""
RADIUS = 5.2
"""radius of a click's disc in pixels of the network"""
STROKE = 3.0
"""radius of a scribble in pixels of the network"""
NOTHING = -12.0
"""logit where an object is ruled out"""
BESIDE = 0.12
"""distance from a box, as a share of its sides, from which pixels are not of its object"""
SMALLEST = 32
"""shortest side of a closer look in pixels of the frame"""


def planes_of(prompt: Prompt, others: Iterable[Prompt], window: Window, size: tuple[int, int]) -> Tensor:
    """Draw a prompt's planes for a window that the network sees at ``size`` (height, width).

    Clicks on other objects are clicks beside this one.

    Returns:
        4×height×width in 0 to 1, in the order of `aotlab.networks.prompts.PLANES`.
    """
    left, top, right, bottom = window
    scale = np.array([size[1] / (right - left), size[0] / (bottom - top)])

    def place(points: Sequence[Point]) -> np.ndarray:
        return (np.asarray(points, float).reshape(-1, 2) - (left, top) + 0.5) * scale - 0.5

    planes = torch.zeros(4, *size)
    _discs(planes[0], place(prompt.positive), RADIUS)
    _discs(planes[0], _resampled(place(prompt.scribble)), STROKE)
    beside = [
        *prompt.negative,
        *(point for other in others for point in (*other.positive, *other.scribble[::8])),
    ]
    _discs(planes[1], place(beside), RADIUS)
    if prompt.box is not None:
        x, y, width, height = prompt.box
        edges = (np.array([x, y, x + width, y + height]) - (left, top, left, top)) * np.tile(scale, 2)
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in edges)
        planes[2, y0 : max(1, y1), x0 : max(1, x1)] = 1
    if prompt.mask is not None:
        part = torch.from_numpy(np.asarray(prompt.mask[top:bottom, left:right], np.float32))
        planes[3] = F.interpolate(part[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    return planes


def region_of(prompt: Prompt, rough: np.ndarray, margin: float) -> Window:
    """The window around a prompt and its rough mask, H×W in 0 to 1, with a margin; square where the frame allows."""
    height, width = rough.shape
    corners = [*prompt.positive, *prompt.scribble]
    if prompt.box is not None:
        x, y, across, down = prompt.box
        corners += [(x, y), (x + across, y + down)]
    else:
        rows, columns = np.nonzero(supported(rough > 0.5, prompt, near=np.inf))
        if len(rows):
            corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    if not corners:
        return 0, 0, width, height
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    side = max(SMALLEST, (1 + 2 * margin) * float((high - low).max()))
    starts, ends = [], []
    for centre, length in zip((low + high) / 2, (width, height), strict=True):
        start = round(float(np.clip(centre - side / 2, 0, max(0.0, length - side))))
        starts.append(start)
        ends.append(min(length, start + round(side)))
    return starts[0], starts[1], ends[0], ends[1]


def drop_far_parts(logits: Tensor, prompt: Prompt, near: float) -> None:
    """Rule out, in place, connected parts of an answer H×W that are far from any prompt, and pixels beside a box."""
    mask = (logits > 0).cpu().numpy()
    far = mask & ~supported(mask, prompt, near=near)
    if prompt.box is not None and prompt.mask is None:
        x, y, across, down = prompt.box
        corners = [
            (x - BESIDE * across, y - BESIDE * down),
            (x + (1 + BESIDE) * across, y + (1 + BESIDE) * down),
        ]
        points = [*corners, *prompt.positive, *prompt.scribble]
        low, high = np.min(points, axis=0), np.max(points, axis=0)
        rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
        far |= mask & ~((rows >= low[1]) & (rows <= high[1]) & (columns >= low[0]) & (columns <= high[0]))
    if far.any():
        logits[torch.from_numpy(far).to(logits.device)] = NOTHING


def supported(mask: np.ndarray, prompt: Prompt, *, near: float) -> np.ndarray:
    """Connected parts of a mask H×W bool that hold a prompt, or are near one that does.

    Without such a part the largest one counts. ``near`` is a share of the root of the prompted parts' area.
    """
    import cv2

    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    held = {_at(parts, point) for point in (*prompt.positive, *prompt.scribble)} - {0}
    areas = np.bincount(parts.ravel(), minlength=count)
    if not held:
        held = {1 + int(np.argmax(areas[1:]))}
    kept = np.isin(parts, list(held))
    if prompt.box is not None or near == np.inf:
        return mask
    away: Any = cv2.distanceTransform((~kept).astype(np.uint8), cv2.DIST_L2, 3)
    reach = near * float(np.sqrt(kept.sum()))
    close = np.unique(parts[mask & (away <= reach)])
    return np.isin(parts, close[close > 0])


def _at(parts: np.ndarray, point: Point) -> int:
    height, width = parts.shape
    column, row = (
        int(np.clip(round(value), 0, last - 1)) for value, last in zip(point, (width, height), strict=True)
    )
    return int(parts[row, column])


def _discs(plane: Tensor, centres: np.ndarray, radius: float) -> None:
    """Set a plane h×w to 1 within ``radius`` of the centres (x, y)."""
    height, width = plane.shape
    for x, y in centres:
        top, bottom = max(0, int(y - radius)), min(height, int(y + radius) + 2)
        left, right = max(0, int(x - radius)), min(width, int(x + radius) + 2)
        if top >= bottom or left >= right:
            continue
        rows, columns = torch.arange(top, bottom)[:, None], torch.arange(left, right)
        plane[top:bottom, left:right][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1


def _resampled(points: np.ndarray) -> np.ndarray:
    """Points along a polyline at most 2 apart."""
    if len(points) < 2:
        return points
    pieces = [points[-1:]]
    for start, end in pairwise(points):
        steps = max(1, int(np.ceil(np.linalg.norm(end - start) / 2)))
        pieces.append(start + (end - start) * np.linspace(0, 1, steps, endpoint=False)[:, None])
    return np.concatenate(pieces)
