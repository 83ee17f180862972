"""Prompts, and the masks of their objects: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aotlab_runtime.graphs import Graphs
from aotlab_runtime.inputs import InputError, is_integer_in, require
from aotlab_runtime.outliers import find_outliers
from aotlab_runtime.prediction import ImageSize, Prediction

Point = tuple[float, float]
"""x and y in pixels"""

EXCLUDED = np.float32(-12)
"""logit of pixels that cannot belong to an object"""


class CheckedPrompt(NamedTuple):
    """A `Prompt` that fits its frame."""

    positive: np.ndarray
    """points (x, y) on the object, P×2"""
    negative: np.ndarray
    """points off the object, Q×2"""
    box: np.ndarray | None
    """corners (left, top) and (right, bottom) in the frame, 2×2"""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: Sequence[Point] | Point = ()
    """points (x, y), or a single point, on the object (positive) or off it (negative)"""
    labels: Sequence[int] | int | None = None
    """1 for a positive, 0 for a negative point; None: all are positive"""
    box: tuple[float, float, float, float] | None = None
    """box around the object: left, top, width, height"""

    def check(self, size: ImageSize) -> CheckedPrompt:
        """Return the prompt for a frame of (height, width), its box clipped; raise `InputError` if it does not fit."""
        height, width = size
        outside = f"outside the image of {width}×{height}; give pixels of the image"
        message = f"prompt: points must be pairs (x, y) of finite numbers in pixels, got {self.points!s:.60}"
        points = to_vectors(self.points, 2, f"{message}; give a box as Prompt(box=...)").reshape(-1, 2)
        labels = np.ones(len(points)) if self.labels is None else np.array(self.labels, object, ndmin=1)
        require(
            labels.shape == (len(points),) and np.isin(labels, (0, 1)).all(),
            f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {self.labels!s:.60}",
        )
        require(labels.any() or self.box is not None, "prompt: give a box or a point on the object")
        for x, y in points:
            require(-1 <= x <= width and -1 <= y <= height, f"point {x:g},{y:g}: {outside}")
        corners = None
        if self.box is not None:
            message = f"box {self.box!s:.60}: expected left, top, width and height in pixels, at least 2 each"
            box = to_vectors(self.box, 4, message)
            require(box.shape == (4,) and box[2:].min() >= 2, message)
            corners = np.stack([box[:2], box[:2] + box[2:]]).clip(0, (width, height))
            text = ",".join(f"{value:g}" for value in box)
            require((corners[1] - corners[0]).min() >= 2, f"box {text}: {outside}")
        return CheckedPrompt(points[labels == 1], points[labels == 0], corners)


def to_vectors(values: ArrayLike, length: int, message: str) -> np.ndarray:
    """Return one or several vectors of finite numbers, or none; raise `InputError` with ``message`` for others."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise InputError(message) from error
    has_shape = array.ndim <= 2 and array.shape[-1:] == (length,)
    is_finite = array.dtype.kind in "iuf" and np.isfinite(array).all()
    require(not array.size or (has_shape and is_finite), message)
    return array.astype(float)


def check_prompts(prompts: Mapping[int, Prompt | Point], size: ImageSize) -> dict[int, CheckedPrompt]:
    """Return prompts by object id for a frame of (height, width); a pair (x, y) is one point."""
    has_valid_ids = (
        isinstance(prompts, Mapping) and prompts and all(is_integer_in(object_id, 1) for object_id in prompts)
    )
    require(has_valid_ids, "prompts: give a dict of prompts by object id from 1, {1: Prompt(...)}")
    return {
        int(object_id): (prompt if isinstance(prompt, Prompt) else Prompt(prompt)).check(size)
        for object_id, prompt in prompts.items()
    }


