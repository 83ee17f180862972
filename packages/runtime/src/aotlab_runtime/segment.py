"""Masks of objects from prompts, by the prompt network: a coarse pass, then a refining pass around each object."""

import numpy as np

from aotlab_runtime.components import find_pixels_far_from_box, find_pixels_far_from_points
from aotlab_runtime.errors import require
from aotlab_runtime.graphs import Graphs
from aotlab_runtime.inputs import EXPECTED_PROMPTS, CheckedPrompt, CheckedPrompts
from aotlab_runtime.memory import Tensors
from aotlab_runtime.prediction import Prediction

Crop = tuple[slice, slice]  # rows and columns of a frame


def add_prompted_objects(graphs: Graphs, frame: np.ndarray, prompts: CheckedPrompts, mask: np.ndarray) -> np.ndarray:
    """Return a mask H×W in which objects with prompts have new pixels, and other objects keep theirs."""
    labels = segment_prompts(graphs, frame, prompts, mask).labels
    for object_id in prompts:
        require(object_id in labels, f"object {object_id}: no pixel found there; give another box or point")
    return np.where(np.isin(mask, [0, *prompts]), labels, mask)


def segment_prompts(graphs: Graphs, frame: np.ndarray, prompts: CheckedPrompts, mask: np.ndarray) -> Prediction:
    """Segment objects of a frame; other objects of ``mask``, object ids H×W, keep their pixels."""
    require(prompts, EXPECTED_PROMPTS)
    settings, is_other_object = graphs.prompt_settings, ~np.isin(mask, [0, *prompts])
    require(settings, "prompts: this export has no prompt network; give a mask, or export a model that has one")
    coarse = np.stack([segment_coarse(graphs, frame, prompt) for prompt in prompts.values()])
    coarse[:, is_other_object] = settings["excluded_logit"]
    rough_masks = zip(prompts.values(), suppress_overlaps(coarse), strict=True)
    refined = np.stack([refine(graphs, frame, prompt, rough_mask) for prompt, rough_mask in rough_masks])
    refined[:, is_other_object] = settings["excluded_logit"]
    for logits, prompt in zip(refined, prompts.values(), strict=True):
        if prompt.box is None:
            far = find_pixels_far_from_points(logits > 0, prompt.positive, settings["max_part_distance"])
        else:
            far = find_pixels_far_from_box(logits > 0, prompt.box, prompt.positive, settings["box_margin"])
        logits[far] = settings["excluded_logit"]
    return Prediction((*prompts,), np.stack([-refined.max(0), *refined]), graphs.temperature)


def segment_coarse(graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt) -> np.ndarray:
    """Return logits H×W of an object from a crop around its box; without a box, from the whole frame."""
    settings, (height, width) = graphs.prompt_settings, frame.shape[:2]
    no_mask, crop, edge = np.zeros((height, width), np.float32), np.s_[0:height, 0:width], settings["frame_edge"]
    if prompt.box is not None:
        crop, edge = find_crop(prompt, no_mask, settings["coarse_margin"], settings["min_crop"]), settings["crop_edge"]
    return segment_crop(graphs, frame, prompt, no_mask, crop, edge)["logits"]


def refine(graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray) -> np.ndarray:
    """Return logits H×W of an object from a crop around its rough mask, with outlines snapped to edges in the image."""
    settings = graphs.prompt_settings
    crop = find_crop(prompt, rough_mask, settings["refine_margin"], settings["min_crop"])
    return segment_crop(graphs, frame, prompt, rough_mask, crop, settings["crop_edge"])["refined_logits"]


def segment_crop(
    graphs: Graphs, frame: np.ndarray, prompt: CheckedPrompt, rough_mask: np.ndarray, crop: Crop, edge: float
) -> Tensors:
    """Return the outputs, padded to H×W, for a crop whose longer edge becomes about ``edge`` pixels."""
    settings = graphs.prompt_settings
    size = fit_to_tokens(frame[crop].shape[:2], edge, graphs.token_size, bool(settings["align_corners"]))
    outputs = graphs.segment_prompt(frame[crop], *list_points(prompt, crop), rough_mask[crop], size)
    margins = [(side.start, length - side.stop) for side, length in zip(crop, rough_mask.shape, strict=True)]
    excluded_logit = graphs.prompt_settings["excluded_logit"]
    return {name: np.pad(logits, margins, constant_values=excluded_logit) for name, logits in outputs.items()}


def fit_to_tokens(size: tuple[int, int], edge: float, token_size: int, align_corners: bool) -> tuple[int, int]:
    """Scale (height, width) to a longer edge of about ``edge`` pixels and whole tokens."""
    extra = int(align_corners)
    scaled = np.array(size) * (edge / max(size))
    height, width = token_size * np.maximum(2, np.rint((scaled - extra) / token_size)).astype(int) + extra
    return height, width


def suppress_overlaps(logits: np.ndarray) -> np.ndarray:
    """Return probabilities N×H×W of logits N×H×W, 0 where another object has a higher, positive logit."""
    strongest = logits.max(0)
    return np.where((logits < strongest) & (strongest > 0), 0, 1 / (1 + np.exp(-logits)))


def find_crop(prompt: CheckedPrompt, rough_mask: np.ndarray, margin: float, min_side: float) -> Crop:
    """Find the crop around positive points and the box or, without a box, the rough mask; square if it fits."""
    pixels = np.argwhere(rough_mask > 0.5)[:, ::-1]
    outline = np.concatenate([pixels, pixels + 1]) if prompt.box is None else prompt.box
    corners = np.concatenate([prompt.positive, outline])
    low, high = corners.min(0), corners.max(0)
    side = max(min_side, (1 + 2 * margin) * (high - low).max())  # a margin is a fraction of the longer side
    limit = np.array(rough_mask.shape[::-1])
    start = np.rint(((low + high) / 2 - side / 2).clip(0, np.maximum(0, limit - side))).astype(int)
    stop = np.minimum(limit, start + round(side))
    return np.s_[start[1] : stop[1], start[0] : stop[0]]


def list_points(prompt: CheckedPrompt, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """Return points N×2 in pixels of a crop and their labels N, as `Graphs.segment_prompt` takes them."""
    corners = np.empty((0, 2)) if prompt.box is None else prompt.box
    points = np.concatenate([prompt.positive, prompt.negative, corners]) - (crop[1].start, crop[0].start)
    labels = [1] * len(prompt.positive) + [0] * len(prompt.negative) + [2, 3][: len(corners)]
    return points.astype(np.float32), np.array(labels, np.int32)
