"""Masks of objects from prompts, by the prompt network: a coarse pass, then a refining pass around each object."""

from itertools import pairwise

import numpy as np

from aotlab_runtime.graphs import Graphs
from aotlab_runtime.inputs import EXPECTED_PROMPTS, CheckedPrompt, CheckedPrompts, require
from aotlab_runtime.memory import Tensors
from aotlab_runtime.prediction import Prediction

STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""Lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask."""

Crop = tuple[slice, slice]
"""Rows and columns of a frame."""


def add_prompted_objects(graphs: Graphs, frame: np.ndarray, prompts: CheckedPrompts, mask: np.ndarray) -> np.ndarray:
    """Return a mask H×W in which objects with prompts have new pixels, and other objects keep theirs."""
    labels = segment_prompts(graphs, frame, prompts, mask).labels
    for object_id in prompts:
        require(object_id in labels, f"object {object_id}: no pixel found there; give another box or point")
    return np.where(np.isin(mask, [0, *prompts]), labels, mask)


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: CheckedPrompts, mask: np.ndarray) -> Prediction:
    """Segment objects of a frame; other objects of ``mask``, object ids H×W, keep their pixels.

    The coarse pass segments a crop around the box of an object or, without a box, the whole frame. The refining pass
    segments a crop around the object, and moves its outline to edges of the image.
    """
    settings, (height, width) = graphs.prompting, frame.shape[:2]
    require(prompts, EXPECTED_PROMPTS)
    require(settings, "this export has no prompt network; give a mask, or export the bundled model with prompts")
    min_crop, excluded_logit = settings["min_crop"], settings["excluded_logit"]
    is_other_object, no_mask = ~np.isin(mask, [0, *prompts]), np.zeros((height, width), np.float32)
    coarse, refined = np.full((2, len(prompts), height, width), excluded_logit, np.float32)
    for prompt, logits in zip(prompts.values(), coarse, strict=True):
        crop, edge = np.s_[0:height, 0:width], settings["frame_edge"]
        if prompt.box is not None:
            crop, edge = find_crop(prompt, no_mask, settings["coarse_margin"], min_crop), settings["crop_edge"]
        logits[crop] = segment_crop(graphs, frame, prompt, no_mask, crop, edge)["logits"]
        logits[is_other_object] = excluded_logit
    for prompt, logits, rough_mask in zip(prompts.values(), refined, keep_strongest(coarse), strict=True):
        crop, edge = find_crop(prompt, rough_mask, settings["refine_margin"], min_crop), settings["crop_edge"]
        logits[crop] = segment_crop(graphs, frame, prompt, rough_mask, crop, edge)["refined_logits"]
        logits[is_other_object] = excluded_logit
        logits[find_stray_pixels(logits > 0, prompt, settings)] = excluded_logit
    return Prediction((*prompts,), np.concatenate([-refined.max(0)[None], refined]), graphs.temperature)


def segment_crop(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray, crop: Crop, edge: float
) -> Tensors:
    """Run the prompt network on a crop whose longer edge becomes about ``edge`` pixels; see `Graphs.prompt`."""
    size = fit_to_tokens(frame[crop].shape[:2], edge, graphs.stride, graphs.align_corners)
    planes = draw_prompt_planes(prompt, crop, size, graphs.prompting["click_radius"])
    return graphs.prompt(frame[crop], planes[None], rough_mask[crop])


def fit_to_tokens(size: tuple[int, int], edge: float, stride: int, align_corners: bool) -> tuple[int, int]:
    """Scale (height, width) to a longer edge of about ``edge`` pixels and whole tokens."""
    extra = int(align_corners)
    scaled = np.array(size) * (edge / max(size))
    height, width = stride * np.maximum(2, np.rint((scaled - extra) / stride)).astype(int) + extra
    return height, width


def keep_strongest(logits: np.ndarray) -> np.ndarray:
    """Return probabilities N×H×W of logits N×H×W, 0 where another object has a higher, positive logit."""
    strongest = logits.max(0)
    return np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))


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


def draw_prompt_planes(prompt: CheckedPrompt, crop: Crop, size: tuple[int, int], radius: float) -> np.ndarray:
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


def find_stray_pixels(mask: np.ndarray, prompt: CheckedPrompt, settings: dict[str, float]) -> np.ndarray:
    """Return the pixels of a mask H×W bool far outside the box of a prompt; without a box, far from its points."""
    if prompt.box is None:
        return find_pixels_far_from_points(mask, prompt.positive, settings["max_part_distance"])
    margin = settings["box_margin"] * (prompt.box[1] - prompt.box[0])
    corners = np.concatenate([prompt.box + np.stack([-margin, margin]), prompt.positive])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_pixels_far_from_points(mask: np.ndarray, points: np.ndarray, max_distance: float) -> np.ndarray:
    """Return the components of a mask H×W bool that are far from all components with a point (x, y).

    If no component has a point, they are those far from the largest one. ``max_distance``: in units of the square root
    of the area of the components with a point.
    """
    height, width = mask.shape
    components = label_components(mask)
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
