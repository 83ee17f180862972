"""Inputs of the prompt network: crops around prompts, and planes with the prompts drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.media.prompt import Point, Prompt

CLICK_RADIUS = 5.2
"""Radius of a click's disc in pixels of the network."""
STROKE_RADIUS = 3.0
"""Radius of a scribble in pixels of the network."""
MIN_CROP = 96
"""Shortest side of a crop in pixels of the frame; smaller objects need their surroundings."""


class CropBox(NamedTuple):
    """Part of a frame, in pixels; right and bottom are excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left


def find_crop(prompt: Prompt, size: tuple[int, int], margin: float, rough_mask: np.ndarray | None = None) -> CropBox:
    """Find the crop around a prompt and its rough mask; square where the frame allows.

    Args:
        prompt: without points, scribble, box or rough mask, the result is the whole frame.
        size: (height, width) of the frame.
        margin: margin on each side, as a fraction of the object's longer side.
        rough_mask: H×W in 0 to 1; ignored if there is a box.
    """
    corners = [*prompt.positive_points, *prompt.scribble]
    if prompt.box is not None:
        x, y, width, height = prompt.box
        corners += [(x, y), (x + width, y + height)]
    elif rough_mask is not None:
        rows, columns = np.nonzero(rough_mask > 0.5)
        if len(rows):
            corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    if not corners:
        return CropBox(0, 0, size[1], size[0])
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    side = max(MIN_CROP, (1 + 2 * margin) * float((high - low).max()))
    starts, ends = [], []
    for center, length in zip((low + high) / 2, size[::-1], strict=True):
        start = round(float(np.clip(center - side / 2, 0, max(0.0, length - side))))
        starts.append(start)
        ends.append(min(length, start + round(side)))
    return CropBox(*starts, *ends)


def draw_prompt_planes(prompt: Prompt, others: Iterable[Prompt], crop: CropBox, size: tuple[int, int]) -> Tensor:
    """Draw a prompt's planes for a crop that the network sees at ``size`` (height, width).

    Positive points of other objects are negative points of this one.

    Returns:
        4×height×width in 0 to 1, in the order of `aotlab.prompting.prompt_network.PLANES`.
    """
    left, top, right, bottom = crop
    scale = np.array([size[1] / (right - left), size[0] / (bottom - top)])

    def to_network_coordinates(points: Sequence[Point]) -> np.ndarray:
        return (np.asarray(points, float).reshape(-1, 2) - (left, top) + 0.5) * scale - 0.5

    planes = torch.zeros(4, *size)
    _draw_discs(planes[0], to_network_coordinates(prompt.positive_points), CLICK_RADIUS)
    _draw_discs(planes[0], _resample_line(to_network_coordinates(prompt.scribble)), STROKE_RADIUS)
    negative = list(prompt.negative_points)
    for other in others:
        negative += [*other.positive_points, *other.scribble[::8]]
    _draw_discs(planes[1], to_network_coordinates(negative), CLICK_RADIUS)
    if prompt.box is not None:
        x, y, width, height = prompt.box
        edges = (np.array([x, y, x + width, y + height]) - (left, top, left, top)) * np.tile(scale, 2)
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in edges)
        x0, y0 = min(x0, size[1] - 1), min(y0, size[0] - 1)
        planes[2, y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)] = 1
    if prompt.mask is not None:
        part = torch.from_numpy(np.asarray(prompt.mask[top:bottom, left:right], np.float32))
        planes[3] = F.interpolate(part[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    return planes


def _draw_discs(plane: Tensor, centers: np.ndarray, radius: float) -> None:
    """Set a plane h×w to 1 within ``radius`` of the centers (x, y)."""
    height, width = plane.shape
    for x, y in centers:
        top, bottom = max(0, int(y - radius)), min(height, int(y + radius) + 2)
        left, right = max(0, int(x - radius)), min(width, int(x + radius) + 2)
        if top >= bottom or left >= right:
            continue
        rows, columns = torch.arange(top, bottom)[:, None], torch.arange(left, right)
        plane[top:bottom, left:right][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1


def _resample_line(points: np.ndarray) -> np.ndarray:
    """Return points along a polyline at most 2 apart."""
    if len(points) < 2:
        return points
    pieces = [points[-1:]]
    for start, end in pairwise(points):
        steps = max(1, int(np.ceil(np.linalg.norm(end - start) / 2)))
        pieces.append(start + (end - start) * np.linspace(0, 1, steps, endpoint=False)[:, None])
    return np.concatenate(pieces)
