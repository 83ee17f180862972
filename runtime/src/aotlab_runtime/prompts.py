"""Masks of objects from boxes and points on one frame: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotlab_runtime.graphs import Graphs, Tensors
from aotlab_runtime.images import ImageSize
from aotlab_runtime.inputs import CheckedPrompt, Point, require
from aotlab_runtime.parts import find_far_from_box, find_far_from_points

Crop = tuple[slice, slice]
"""rows and columns of a frame"""

EXCLUDED = np.float32(-12)
"""logit of pixels that are excluded, outside the crop, or far from the prompt"""


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: Sequence[CheckedPrompt]) -> np.ndarray:
    """Return the logits (1+N)×H×W of prompted objects; channel 0 is background."""
    require(
        graphs.prompting, "this export has no prompt network; export without --no-prompts, or give a mask"
    )
    exclusive = []
    for prompt in prompts:  # points on other objects are points off this one
        others = [point for other in prompts if other is not prompt for point in other.positive]
        exclusive.append(prompt._replace(negative=prompt.negative + others))
    logits = np.stack([segment_coarsely(graphs, frame, prompt) for prompt in exclusive])
    strongest = logits.max(0)
    rough_masks = np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))
    for index, prompt in enumerate(exclusive):
        logits[index] = refine(graphs, frame, prompt, rough_masks[index])
        if prompt.box is None:
            far = find_far_from_points(logits[index] > 0, prompt.positive)
        else:
            far = find_far_from_box(logits[index] > 0, prompt.box, prompt.positive)
        logits[index, far] = EXCLUDED
    return np.concatenate([-logits.max(0, keepdims=True), logits])


def segment_coarsely(graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt) -> np.ndarray:
    """Return the logits H×W of one object, from a crop around its box, or from the whole frame without a box."""
    size, sizes = frame.shape[:2], graphs.prompting
    crop, edge = np.s_[0 : size[0], 0 : size[1]], sizes["frame_edge"]
    if prompt.box is not None:
        corners = [*prompt.positive, *prompt.box]
        crop, edge = crop_around(corners, size, sizes["coarse_margin"], sizes["min_crop"]), sizes["crop_edge"]
    return segment_crop(graphs, frame, prompt, crop, edge, np.zeros(size, np.float32))["logits"]


def refine(graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray) -> np.ndarray:
    """Return the logits H×W of one object from its rough mask H×W in 0 to 1; outlines lie on edges of the image."""
    sizes, corners = graphs.prompting, [*prompt.positive]
    if prompt.box is not None:
        corners += [*prompt.box]
    elif (rough_mask > 0.5).any():
        rows, columns = np.nonzero(rough_mask > 0.5)
        corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    crop = crop_around(corners, frame.shape[:2], sizes["refine_margin"], sizes["min_crop"])
    return segment_crop(graphs, frame, prompt, crop, sizes["crop_edge"], rough_mask)["refined_logits"]


def segment_crop(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, crop: Crop, edge: float, rough_mask: np.ndarray
) -> Tensors:
    """Run the prompt graph on a crop whose longer side becomes about ``edge`` pixels; return its outputs as H×W."""
    image, stride = frame[crop], graphs.stride
    extra = int(graphs.align_corners)  # sides in the network are then multiples of the stride, plus 1
    scale = edge / max(image.shape[:2])
    height, width = (
        stride * max(2, round((side * scale - extra) / stride)) + extra for side in image.shape[:2]
    )
    planes = draw_prompt_planes(prompt, crop, (height, width), graphs.prompting["click_radius"])
    tensors = {"image": image, "planes": planes[None], "rough_mask": rough_mask[crop]}
    outputs = {}
    for name, logits in graphs.run("prompt", tensors).items():
        outputs[name] = np.full(frame.shape[:2], EXCLUDED)
        outputs[name][crop] = logits
        outputs[name][prompt.exclude] = EXCLUDED
    return outputs


def crop_around(corners: Sequence[Point], size: ImageSize, margin: float, min_side: float) -> Crop:
    """Return the crop of a frame around points, square where the frame allows.

    ``margin``: on each side, as a fraction of the longer side.
    """
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    side = max(min_side, (1 + 2 * margin) * float((high - low).max()))
    limit = np.array(size[::-1])
    start = np.rint(((low + high) / 2 - side / 2).clip(0, np.maximum(0, limit - side))).astype(int)
    stop = np.minimum(limit, start + round(side))
    return np.s_[start[1] : stop[1], start[0] : stop[0]]


def draw_prompt_planes(prompt: CheckedPrompt, crop: Crop, size: ImageSize, radius: float) -> np.ndarray:
    """Draw input channels 3×h×w of 0 and 1: discs of positive points, of negative points, and the box."""
    planes = np.zeros((3, *size), np.float32)
    origin = np.array([crop[1].start, crop[0].start])
    scale = np.array([size[1] / (crop[1].stop - origin[0]), size[0] / (crop[0].stop - origin[1])])
    rows, columns = np.ogrid[: size[0], : size[1]]
    for plane, points in zip(planes[:2], (prompt.positive, prompt.negative), strict=True):
        for x, y in (np.reshape(points, (-1, 2)) - origin + 0.5) * scale - 0.5:
            plane[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
    if prompt.box is not None:
        start, stop = np.rint((prompt.box - origin) * scale).astype(int)
        x0, y0 = start.clip(0, (size[1] - 1, size[0] - 1))
        planes[2, y0 : max(y0 + 1, stop[1]), x0 : max(x0 + 1, stop[0])] = 1  # a pixel at least
    return planes