def segment_prompts(
    graphs: Graphs, frame: np.ndarray, prompts: Mapping[int, Prompt | Point], mask: np.ndarray
) -> Prediction:
    """Segment objects of a frame from prompts by object id, in two passes.

    ``mask``: object ids H×W; pixels of objects without a prompt are excluded.
    """
    checked_prompts = check_prompts(prompts, frame.shape[:2])
    require(
        graphs.prompting, "this export has no prompt network; export without --no-prompts, or give a mask"
    )
    ids, exclusive_prompts = (*checked_prompts,), []
    for object_id, prompt in checked_prompts.items():  # points on other objects are points off this one
        others = [other.positive for other_id, other in checked_prompts.items() if other_id != object_id]
        exclusive_prompts.append(prompt._replace(negative=np.concatenate([prompt.negative, *others])))
    rough_masks = np.zeros((len(ids), *frame.shape[:2]), np.float32)
    for refine in (False, True):
        objects = zip(exclusive_prompts, rough_masks, strict=True)
        logits = np.stack([segment_object(graphs, frame, *inputs, refine=refine) for inputs in objects])
        logits[:, ~np.isin(mask, [0, *ids])] = EXCLUDED
        strongest = logits.max(0)  # the rough masks do not overlap
        rough_masks = np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))
    for object_logits, prompt in zip(logits, exclusive_prompts, strict=True):
        object_logits[find_outliers(object_logits > 0, prompt.positive, prompt.box)] = EXCLUDED
    logits = np.concatenate([-logits.max(0, keepdims=True), logits])
    return Prediction(ids, logits, graphs.config["confidence_temperature"])


def segment_object(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray, *, refine: bool
) -> np.ndarray:
    """Return the logits H×W of one object.

    The coarse pass sees the surroundings of a box, else the whole frame. The refining pass sees those of the box or of
    the rough mask H×W in 0 to 1; its outlines follow the edges of the image.
    """
    size, settings, model = frame.shape[:2], graphs.prompting, graphs.config["model"]
    crop, edge = np.s_[0 : size[0], 0 : size[1]], settings["frame_edge"]
    if refine or prompt.box is not None:
        margin, edge = settings["refine_margin" if refine else "coarse_margin"], settings["crop_edge"]
        crop = find_crop(prompt, size, margin, settings["min_crop"], rough_mask)
    image = frame[crop]
    # sides in the network are multiples of the stride, plus 1 if corners are aligned
    stride, corner_pixel = model["stages"][0]["stride"], int(model["align_corners"])
    tokens = np.rint((np.array(image.shape[:2]) * (edge / max(image.shape[:2])) - corner_pixel) / stride)
    rows, columns = (stride * np.maximum(2, tokens).astype(int) + corner_pixel).tolist()
    planes = draw_prompt_planes(prompt, crop, (rows, columns), settings["click_radius"])
    inputs = {"image": image, "planes": planes[None], "rough_mask": rough_mask[crop]}
    logits = np.full(size, EXCLUDED)
    logits[crop] = graphs.run("prompt", inputs)["refined_logits" if refine else "logits"]
    return logits


def find_crop(
    prompt: CheckedPrompt, size: ImageSize, margin: float, min_side: float, rough_mask: np.ndarray
) -> tuple[slice, slice]:
    """Find the rows and columns around positive points and a box, else a rough mask; square where the frame allows.

    ``margin``: on each side, as a fraction of the object's longer side.
    """
    pixels = np.argwhere(rough_mask > 0.5)[:, ::-1]
    outline = np.concatenate([pixels, pixels + 1]) if prompt.box is None else prompt.box
    corners = np.concatenate([prompt.positive, outline])
    low, high = corners.min(0), corners.max(0)
    side = max(min_side, (1 + 2 * margin) * (high - low).max())
    limit = np.array(size[::-1])
    start = np.rint(((low + high) / 2 - side / 2).clip(0, np.maximum(0, limit - side))).astype(int)
    stop = np.minimum(limit, start + round(side))
    return np.s_[start[1] : stop[1], start[0] : stop[0]]


def draw_prompt_planes(
    prompt: CheckedPrompt, crop: tuple[slice, slice], size: ImageSize, radius: float
) -> np.ndarray:
    """Draw input channels 3×h×w of 0 and 1: discs of positive points, of negative points, and the box."""
    planes = np.zeros((3, *size), np.float32)
    origin = np.array([crop[1].start, crop[0].start])
    scale = np.array([size[1] / (crop[1].stop - origin[0]), size[0] / (crop[0].stop - origin[1])])
    rows, columns = np.ogrid[: size[0], : size[1]]
    for plane, points in zip(planes[:2], (prompt.positive, prompt.negative), strict=True):
        for x, y in (points - origin + 0.5) * scale - 0.5:
            plane[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
    if prompt.box is not None:
        start, stop = np.rint((prompt.box - origin) * scale).astype(int)
        x0, y0 = start.clip(0, (size[1] - 1, size[0] - 1))
        planes[2, y0 : max(y0 + 1, stop[1]), x0 : max(x0 + 1, stop[0])] = 1  # at least one pixel
    return planes
