"""Masks of objects from boxes and points on one frame: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, cast

import numpy as np

from aotlab_runtime.graphs import Graphs, InputError
from aotlab_runtime.images import Size, label_parts, measure_distance, resize

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
"""largest distance of a part without a point from those with one, as a fraction of the root of their area"""
FILTER_RADIUS = 3
"""radius of the guided filter, which is fitted at half the network's size, in its pixels"""
FILTER_VARIANCE = 1e-3
"""variance of colours in 0 to 1 below which a square counts as flat"""
EXCLUDED = -12.0
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
    excluded = np.zeros(frame.shape[:2], bool) if exclude is None else exclude
    prompts = [_add_negative(prompt, prompts) for prompt in prompts]
    coarse = [segment_coarse(graphs, frame, prompt) for prompt in prompts]
    masks = drop_losers(np.where(excluded, EXCLUDED, coarse))
    refined = [refine(graphs, frame, prompt, mask) for prompt, mask in zip(prompts, masks, strict=True)]
    logits = np.where(excluded, EXCLUDED, refined)
    for object_logits, prompt in zip(logits, prompts, strict=True):
        object_logits[find_distant(object_logits > 0, prompt)] = EXCLUDED
    return logits


def segment_coarse(graphs: Graphs, frame: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return the logits H×W of one object from a crop around its box; without a box, from the whole frame."""
    if prompt.box is None:
        whole = slice(0, frame.shape[0]), slice(0, frame.shape[1])
        return segment_crop(graphs, frame, whole, FRAME_EDGE, prompt)
    crop = find_crop(_prompt_corners(prompt), frame.shape, COARSE_MARGIN)
    return segment_crop(graphs, frame, crop, CROP_EDGE, prompt)


def drop_losers(logits: np.ndarray) -> np.ndarray:
    """Return probabilities N×H×W of logits N×H×W, 0 where another object has a higher, positive logit."""
    strongest = logits.max(0)
    return np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))


def refine(graphs: Graphs, frame: np.ndarray, prompt: Prompt, mask: np.ndarray) -> np.ndarray:
    """Return the logits H×W of one object from a crop around its rough mask H×W in 0 to 1."""
    crop = find_crop(_prompt_corners(prompt, mask), frame.shape, REFINE_MARGIN)
    return segment_crop(graphs, frame, crop, CROP_EDGE, prompt, mask)


def segment_crop(
    graphs: Graphs, frame: np.ndarray, crop: Crop, edge: int, prompt: Prompt, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the logits H×W of one object from a crop whose longer edge becomes ``edge`` pixels.

    ``mask``: rough mask H×W in 0 to 1, of which logits with outlines on edges of the frame are computed.
    """
    image, align_corners = frame[crop], graphs.config["model"]["align_corners"]
    extra, scale = int(align_corners), edge / max(image.shape)
    tokens = (max(2, round((side * scale - extra) / STRIDE)) for side in image.shape[:2])
    height, width = (STRIDE * count + extra for count in tokens)
    size = height, width
    planes = draw_planes(prompt, crop, size)
    if mask is not None:
        planes[3] = resize(mask[crop], size, antialias=True).clip(0, 1)
    resized = resize(image.transpose(2, 0, 1)[None], size, antialias=True)
    outputs = graphs.run("prompt", {"image": resized, "planes": planes[None]})
    found = resize(outputs["logits"][0, 0], image.shape[:2], align_corners=align_corners)
    logits = np.full(frame.shape[:2], EXCLUDED, np.float32)
    logits[crop] = found if mask is None else follow_edges(found, image, (height // 2, width // 2))
    return logits


def find_crop(corners: np.ndarray, shape: Sequence[int], margin: float) -> Crop:
    """Return the crop around points (x, y), square where a frame of (height, width) allows.

    ``margin``: margin on each side, as a fraction of the longer side.
    """
    low, high = corners.min(0), corners.max(0)
    side = max(MIN_CROP, (1 + 2 * margin) * float((high - low).max()))
    x, y = (low + high) / 2
    return _place_side(y, side, shape[0]), _place_side(x, side, shape[1])


def _place_side(center: float, side: float, limit: int) -> slice:
    start = round(float(np.clip(center - side / 2, 0, max(0.0, limit - side))))
    return slice(start, min(limit, start + round(side)))


def _box_corners(box: Sequence[float]) -> np.ndarray:
    left, top, width, height = box
    return np.array([(left, top), (left + width, top + height)])


def _add_negative(prompt: Prompt, prompts: Sequence[Prompt]) -> Prompt:
    """Return a prompt with the positive points of the others as negative ones."""
    negative = [*prompt.negative, *(p for other in prompts if other is not prompt for p in other.positive)]
    labels = [1] * len(prompt.positive) + [0] * len(negative)
    return Prompt([*prompt.positive, *negative], labels, prompt.box)


def _prompt_corners(prompt: Prompt, mask: np.ndarray | None = None) -> np.ndarray:
    """Return points (x, y) that the crop of an object holds; the rough mask H×W counts without a box."""
    corners = [np.reshape(prompt.positive, (-1, 2))]
    if prompt.box is not None:
        corners.append(_box_corners(prompt.box))
    elif mask is not None and (mask > 0.5).any():
        rows, columns = np.nonzero(mask > 0.5)
        corners.append(np.array([(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]))
    return np.concatenate(corners)


def draw_planes(prompt: Prompt, crop: Crop, size: Size) -> np.ndarray:
    """Draw positive points, negative points and the box of a prompt for a crop; return planes 4×h×w in 0 to 1.

    The last plane, of a rough mask, is empty.
    """
    planes = np.zeros((4, *size), np.float32)
    origin = np.array([crop[1].start, crop[0].start])
    scale = np.array([size[1] / (crop[1].stop - origin[0]), size[0] / (crop[0].stop - origin[1])])
    rows, columns = np.ogrid[: size[0], : size[1]]
    for plane, points in zip(planes, (prompt.positive, prompt.negative), strict=False):
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
    indices = [np.arange(side) for side in maps.shape[-2:]]
    rows, columns = (np.abs(index - index[:, None]) <= FILTER_RADIUS for index in indices)
    weights = rows.astype(np.float32), columns.astype(np.float32)
    return (weights[0] @ maps @ weights[1]) / np.outer(rows.sum(0), columns.sum(0)).astype(np.float32)


def find_distant(mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return the pixels of a mask H×W bool far outside its box, or in parts far from those with a point.

    If no part holds a point, the largest one counts.
    """
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    if prompt.box is not None:
        margin = BOX_MARGIN * np.array(prompt.box[2:])
        corners = [*(_box_corners(prompt.box) + np.stack([-margin, margin])), *prompt.positive]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        return mask & ~((rows >= low[1]) & (rows <= high[1]) & (columns >= low[0]) & (columns <= high[0]))
    if not mask.any():
        return mask
    parts = label_parts(mask)
    x, y = np.clip(np.rint(prompt.positive), 0, (mask.shape[1] - 1, mask.shape[0] - 1)).astype(int).T
    kept = np.zeros(parts.max() + 1, bool)  # by number of the part
    kept[parts[y, x]], kept[0] = True, False
    if not kept.any():
        kept[1 + np.argmax(np.bincount(parts.ravel())[1:])] = True
    prompted = kept[parts]
    if (prompted != mask).any():
        near = measure_distance(prompted) <= MAX_PART_DISTANCE * np.sqrt(prompted.sum())
        kept[parts[near]], kept[0] = True, False
    return mask & ~kept[parts]
