"""Masks of objects from boxes and points on one frame: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from aotlab_runtime.graphs import Graphs, require
from aotlab_runtime.images import ImageSize, label_parts, measure_distance
from aotlab_runtime.inputs import MAX_ID

Point = tuple[float, float]
"""x and y in pixels"""
Crop = tuple[slice, slice]
"""rows and columns of a frame"""

BOX_MARGIN = 0.12
"""distance from a box, as a fraction of its sides, beyond which pixels are not of its object"""
MAX_PART_DISTANCE = 0.5
"""largest distance of a part without a point from those with one, × sqrt(their area)"""
EXCLUDED = -12.0
"""logit of pixels that an object cannot have"""


@dataclass(frozen=True)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: Sequence[Point] | Point = ()
    """points (x, y), or one point, positive on the object or negative off it"""
    labels: Sequence[int] | None = None
    """1 for a positive, 0 for a negative point; None: all are positive"""
    box: tuple[float, float, float, float] | None = None
    """box around the object: left, top, width, height"""


class CheckedPrompt(NamedTuple):
    """A usable `Prompt` of a frame."""

    positive: list[Point]
    """points on the object"""
    negative: list[Point]
    """points off the object"""
    box: np.ndarray | None
    """corners (left, top) and (right, bottom) in the frame, 2×2"""


def check_prompts(prompts: Mapping[int, Prompt], size: Sequence[int]) -> dict[int, CheckedPrompt]:
    """Return prompts by object id, with boxes cropped to a frame of (height, width); a pair (x, y) is one point.

    Raises:
        InputError: not prompts by object id, or one outside the frame.
    """
    require(
        isinstance(prompts, Mapping)
        and len(prompts) > 0
        and all(isinstance(object_id, Integral) and 0 < object_id <= MAX_ID for object_id in prompts)
        and all(isinstance(prompt, Prompt) or np.shape(prompt) == (2,) for prompt in prompts.values()),
        f"prompts: got {str(prompts)[:80]}; give prompts by object id from 1 to {MAX_ID}, {{1: Prompt(...)}}",
    )
    parsed = {
        object_id: prompt if isinstance(prompt, Prompt) else Prompt(prompt)
        for object_id, prompt in prompts.items()
    }
    return {object_id: _check_prompt(prompt, size) for object_id, prompt in parsed.items()}


def _check_prompt(prompt: Prompt, size: Sequence[int]) -> CheckedPrompt:
    height, width = size
    points: list[Any] = list(prompt.points)
    if len(points) == 2 and not any(np.ndim(value) for value in points):
        points = [points]  # one point
    labels = [1] * len(points) if prompt.labels is None else list(prompt.labels)
    require(
        len(labels) == len(points) and set(labels) <= {0, 1},
        f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {labels}",
    )
    require(
        all(np.shape(point) == (2,) and np.isfinite(point).all() for point in points),
        "prompt: points must be pairs (x, y) of finite numbers in pixels",
    )
    numbers = np.asarray(points, float)
    require(
        not (((numbers >= 0) & (numbers <= 1)).all() and (numbers % 1).any()),
        f"points {points}: not in pixels; multiply fractions of the image by its width and height",
    )
    require(1 in labels or prompt.box is not None, "prompt: give a box or a point on the object")
    for x, y in points:
        inside = -1 <= x <= width and -1 <= y <= height
        require(inside, f"point {x:g},{y:g}: outside the image of {width}×{height}")
    positive, negative = (
        [(x, y) for (x, y), label in zip(points, labels, strict=True) if label == value] for value in (1, 0)
    )
    return CheckedPrompt(positive, negative, None if prompt.box is None else _crop_box(prompt.box, size))


def _crop_box(box: Sequence[float], size: Sequence[int]) -> np.ndarray:
    """Return the corners (left, top) and (right, bottom) of the part of a box in a frame of (height, width)."""
    require(
        np.shape(box) == (4,) and np.isfinite(box).all() and min(box[2:]) >= 2,
        f"box {box}: expected left, top, width and height in pixels, at least 2 each",
    )
    left, top, across, down = box
    corners = np.array([(left, top), (left + across, top + down)]).clip(0, (size[1], size[0]))
    text = ",".join(f"{value:g}" for value in box)
    require((corners[1] - corners[0]).min() >= 2, f"box {text}: outside the image of {size[1]}×{size[0]}")
    return corners


def segment_prompts(
    graphs: Graphs, frame: np.ndarray, prompts: Sequence[CheckedPrompt], exclude: np.ndarray | None = None
) -> np.ndarray:
    """Return logits N×H×W of the prompted objects, each against everything else.

    Args:
        frame: H×W×3 uint8.
        exclude: pixels that no object can have, H×W bool.

    Raises:
        InputError: the model takes no prompts.
    """
    sizes = graphs.prompting
    require(sizes, "this export takes no prompts; export a model with a prompt network, or give a mask")
    excluded = np.zeros(frame.shape[:2], bool) if exclude is None else exclude
    points = [prompt.positive for prompt in prompts]
    prompts = [  # points on other objects are points off this one
        prompt._replace(negative=[*prompt.negative, *chain(*points[:place], *points[place + 1 :])])
        for place, prompt in enumerate(prompts)
    ]
    logits = np.empty((len(prompts), *excluded.shape), np.float32)
    for object_logits, prompt in zip(logits, prompts, strict=True):
        crop, edge = np.s_[0 : len(frame), 0 : frame.shape[1]], sizes["frame_edge"]
        if prompt.box is not None:
            crop, edge = find_crop(sizes, prompt, frame.shape, sizes["coarse_margin"]), sizes["crop_edge"]
        object_logits[:] = segment_crop(graphs, frame, crop, edge, prompt)
    logits[:, excluded] = EXCLUDED
    strongest = logits.max(0)
    rough_masks = np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))
    for object_logits, prompt, mask in zip(logits, prompts, rough_masks, strict=True):
        crop = find_crop(sizes, prompt, frame.shape, sizes["refine_margin"], mask)
        object_logits[:] = segment_crop(graphs, frame, crop, sizes["crop_edge"], prompt, mask)
        object_logits[excluded] = EXCLUDED
        object_logits[find_far_from_prompt(object_logits > 0, prompt)] = EXCLUDED
    return logits


def segment_crop(
    graphs: Graphs,
    frame: np.ndarray,
    crop: Crop,
    edge: float,
    prompt: CheckedPrompt,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Return the logits H×W of one object from a crop whose longer edge becomes ``edge`` pixels.

    ``mask``: rough mask H×W in 0 to 1, of which logits with outlines on edges of the frame are computed.
    """
    image, extra, stride = frame[crop], int(graphs.align_corners), graphs.stride
    scale = edge / max(image.shape)
    tokens = (max(2, round((side * scale - extra) / stride)) for side in image.shape[:2])
    height, width = (stride * count + extra for count in tokens)
    rough_mask = np.zeros(image.shape[:2]) if mask is None else mask[crop]
    planes = draw_planes(prompt, crop, (height, width), graphs.prompting["click_radius"])
    inputs = {"image": image, "planes": planes[None], "rough_mask": rough_mask.astype(np.float32)}
    outputs = graphs.run("prompt", inputs)
    logits = np.full(frame.shape[:2], EXCLUDED, np.float32)
    logits[crop] = outputs["logits" if mask is None else "refined_logits"]
    return logits


