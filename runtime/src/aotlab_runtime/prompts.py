"""Masks of objects from boxes and points on one frame: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, cast

import numpy as np

from aotlab_runtime.graphs import Graphs, InputError
from aotlab_runtime.images import Size, resize

Point = tuple[float, float]
"""x and y in pixels"""
Crop = tuple[slice, slice]
"""rows and columns of a frame"""

CLICK_RADIUS = 5.2
"""radius of a point's disc in pixels of the network"""
STRIDE = 16
"""pixels of the network per token"""
FRAME_EDGE, CROP_EDGE = 321, 257
"""longer edge in pixels of whole frames and of crops in the network"""
MIN_CROP = 96
"""shortest side of a crop in pixels of the frame; smaller objects need their surroundings"""
COARSE_MARGIN, REFINE_MARGIN = 0.5, 0.15
"""margins of the crop around a box and around a rough mask, as a fraction of the object's longer side"""
BOX_MARGIN = 0.12
"""distance from a box, as a share of its sides, beyond which pixels are not of its object"""
MAX_PART_DISTANCE = 0.5
"""largest distance of a part without a point from the parts with one, as a fraction of the root of their area"""
FILTER_RADIUS = 3
"""radius of the guided filter, which is fitted at half the network's size, in its pixels"""
FILTER_VARIANCE = 1e-3
"""variance of colours in 0 to 1 below which a square counts as flat"""
ABSENT = -12.0
"""logit of pixels that an object cannot have"""


@dataclass(frozen=True)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: Sequence[Point] | Point = ()
    """points (x, y), or one point, positive on the object or negative off it"""
    labels: Sequence[int] | None = None
    """1 for a positive, 0 for a negative point; None: all are positive"""
    box: tuple[float, float, float, float] | None = None
    """box around the object: left, top, width, height"""

    def __post_init__(self) -> None:
        points: list[Any] = list(self.points)
        if len(points) == 2 and not any(np.ndim(value) for value in points):
            points = [tuple(points)]
        object.__setattr__(self, "points", points)
        labels = self.labels
        if labels is not None and (len(labels) != len(points) or not set(labels) <= {0, 1}):
            raise InputError(
                f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {labels}"
            )
        if any(np.shape(point) != (2,) or not np.isfinite(point).all() for point in points):
            raise InputError("prompt: points must be pairs (x, y) of finite numbers in pixels")
        if self.box is not None and not (
            np.shape(self.box) == (4,) and np.isfinite(self.box).all() and min(self.box[2:]) >= 2
        ):
            raise InputError(
                f"box {self.box}: expected left, top, width and height in pixels, at least 2 each"
            )
        if not self.positive and self.box is None:
            raise InputError("prompt: give a box or a point on the object")

    @property
    def positive(self) -> list[Point]:
        """Positive points."""
        return self._select_points(1)

    @property
    def negative(self) -> list[Point]:
        """Negative points."""
        return self._select_points(0)

    def _select_points(self, label: int) -> list[Point]:
        points = cast(Sequence[Point], self.points)
        labels = [1] * len(points) if self.labels is None else self.labels
        return [point for point, value in zip(points, labels, strict=True) if value == label]


def check_prompts(prompts: Mapping[int, Prompt], size: Sequence[int]) -> dict[int, Prompt]:
    """Return prompts by object id, with boxes cropped to a frame of (height, width).

    Raises:
        InputError: not prompts by object id, or one outside the frame.
    """
    height, width = size
    if (
        not isinstance(prompts, Mapping)
        or not prompts
        or not all(isinstance(object_id, Integral) and object_id > 0 for object_id in prompts)
        or not all(isinstance(prompt, Prompt) for prompt in prompts.values())
    ):
        raise InputError(
            f"prompts: got {str(prompts)[:80]}; give prompts by object id from 1, {{1: Prompt(...)}}"
        )
    checked = {}
    for object_id, prompt in prompts.items():
        for x, y in (*prompt.positive, *prompt.negative):
            if not (-1 <= x <= width and -1 <= y <= height):
                raise InputError(f"point {x:g},{y:g}: outside the image of {width}×{height}")
        box = prompt.box
        if box is not None:
            (left, top), (right, bottom) = np.clip(_box_corners(box), 0, (width, height)).tolist()
            if right - left < 2 or bottom - top < 2:
                corners = ",".join(f"{value:g}" for value in box)
                raise InputError(f"box {corners}: outside the image of {width}×{height}")
            box = (left, top, right - left, bottom - top)
        checked[object_id] = Prompt(prompt.points, prompt.labels, box)
    return checked


