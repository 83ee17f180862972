"""Prompts, and the masks of their objects: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from aotlab_runtime.graphs import Graphs
from aotlab_runtime.images import ImageSize, label_components, measure_distance
from aotlab_runtime.inputs import InputError, is_integer_in, require, shorten
from aotlab_runtime.prediction import Prediction

log = logging.getLogger(__name__)

Crop = tuple[slice, slice]
"""rows and columns of a frame"""

EXCLUDED = np.float32(-12)
"""logit of pixels that cannot belong to an object: a probability of 6e-6, within the range of the network's logits"""
BOX_MARGIN = 0.12
"""margin around a box, as a fraction of its sides; pixels beyond it are outliers"""
EXPECTED_PROMPTS = "prompts: give a dict of prompts by object id from 1, {1: Prompt(...)}"
MAX_OUTSIDE_FRACTION = 0.1
"""A box with a larger share of its width or height outside the image is probably given as two corners."""
MAX_PART_DISTANCE = 0.5
"""A part farther than this from every clicked part is dropped; unit: square root of the area of the clicked parts."""


class CheckedPrompt(NamedTuple):
    """Arrays of a `Prompt` that fits its frame."""

    positive: np.ndarray
    """points (x, y) on the object, P×2"""
    negative: np.ndarray
    """points off the object, Q×2"""
    box: np.ndarray | None
    """(left, top) and (right, bottom), clipped to the frame, 2×2"""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: ArrayLike = ()
    """points (x, y), or a single point, on the object (positive) or off it (negative)"""
    labels: ArrayLike | None = None
    """1 for a positive, 0 for a negative point; None: all are positive"""
    box: ArrayLike | None = None
    """box around the object: left, top, width, height"""

    def check(self, size: ImageSize, object_id: int = 1) -> CheckedPrompt:
        """Return the prompt for a frame of (height, width), its box clipped; raise `InputError` if it does not fit."""
        height, width = size
        outside = f"outside the image of {width}×{height}; give pixels of the image"
        message = (
            f"prompt: points must be pairs (x, y) of finite numbers in pixels, got {shorten(self.points)}"
        )
        points = to_vectors(self.points, 2, f"{message}; give a box as Prompt(box=...)").reshape(-1, 2)
        labels = np.ones(len(points)) if self.labels is None else np.array(self.labels, object, ndmin=1)
        require(
            labels.shape == (len(points),) and np.isin(labels, (0, 1)).all(),
            f"prompt: expected a label of 0 or 1 for each of {len(points)} points, got {shorten(self.labels)}",
        )
        require(labels.any() or self.box is not None, "prompt: give a box or a point on the object")
        for x, y in points:
            require(-1 <= x <= width and -1 <= y <= height, f"point {x:g},{y:g}: {outside}")
        corners = None
        if self.box is not None:
            message = (
                f"box {shorten(self.box)}: expected left, top, width and height in pixels, at least 2 each"
            )
            box = to_vectors(self.box, 4, message)
            require(box.shape == (4,) and box[2:].min() >= 2, message)
            corners = np.stack([box[:2], box[:2] + box[2:]]).clip(0, (width, height))
            text = ",".join(f"{value:g}" for value in box)
            sides = corners[1] - corners[0]
            require(sides.min() >= 2, f"box {text}: {outside}")
            if (sides / box[2:]).min() < 1 - MAX_OUTSIDE_FRACTION:
                log.warning(
                    "box %s of object %d: extends beyond the image (%d×%d) and is cropped; "
                    "a box is left, top, width, height",
                    text, object_id, width, height,
                )  # fmt: skip
        return CheckedPrompt(points[labels == 1], points[labels == 0], corners)


Prompts = Mapping[int, Prompt | ArrayLike]
"""prompts by object id; a pair (x, y) is one point"""


