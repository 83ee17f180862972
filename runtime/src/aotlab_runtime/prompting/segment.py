"""Masks of objects from prompts, by the prompt network: a coarse pass, then a refining pass around each object."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.images import ImageSize
from aotlab_runtime.inputs import require
from aotlab_runtime.prediction import Prediction
from aotlab_runtime.prompting.prompt import CheckedPrompt, Prompts, check_prompts

Crop = tuple[slice, slice]
"""Rows and columns of a frame."""
STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""Lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask."""


def draw_prompts(graphs: Graphs, frame: np.ndarray, prompts: Prompts | None, mask: np.ndarray) -> np.ndarray:
    """Return a mask H×W in which objects with prompts have new pixels, and other objects keep theirs."""
    if prompts is None or (isinstance(prompts, Mapping) and not prompts):
        return mask
    prediction = segment_prompts(graphs, frame, prompts, mask)
    for object_id in prediction.ids:
        is_found = object_id in prediction.labels
        require(is_found, f"object {object_id}: no pixel found there; give another box or point")
    return np.where(np.isin(mask, [0, *prediction.ids]), prediction.labels, mask)


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: Prompts, mask: np.ndarray) -> Prediction:
    """Segment objects of a frame from prompts by object id.

    The coarse pass sees a crop around the box, or the whole frame. The second pass sees a crop around the object, and
    its outlines follow the edges of the image. ``mask``: object ids H×W; objects without a prompt keep their pixels.
    """
    checked = check_prompts(prompts, frame.shape[:2])
    advice = "give a mask, or export the bundled weights without --no-prompts"
    require(graphs.prompting, f"this export has no prompt network; {advice}")
    settings, excluded = graphs.prompting, graphs.prompting["excluded_logit"]
    other_objects, no_mask = ~np.isin(mask, [0, *checked]), np.zeros(mask.shape, np.float32)
    coarse, refined = np.full((2, len(checked), *mask.shape), excluded, np.float32)
    for logits, prompt in zip(coarse, checked.values(), strict=True):
        crop, edge = np.s_[0 : mask.shape[0], 0 : mask.shape[1]], settings["frame_edge"]
        if prompt.box is not None:
            crop = find_crop(prompt, no_mask, settings["coarse_margin"], settings["min_crop"])
            edge = settings["crop_edge"]
        logits[crop] = segment_crop(graphs, frame, prompt, no_mask, crop, edge)["logits"]
    coarse[:, other_objects] = excluded
    strongest = coarse.max(0)
    is_overlap = (coarse < strongest) & (strongest > 0)  # another object is more probable
    rough_masks = np.where(is_overlap, 0, 1 / (1 + np.exp(-coarse)))
    for logits, prompt, rough_mask in zip(refined, checked.values(), rough_masks, strict=True):
        crop = find_crop(prompt, rough_mask, settings["refine_margin"], settings["min_crop"])
        outputs = segment_crop(graphs, frame, prompt, rough_mask, crop, settings["crop_edge"])
        logits[crop] = outputs["refined_logits"]
        logits[other_objects] = excluded
        logits[find_far_pixels(logits > 0, prompt, settings)] = excluded
    return Prediction((*checked,), np.concatenate([-refined.max(0)[None], refined]), graphs.temperature)


def segment_crop(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray, crop: Crop, edge: float
) -> Tensors:
    """Run the prompt network on a crop of a frame.

    ``rough_mask``: H×W in 0 to 1. ``edge``: longer edge of the crop in the network, in pixels.
    """
    image, corner_pixel = frame[crop], int(graphs.align_corners)
    size = np.array(image.shape[:2]) * (edge / max(image.shape[:2]))
    tokens = np.maximum(2, np.rint((size - corner_pixel) / graphs.stride)).astype(int)
    height, width = graphs.stride * tokens + corner_pixel
    planes = draw_prompt_planes(prompt, crop, (height, width), graphs.prompting["click_radius"])
    return graphs.prompt(image, planes[None], rough_mask[crop])