def segment_prompts(
    graphs: Graphs, frame: np.ndarray, prompts: Sequence[Prompt], exclude: np.ndarray | None = None
) -> np.ndarray:
    """Return logits N×H×W of the prompted objects, each against all else.

    Args:
        frame: H×W×3 uint8.
        exclude: pixels that no object can have, H×W bool.

    Raises:
        InputError: the model takes no prompts.
    """
    if not graphs.takes_prompts:
        raise InputError("this export takes no prompts; export a model with a prompt network, or give a mask")
    whole = slice(0, frame.shape[0]), slice(0, frame.shape[1])
    logits = np.full((len(prompts), *frame.shape[:2]), ABSENT, np.float32)
    excluded = np.zeros(frame.shape[:2], bool) if exclude is None else exclude
    extra = int(graphs.config["model"]["align_corners"])
    points = [[p for other in prompts if other is not prompt for p in other.positive] for prompt in prompts]
    for index, prompt in enumerate(prompts):
        crop, edge = whole, FRAME_EDGE
        if prompt.box is not None:
            crop, edge = find_crop(_prompt_corners(prompt), whole, COARSE_MARGIN), CROP_EDGE
        size = find_network_size(frame[crop].shape, edge, extra)
        logits[index][crop] = run_network(graphs, frame[crop], draw_planes(prompt, points[index], crop, size))
        logits[index][excluded] = ABSENT
    strongest = logits.max(0)
    rough = np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))
    logits[:] = ABSENT
    for index, prompt in enumerate(prompts):
        crop = find_crop(_prompt_corners(prompt, rough[index]), whole, REFINE_MARGIN)
        size = find_network_size(frame[crop].shape, CROP_EDGE, extra)
        planes = draw_planes(prompt, points[index], crop, size)
        planes[3] = resize(rough[index][crop], size, antialias=True).clip(0, 1)
        refined = run_network(graphs, frame[crop], planes)
        logits[index][crop] = follow_edges(refined, frame[crop], (size[0] // 2, size[1] // 2))
        logits[index][excluded | find_distant(logits[index] > 0, prompt)] = ABSENT
    return logits


def find_network_size(shape: Sequence[int], edge: int, extra: int) -> Size:
    """Return the network's (height, width) for a crop whose longer edge becomes ``edge``: whole tokens + ``extra``."""
    scale = edge / max(shape)
    height, width = (max(2, round((side * scale - extra) / STRIDE)) * STRIDE + extra for side in shape[:2])
    return height, width


def run_network(graphs: Graphs, image: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return the logits h×w of an object in an image h×w×3 uint8 from its planes in the network's size."""
    resized = resize(image.transpose(2, 0, 1)[None], (planes.shape[1], planes.shape[2]), antialias=True)
    logits = graphs.run("prompt", {"image": resized, "planes": planes[None]})["logits"][0, 0]
    return resize(logits, image.shape[:2], align_corners=graphs.config["model"]["align_corners"])


def find_crop(corners: np.ndarray, whole: Crop, margin: float) -> Crop:
    """Return the crop around points (x, y), square where the frame allows; the whole frame without points.

    ``margin``: margin on each side, as a fraction of the longer side.
    """
    if not len(corners):
        return whole
    low, high = corners.min(0), corners.max(0)
    side = max(MIN_CROP, (1 + 2 * margin) * float((high - low).max()))
    rows, columns = (
        _place_side(center, side, limit.stop)
        for center, limit in zip(((low + high) / 2)[::-1], whole, strict=True)
    )
    return rows, columns


def _place_side(center: float, side: float, limit: int) -> slice:
    start = round(float(np.clip(center - side / 2, 0, max(0.0, limit - side))))
    return slice(start, min(limit, start + round(side)))


def _box_corners(box: Sequence[float]) -> np.ndarray:
    left, top, width, height = box
    return np.array([(left, top), (left + width, top + height)])


def _prompt_corners(prompt: Prompt, rough: np.ndarray | None = None) -> np.ndarray:
    """Return points (x, y) that the crop of an object holds; the rough mask H×W counts without a box."""
    corners = [np.reshape(prompt.positive, (-1, 2))]
    if prompt.box is not None:
        corners.append(_box_corners(prompt.box))
    elif rough is not None and (rough > 0.5).any():
        rows, columns = np.nonzero(rough > 0.5)
        corners.append(np.array([(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]))
    return np.concatenate(corners)


def draw_planes(prompt: Prompt, negative: Sequence[Point], crop: Crop, size: Size) -> np.ndarray:
    """Draw positive points, negative points and the box of a prompt for a crop; return planes 4×h×w in 0 to 1.

    ``negative``: further negative points. The last plane, of a rough mask, is empty.
    """
    planes = np.zeros((4, *size), np.float32)
    origin = np.array([crop[1].start, crop[0].start])
    scale = np.array([size[1] / (crop[1].stop - origin[0]), size[0] / (crop[0].stop - origin[1])])
    rows, columns = np.ogrid[: size[0], : size[1]]
    for plane, points in zip(planes, (prompt.positive, [*prompt.negative, *negative]), strict=False):
        for x, y in (np.reshape(points, (-1, 2)) - origin + 0.5) * scale - 0.5:
            plane[(rows - y) ** 2 + (columns - x) ** 2 <= CLICK_RADIUS**2] = 1
    if prompt.box is not None:
        corners = (_box_corners(prompt.box) - origin) * scale
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in corners.ravel().tolist())
        planes[2, y0 : max(1, y1), x0 : max(1, x1)] = 1
    return planes


def follow_edges(logits: np.ndarray, image: np.ndarray, size: Size) -> np.ndarray:
    """Return logits H×W whose outlines lie on edges of an image H×W×3 (guided filter; He, Sun, Tang 2013).

    Around each pixel the probability is an affine function of the colour, fitted at ``size``, applied at full size.
    """
    guide = image.transpose(2, 0, 1) / np.float32(255)
    colors = resize(guide, size, antialias=True)
    mask = resize(1 / (1 + np.exp(-logits)), size, antialias=True)
    mean, mean_mask = _average(colors), _average(mask)
    covariance = _average(colors * mask) - mean * mean_mask
    variance = _average(colors[:, None] * colors) - mean[:, None] * mean
    variance += FILTER_VARIANCE * np.eye(3, dtype=np.float32)[..., None, None]
    matrices, vectors = np.moveaxis(variance, (0, 1), (2, 3)), np.moveaxis(covariance, 0, 2)[..., None]
    slope = np.moveaxis(np.linalg.solve(matrices, vectors)[..., 0], 2, 0)
    offset = mean_mask - (slope * mean).sum(0)
    affine = resize(_average(np.concatenate([slope, offset[None]])), logits.shape)
    probability = ((affine[:3] * guide).sum(0) + affine[3]).clip(1e-4, 1 - 1e-4)
    return np.log(probability / (1 - probability))


def _average(maps: np.ndarray) -> np.ndarray:
    """Return the means of maps ...×h×w over squares, at the border over their part inside."""
    rows, columns = (_band(side, FILTER_RADIUS) for side in maps.shape[-2:])
    return rows @ maps @ columns.T


def _band(side: int, radius: int) -> np.ndarray:
    index = np.arange(side)
    near = (np.abs(index - index[:, None]) <= radius).astype(np.float32)
    return near / near.sum(1, keepdims=True)


def find_distant(mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return the pixels of a mask H×W bool far outside its box, or in parts far from those with a point."""
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    if prompt.box is not None:
        margin = BOX_MARGIN * np.array(prompt.box[2:])
        corners = [*(_box_corners(prompt.box) + np.stack([-margin, margin])), *prompt.positive]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        return mask & ~((rows >= low[1]) & (rows <= high[1]) & (columns >= low[0]) & (columns <= high[0]))
    seed = np.zeros_like(mask)
    for x, y in prompt.positive:
        seed[round(np.clip(y, 0, mask.shape[0] - 1)), round(np.clip(x, 0, mask.shape[1] - 1))] = True
    prompted = grow(seed & mask, mask)
    radius = int(MAX_PART_DISTANCE * np.sqrt(prompted.sum()))
    near = _band(mask.shape[0], radius) @ prompted.astype(np.float32) @ _band(mask.shape[1], radius).T > 0
    return mask & ~grow(near & mask, mask) if prompted.any() else np.zeros_like(mask)


def grow(seed: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the 8-connected parts of a mask H×W bool that hold a pixel of ``seed``."""
    while True:
        padded = np.pad(seed, 1)
        tall = padded[:-2] | padded[1:-1] | padded[2:]
        grown = (tall[:, :-2] | tall[:, 1:-1] | tall[:, 2:]) & mask
        if (grown == seed).all():
            return seed
        seed = grown
