"""Masks of objects from boxes and points on one frame: a coarse pass, then a refining pass around each object."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from aotlab_runtime.graphs import Graphs
from aotlab_runtime.images import ImageSize, label_parts, measure_distance
from aotlab_runtime.inputs import CheckedPrompt, require

Crop = tuple[slice, slice]
"""rows and columns of a frame"""

BOX_MARGIN = 0.12
"""distance from a box, as a fraction of its sides, beyond which pixels are not of its object"""
MAX_PART_DISTANCE = 0.5
"""largest distance of a part without a point from those with one, × sqrt(their area)"""
EXCLUDED = -12.0
"""logit of pixels that an object cannot have"""


def segment_prompts(
    graphs: Graphs, frame: np.ndarray, prompts: Sequence[CheckedPrompt], exclude: np.ndarray | None = None
) -> np.ndarray:
    """Return logits (1+N)×H×W of the prompted objects, each against everything else; channel 0 is background.

    Args:
        frame: H×W×3 uint8.
        exclude: pixels that no object can have, H×W bool.

    Raises:
        InputError: the model takes no prompts.
    """
    require(
        graphs.prompting,
        "this export takes no prompts; export a model with a prompt network, or give a mask",
    )
    excluded = np.zeros(frame.shape[:2], bool) if exclude is None else exclude
    points = [prompt.positive for prompt in prompts]
    prompts = [  # points on other objects are points off this one
        prompt._replace(negative=[*prompt.negative, *chain(*points[:place], *points[place + 1 :])])
        for place, prompt in enumerate(prompts)
    ]
    logits = np.stack([segment_object(graphs, frame, prompt) for prompt in prompts])
    logits[:, excluded] = EXCLUDED
    strongest = logits.max(0)
    rough_masks = np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))
    for object_logits, prompt, mask in zip(logits, prompts, rough_masks, strict=True):
        object_logits[:] = segment_object(graphs, frame, prompt, mask)
        object_logits[excluded] = EXCLUDED
        object_logits[find_far_from_prompt(object_logits > 0, prompt)] = EXCLUDED
    return np.concatenate([-logits.max(0, keepdims=True), logits])


def segment_object(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the logits H×W of one object from a crop of a frame.

    ``mask``: rough mask H×W in 0 to 1 of the coarse pass, which is refined along edges of the frame.
    """
    sizes = graphs.prompting
    crop, edge = np.s_[0 : len(frame), 0 : frame.shape[1]], sizes["frame_edge"]
    if prompt.box is not None or mask is not None:
        margin = sizes["coarse_margin" if mask is None else "refine_margin"]
        crop, edge = find_crop(prompt, frame.shape, margin, sizes["min_crop"], mask), sizes["crop_edge"]
    image, extra, stride = frame[crop], int(graphs.align_corners), graphs.stride
    scale = edge / max(image.shape)
    tokens = (max(2, round((side * scale - extra) / stride)) for side in image.shape[:2])
    height, width = (stride * count + extra for count in tokens)
    rough_mask = np.zeros(image.shape[:2]) if mask is None else mask[crop]
    planes = draw_planes(prompt, crop, (height, width), sizes["click_radius"])
    inputs = {"image": image, "planes": planes[None], "rough_mask": rough_mask.astype(np.float32)}
    outputs = graphs.run("prompt", inputs)
    logits = np.full(frame.shape[:2], EXCLUDED, np.float32)
    logits[crop] = outputs["logits" if mask is None else "refined_logits"]
    return logits


def find_crop(
    prompt: CheckedPrompt, shape: Sequence[int], margin: float, min_side: float, mask: np.ndarray | None
) -> Crop:
    """Return the crop around a prompt, square where a frame of (height, width) allows.

    Args:
        margin: margin on each side, as a fraction of the longer side.
        min_side: shortest side of the crop in pixels.
        mask: rough mask H×W in 0 to 1; ignored if there is a box.
    """
    corners = [*prompt.positive]
    if prompt.box is not None:
        corners.extend(prompt.box)
    elif mask is not None and (mask > 0.5).any():
        rows, columns = np.nonzero(mask > 0.5)
        corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    side = max(min_side, (1 + 2 * margin) * float((high - low).max()))
    limit = np.array([shape[1], shape[0]])
    start = np.rint(((low + high) / 2 - side / 2).clip(0, np.maximum(0, limit - side))).astype(int)
    stop = np.minimum(limit, start + round(side))
    return slice(int(start[1]), int(stop[1])), slice(int(start[0]), int(stop[0]))


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
        start, stop = np.rint((prompt.box - origin) * scale).astype(int)
        x0, y0 = start.clip(0, (size[1] - 1, size[0] - 1))
        planes[2, y0 : max(y0 + 1, stop[1]), x0 : max(x0 + 1, stop[0])] = 1  # a pixel at least
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
