"""Masks of objects from boxes and points on one frame: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aotlab_runtime.graphs import Graphs
from aotlab_runtime.images import ImageSize
from aotlab_runtime.inputs import CheckedPrompt, require
from aotlab_runtime.parts import find_far_from_box, find_far_from_points

Crop = tuple[slice, slice]
"""rows and columns of a frame"""

EXCLUDED = np.float32(-12)
"""logit of pixels that an object cannot have"""


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: Sequence[CheckedPrompt]) -> np.ndarray:
    """Return logits (1+N)×H×W of the prompted objects, which exclude each other; channel 0 is background."""
    require(
        graphs.prompting, "this export takes no prompts; export a model with a prompt network, or give a mask"
    )
    exclusive = []
    for prompt in prompts:  # points on other objects are points off this one
        others = [point for other in prompts if other is not prompt for point in other.positive]
        exclusive.append(prompt._replace(negative=prompt.negative + others))
    logits = np.stack([segment_crop(graphs, frame, prompt) for prompt in exclusive])
    strongest = logits.max(0)
    rough_masks = np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))
    for index, prompt in enumerate(exclusive):
        logits[index] = segment_crop(graphs, frame, prompt, rough_masks[index])
        if prompt.box is None:
            far = find_far_from_points(logits[index] > 0, prompt.positive)
        else:
            far = find_far_from_box(logits[index] > 0, prompt.box, prompt.positive)
        logits[index, far] = EXCLUDED
    return np.concatenate([-logits.max(0, keepdims=True), logits])


def segment_crop(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the logits H×W of one object, computed from a crop of a frame.

    ``rough_mask``: result of the coarse pass, H×W in 0 to 1, to be refined along image edges; None: coarse pass.
    """
    crop, edge = find_crop(graphs.prompting, frame.shape, prompt, rough_mask)
    image, stride = frame[crop], graphs.stride
    extra = int(graphs.align_corners)  # sides are then multiples of the stride, plus 1
    scale = edge / max(image.shape[:2])
    tokens = (max(2, round((side * scale - extra) / stride)) for side in image.shape[:2])
    height, width = (stride * count + extra for count in tokens)
    planes = draw_prompt_planes(prompt, crop, (height, width), graphs.prompting["click_radius"])
    rough = np.zeros(image.shape[:2], np.float32) if rough_mask is None else rough_mask[crop]
    outputs = graphs.run("prompt", {"image": image, "planes": planes[None], "rough_mask": rough})
    logits = np.full(frame.shape[:2], EXCLUDED)
    logits[crop] = outputs["logits" if rough_mask is None else "refined_logits"]
    return np.where(prompt.exclude, EXCLUDED, logits)


def find_crop(
    sizes: Mapping[str, float], shape: Sequence[int], prompt: CheckedPrompt, rough_mask: np.ndarray | None
) -> tuple[Crop, float]:
    """Return the crop around an object, square where the frame allows, and its longer edge in the network.

    Without a box, the coarse pass takes the whole frame, and the refining pass a crop around points and rough mask.
    """
    height, width = shape[:2]
    corners = [*prompt.positive]
    if prompt.box is not None:
        corners += [*prompt.box]
    elif rough_mask is None:
        return np.s_[0:height, 0:width], sizes["frame_edge"]
    elif (rough_mask > 0.5).any():
        rows, columns = np.nonzero(rough_mask > 0.5)
        corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    margin = sizes["coarse_margin" if rough_mask is None else "refine_margin"]
    side = max(sizes["min_crop"], (1 + 2 * margin) * float((high - low).max()))
    limit = np.array([width, height])
    start = np.rint(((low + high) / 2 - side / 2).clip(0, np.maximum(0, limit - side))).astype(int)
    stop = np.minimum(limit, start + round(side))
    return np.s_[start[1] : stop[1], start[0] : stop[0]], sizes["crop_edge"]


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