def to_vectors(values: ArrayLike, length: int, message: str) -> np.ndarray:
    """Convert one or several vectors of finite numbers to an array; raise `InputError` with ``message`` for others."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise InputError(message) from error
    has_shape = array.ndim <= 2 and array.shape[-1:] == (length,)
    is_finite = array.dtype.kind in "iuf" and np.isfinite(array).all()
    require(not array.size or (has_shape and is_finite), message)
    return array.astype(float)


def has_prompts(prompts: Prompts | None) -> TypeGuard[Prompts]:
    """Return whether there are any prompts; raise `InputError` unless they are None or a dict."""
    require(prompts is None or isinstance(prompts, Mapping), EXPECTED_PROMPTS)
    return bool(prompts)


def check_prompts(prompts: Prompts, size: ImageSize) -> dict[int, CheckedPrompt]:
    """Return prompts by object id for a frame of (height, width)."""
    require(has_prompts(prompts) and all(is_integer_in(key, 1) for key in prompts), EXPECTED_PROMPTS)
    require(
        all(isinstance(prompt, Prompt) or type(prompt).__name__ != "Prompt" for prompt in prompts.values()),
        "prompts: of another package; import Prompt from aotlab_runtime",
    )
    return {
        int(key): (prompt if isinstance(prompt, Prompt) else Prompt(prompt)).check(size, int(key))
        for key, prompt in prompts.items()
    }


def draw_prompts(graphs: Graphs, frame: np.ndarray, prompts: Prompts, mask: np.ndarray) -> np.ndarray:
    """Return a mask H×W with the objects of prompts in place of their pixels in it; other objects keep theirs."""
    prediction = segment_prompts(graphs, frame, prompts, mask)
    for object_id in prediction.ids:
        if object_id not in prediction.labels:
            raise InputError(f"object {object_id}: no pixel found there; give another box or point")
    return np.where(np.isin(mask, [0, *prediction.ids]), prediction.labels, mask)


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: Prompts, mask: np.ndarray) -> Prediction:
    """Segment objects of a frame from prompts by object id, in two passes.

    ``mask``: object ids H×W; pixels of objects without a prompt are excluded.
    """
    checked_prompts = check_prompts(prompts, frame.shape[:2])
    if not graphs.prompting:
        raise InputError("this export has no prompt network; export without --no-prompts, or give a mask")
    ids = (*checked_prompts,)
    shared_prompts = share_points([*checked_prompts.values()])
    is_excluded = ~np.isin(mask, [0, *ids])
    coarse_logits = np.stack([segment_object(graphs, frame, prompt) for prompt in shared_prompts])
    coarse_logits[:, is_excluded] = EXCLUDED
    strongest = coarse_logits.max(0)
    is_overlap = (coarse_logits < strongest) & (strongest > 0)
    rough_masks = np.where(is_overlap, 0, 1 / (1 + np.exp(-coarse_logits)))
    objects = zip(shared_prompts, rough_masks, strict=True)
    logits = np.stack([segment_object(graphs, frame, prompt, rough_mask) for prompt, rough_mask in objects])
    logits[:, is_excluded] = EXCLUDED
    for object_logits, prompt in zip(logits, shared_prompts, strict=True):
        object_logits[find_pixels_far_from_prompt(object_logits > 0, prompt.positive, prompt.box)] = EXCLUDED
    logits = np.concatenate([-logits.max(0, keepdims=True), logits])
    return Prediction(ids, logits, graphs.config["confidence_temperature"])


def share_points(prompts: Sequence[CheckedPrompt]) -> list[CheckedPrompt]:
    """Add the positive points of every prompt to the negative points of all others."""
    shared = []
    for prompt in prompts:
        others = [other.positive for other in prompts if other is not prompt]
        shared.append(prompt._replace(negative=np.concatenate([prompt.negative, *others])))
    return shared


def segment_object(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the logits H×W of one object.

    The coarse pass, without a rough mask, sees the surroundings of a box, else the whole frame. The refining pass, with
    a rough mask H×W in 0 to 1, sees those of the box or of this mask; its outlines follow the edges of the image.
    """
    size, settings = frame.shape[:2], graphs.prompting
    mask = np.zeros(size, np.float32) if rough_mask is None else rough_mask
    crop, edge = np.s_[0 : size[0], 0 : size[1]], settings["frame_edge"]
    if prompt.box is not None or rough_mask is not None:
        margin = settings["coarse_margin" if rough_mask is None else "refine_margin"]
        crop, edge = find_crop(prompt, size, margin, settings["min_crop"], mask), settings["crop_edge"]
    image = frame[crop]
    input_size = choose_input_size(image.shape[:2], edge, graphs.config["model"])
    planes = draw_prompt_planes(prompt, crop, input_size, settings["click_radius"])
    outputs = graphs.run("prompt", {"image": image, "planes": planes[None], "rough_mask": mask[crop]})
    logits = np.full(size, EXCLUDED)
    logits[crop] = outputs["logits" if rough_mask is None else "refined_logits"]
    return logits


def choose_input_size(size: ImageSize, edge: float, model: Mapping[str, Any]) -> ImageSize:
    """Return the prompt network's (height, width) for a crop of (height, width) whose longer side becomes ``edge``.

    Sides are multiples of the stride, plus 1 if corners are aligned.
    """
    stride, corner_pixel = model["stages"][0]["stride"], int(model["align_corners"])
    tokens = np.rint((np.array(size) * (edge / max(size)) - corner_pixel) / stride)
    height, width = stride * np.maximum(2, tokens).astype(int) + corner_pixel
    return int(height), int(width)


def find_crop(
    prompt: CheckedPrompt, size: ImageSize, margin: float, min_side: float, rough_mask: np.ndarray
) -> Crop:
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


def draw_prompt_planes(prompt: CheckedPrompt, crop: Crop, size: ImageSize, radius: float) -> np.ndarray:
    """Draw planes 3×height×width of 0 and 1: discs of positive points, discs of negative points, and the box."""
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


def find_pixels_far_from_prompt(mask: np.ndarray, points: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Return the pixels of a mask H×W bool that lie far outside the box; without a box, those far from the points.

    ``points``: (x, y) on the object, P×2; the box extends to them. ``box``: (left, top) and (right, bottom), 2×2.
    """
    if box is None:
        return find_pixels_far_from_points(mask, points)
    margin = BOX_MARGIN * (box[1] - box[0])
    corners = np.concatenate([box + np.stack([-margin, margin]), points])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_pixels_far_from_points(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the components of a mask H×W bool far from those with a point (x, y), else from the largest."""
    height, width = mask.shape
    components = label_components(mask)
    x, y = np.rint(points).clip(0, (width - 1, height - 1)).astype(int).T
    seed = mask & np.isin(components, components[y, x])
    if not seed.any():
        seed = components == 1 + np.bincount(components.ravel(), minlength=2)[1:].argmax()
    is_near = measure_distance(seed) <= MAX_PART_DISTANCE * np.sqrt(seed.sum())
    return mask & ~np.isin(components, components[mask & is_near])