def find_crop(
    sizes: Mapping[str, float],
    prompt: CheckedPrompt,
    shape: Sequence[int],
    margin: float,
    mask: np.ndarray | None = None,
) -> Crop:
    """Return the crop around a prompt, square where a frame of (height, width) allows.

    Args:
        sizes: see `Graphs.prompting`.
        margin: margin on each side, as a fraction of the longer side.
        mask: rough mask H×W in 0 to 1; counts if there is no box.
    """
    corners = [*prompt.positive]
    if prompt.box is not None:
        corners.extend(prompt.box)
    elif mask is not None and (mask > 0.5).any():
        rows, columns = np.nonzero(mask > 0.5)
        corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    side = max(sizes["min_crop"], (1 + 2 * margin) * float((high - low).max()))
    x, y = (low + high) / 2
    return _place_side(y, side, shape[0]), _place_side(x, side, shape[1])


def _place_side(center: float, side: float, limit: int) -> slice:
    start = round(float(np.clip(center - side / 2, 0, max(0.0, limit - side))))
    return slice(start, min(limit, start + round(side)))


def draw_planes(prompt: CheckedPrompt, crop: Crop, size: ImageSize, radius: float) -> np.ndarray:
    """Draw points as discs of a radius, positive then negative ones, and the box: planes 3×h×w of 0 and 1."""
    planes = np.zeros((3, *size), np.float32)
    origin = np.array([crop[1].start, crop[0].start])
    scale = np.array([size[1] / (crop[1].stop - origin[0]), size[0] / (crop[0].stop - origin[1])])
    rows, columns = np.ogrid[: size[0], : size[1]]
    for plane, points in zip(planes, (prompt.positive, prompt.negative), strict=False):
        for x, y in (np.reshape(points, (-1, 2)) - origin + 0.5) * scale - 0.5:
            plane[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
    if prompt.box is not None:
        corners = (prompt.box - origin) * scale
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in corners.ravel().tolist())
        planes[2, y0 : max(1, y1), x0 : max(1, x1)] = 1
    return planes


def find_far_from_prompt(mask: np.ndarray, prompt: CheckedPrompt) -> np.ndarray:
    """Return the pixels of a mask H×W bool far outside its box, or in parts far from those with a point.

    If no part holds a point, the largest one counts.
    """
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    if prompt.box is not None:
        margin = BOX_MARGIN * (prompt.box[1] - prompt.box[0])
        corners = [*(prompt.box + np.stack([-margin, margin])), *prompt.positive]
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