def find_crop(prompt: CheckedPrompt, mask: np.ndarray, margin: float, min_side: float) -> Crop:
    """Find the crop around positive points and the box or, without a box, the rough mask; square if it fits.

    ``margin``: on each side, as a fraction of the object's longer side.
    """
    pixels = np.argwhere(mask > 0.5)[:, ::-1]
    outline = np.concatenate([pixels, pixels + 1]) if prompt.box is None else prompt.box
    corners = np.concatenate([prompt.positive, outline])
    low, high = corners.min(0), corners.max(0)
    side = max(min_side, (1 + 2 * margin) * (high - low).max())
    limit = np.array(mask.shape[::-1])
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


def find_far_pixels(mask: np.ndarray, prompt: CheckedPrompt, settings: Mapping[str, float]) -> np.ndarray:
    """Return the pixels of a mask H×W bool that are far from the box and the points of a prompt."""
    if prompt.box is None:
        return find_pixels_far_from_points(mask, prompt.positive, settings["max_part_distance"])
    margin = settings["box_margin"] * (prompt.box[1] - prompt.box[0])
    corners = np.concatenate([prompt.box + np.stack([-margin, margin]), prompt.positive])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_pixels_far_from_points(mask: np.ndarray, points: np.ndarray, max_distance: float) -> np.ndarray:
    """Return the components of a mask H×W bool that are far from those that contain a point (x, y).

    If no component contains one, return those far from the largest. ``max_distance``: in units of the square root of
    the area of the components with a point.
    """
    height, width = mask.shape
    components = label_components(mask)
    if components.max() <= 1:
        return np.zeros_like(mask)
    x, y = np.rint(points).clip(0, (width - 1, height - 1)).astype(int).T
    seed = mask & np.isin(components, components[y, x])
    if not seed.any():
        seed = components == 1 + np.bincount(components.ravel(), minlength=2)[1:].argmax()
    is_near = measure_distance(seed) <= max_distance * np.sqrt(seed.sum())
    return mask & ~np.isin(components, components[mask & is_near])


def label_components(mask: np.ndarray) -> np.ndarray:
    """Label the 8-connected components of a mask H×W bool with numbers above 0: H×W, 0 is background."""
    padded = np.pad(mask, 1)
    starts = padded & ~np.roll(padded, 1)
    # a run is a line of pixels in a row; runs are numbered from 1, and touch those in the row below
    runs = padded * starts.cumsum().reshape(padded.shape)
    contact_pairs = []
    for step in padded.shape[1] + np.array([-1, 0, 1]):  # to the pixels below
        below, below_starts = np.roll(runs, -step), np.roll(starts, -step)
        contacts = (runs > 0) & (below > 0) & (starts | below_starts)
        contact_pairs.append([runs[contacts], below[contacts]])
    pairs = np.concatenate(contact_pairs, axis=1)
    parents = np.arange(runs.max() + 1)
    while (parents[pairs[0]] != parents[pairs[1]]).any():  # each run takes the smallest number it touches
        np.minimum.at(parents, parents[pairs].max(0), parents[pairs].min(0))
        parents = parents[parents]
    return parents[runs][1:-1, 1:-1]


def measure_distance(mask: np.ndarray) -> np.ndarray:
    """Return the chamfer distance H×W in pixels to a mask H×W bool, not empty."""
    distance = np.where(np.pad(mask, 1), np.float32(0), np.float32(np.inf))
    ramp = STRAIGHT_STEP * np.arange(distance.shape[1], dtype=np.float32)
    for rows in (distance, distance[:, ::-1]):  # to the right, to the left
        rows[:] = np.minimum.accumulate(rows - ramp, axis=1) + ramp
    for rows in (distance, distance[::-1]):  # down, up
        for last, row in pairwise(rows):
            steps = last[1:-1] + STRAIGHT_STEP, last[:-2] + DIAGONAL_STEP, last[2:] + DIAGONAL_STEP
            row[1:-1] = np.minimum.reduce([row[1:-1], *steps])
    return distance[1:-1, 1:-1]
