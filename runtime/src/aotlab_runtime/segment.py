"""Masks of objects from prompts, by the prompt network: a coarse pass, then a refining pass around each object."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aotlab_runtime.graphs import Graphs
from aotlab_runtime.images import ImageSize
from aotlab_runtime.inputs import InputError, require
from aotlab_runtime.prediction import Prediction
from aotlab_runtime.prompts import CheckedPrompt, Prompts, check_prompts

Crop = tuple[slice, slice]  # rows and columns of a frame
STRAIGHT_STEP, DIAGONAL_STEP = 0.955, 1.3693
"""Lengths of a straight and a diagonal step to the next pixel, as in OpenCV's ``distanceTransform`` with a 3×3 mask."""


def add_prompted_objects(graphs: Graphs, frame: np.ndarray, prompts: Prompts, mask: np.ndarray) -> np.ndarray:
    """Return a mask H×W in which objects with prompts have new pixels, and other objects keep theirs."""
    prediction = segment_prompts(graphs, frame, prompts, mask)
    for object_id in prediction.ids:
        is_found = object_id in prediction.labels
        require(is_found, f"object {object_id}: no pixel found there; give another box or point")
    return np.where(np.isin(mask, [0, *prediction.ids]), prediction.labels, mask)


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: Prompts, mask: np.ndarray | None = None) -> Prediction:
    """Segment objects of a frame; those of ``mask``, object ids H×W, that have no prompt keep their pixels."""
    checked = check_prompts(prompts, frame.shape[:2])
    if graphs.prompting is None:
        advice = "give a mask, or export the bundled weights without --no-prompts"
        raise InputError(f"this export has no prompt network; {advice}")
    other_objects = np.zeros(frame.shape[:2], bool) if mask is None else ~np.isin(mask, [0, *checked])
    segmenter = FrameSegmenter(graphs, graphs.prompting, frame, other_objects)
    coarse = np.stack([segmenter.segment_coarse(prompt) for prompt in checked.values()])
    rough_masks = suppress_overlaps(coarse)
    logits = np.stack([segmenter.refine(*pair) for pair in zip(checked.values(), rough_masks, strict=True)])
    return Prediction((*checked,), np.concatenate([-logits.max(0)[None], logits]), graphs.temperature)


@dataclass(frozen=True, eq=False)
class FrameSegmenter:
    """Segmentation of one object at a time in a frame."""

    graphs: Graphs
    settings: dict[str, float]  # `PROMPTING` of aotlab's engine/export/graphs.py
    frame: np.ndarray
    other_objects: np.ndarray  # pixels H×W bool that belong to objects without prompts

    def segment_coarse(self, prompt: CheckedPrompt) -> np.ndarray:
        """Return the logits H×W of an object from a crop around its box; without a box, from the whole frame."""
        no_mask = np.zeros(self.frame.shape[:2], np.float32)
        crop, edge = np.s_[0 : self.frame.shape[0], 0 : self.frame.shape[1]], self.settings["frame_edge"]
        if prompt.box is not None:
            crop = find_crop(prompt, no_mask, self.settings["coarse_margin"], self.settings["min_crop"])
            edge = self.settings["crop_edge"]
        return self._segment_crop("logits", crop, edge, prompt, no_mask)

    def refine(self, prompt: CheckedPrompt, rough_mask: np.ndarray) -> np.ndarray:
        """Return the logits H×W of an object from a crop around its rough mask, with outlines on edges of the image."""
        crop = find_crop(prompt, rough_mask, self.settings["refine_margin"], self.settings["min_crop"])
        edge = self.settings["crop_edge"]
        logits = self._segment_crop("refined_logits", crop, edge, prompt, rough_mask)
        logits[find_far_pixels(logits > 0, prompt, self.settings)] = self.settings["excluded_logit"]
        return logits

    def _segment_crop(
        self, output: str, crop: Crop, edge: float, prompt: CheckedPrompt, rough_mask: np.ndarray
    ) -> np.ndarray:
        """Return an output H×W of the prompt network for a crop whose longer edge becomes about ``edge`` pixels."""
        image, corner_pixel = self.frame[crop], int(self.graphs.align_corners)
        size = np.array(image.shape[:2]) * (edge / max(image.shape[:2]))
        tokens = np.maximum(2, np.rint((size - corner_pixel) / self.graphs.stride)).astype(int)
        height, width = self.graphs.stride * tokens + corner_pixel
        planes = draw_prompt_planes(prompt, crop, (height, width), self.settings["click_radius"])
        logits = np.full(self.frame.shape[:2], self.settings["excluded_logit"], np.float32)
        logits[crop] = self.graphs.prompt(image, planes[None], rough_mask[crop])[output]
        logits[self.other_objects] = self.settings["excluded_logit"]
        return logits


def suppress_overlaps(logits: np.ndarray) -> np.ndarray:
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


def find_far_pixels(mask: np.ndarray, prompt: CheckedPrompt, settings: dict[str, float]) -> np.ndarray:
    """Return the pixels of a mask H×W bool far outside the box of a prompt; without a box, far from its points."""
    if prompt.box is None:
        return find_pixels_far_from_points(mask, prompt.positive, settings["max_part_distance"])
    margin = settings["box_margin"] * (prompt.box[1] - prompt.box[0])
    corners = np.concatenate([prompt.box + np.stack([-margin, margin]), prompt.positive])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((top <= y) & (y <= bottom) & (left <= x) & (x <= right))


def find_pixels_far_from_points(mask: np.ndarray, points: np.ndarray, max_distance: float) -> np.ndarray:
    """Return components of a mask H×W bool far from those with a point (x, y); if none has one, far from the largest.

    ``max_distance``: in units of the square root of the area of the components with a point.
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
