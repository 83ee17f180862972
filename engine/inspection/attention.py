"""Similarity of a model's identities, and attention of pixels to memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from aotlab.engine.inspection.weights import BlockInputs, attention_weights, recorded_inputs, token_shares
from aotlab.engine.tracker import Tracker
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.errors import InputError

Query = tuple[int, int] | int
"""pixels to inspect: one pixel (x, y), or all pixels of an object id"""


@dataclass(frozen=True)
class BlockWeights:
    """Attention weights of one block, averaged over heads and pixels; those of each memory sum to 1."""

    name: str
    long: np.ndarray
    """T×h×w, tokens of long-term memory"""
    short: np.ndarray
    """n×h×w, tokens of short-term memory; n is 0 without short-term attention"""


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of some pixels of a frame in all blocks."""

    frame: int
    labels: np.ndarray
    """H×W predicted object ids"""
    pixels: np.ndarray
    """H×W bool, the query"""
    long_frames: list[int]
    """indices of the frames in long-term memory, oldest first"""
    short_frames: list[int]
    """indices of the frames in short-term memory, oldest first"""
    blocks: list[BlockWeights]


def identity_similarity(model: VOSModel) -> dict[str, np.ndarray]:
    """Return the cosine similarities of identities, background first: (M+1)×(M+1) by stage.

    The vector of an identity is the sum of its kernel, the embedding of a patch that it fills.
    """
    similarities = {}
    for number, stage in enumerate(model.stages, start=1):
        if stage.identity_bank is not None:
            kernels = stage.identity_bank.weight[:, : model.config.max_objects + 1]
            vectors = F.normalize(kernels.detach().double().sum((2, 3)).T, dim=1)
            similarities[f"stage {number} (stride {stage.stride})"] = (vectors @ vectors.T).cpu().numpy()
    return similarities


def inspect_attention(
    tracker: Tracker, frames: Iterable[np.ndarray], mask: np.ndarray, *, frame: int, query: Query
) -> AttentionMaps:
    """Track a video up to a frame, and return the attention of some of its pixels.

    Args:
        tracker: tracker of a `VOSModel`, which is reset.
        frames: H×W×3 uint8 RGB each.
        mask: mask of the first frame.
        frame: index of the frame to inspect.
        query: pixels of that frame; for background, the first group of objects is inspected.

    Raises:
        InputError: the video ends earlier, pixel outside the frame, unknown object, exported graphs, or as
            `Tracker.step`.
    """
    model = tracker.model
    if not isinstance(model, VOSModel):
        raise InputError("tracker: exported graphs hide their attention; give the checkpoint instead")
    if frame < 1:
        raise InputError(f"frame {frame}: frame 0 is the reference frame; give a later one")
    tracker.reset()
    count = 0
    for count, image in enumerate(frames, start=1):
        if count > frame:
            break
        tracker.step(image, mask if count == 1 else None)
    if count <= frame:
        raise InputError(f"frame {frame}: the video holds {count} frames; give one from 1 to {count - 1}")
    kept = [list(numbers) for numbers in tracker.banks[0].kept]
    with recorded_inputs(model) as inputs:
        labels = tracker.step(image).labels
    pixels = chosen_pixels(labels, query, tracker.ids)
    object_id = int(labels[pixels][0])
    group = tracker.ids.index(object_id) // model.config.max_objects if object_id else 0
    blocks = [_block_weights(model, index, given.of_group(group), pixels) for index, given in inputs.items()]
    short_count = max(len(block.short) for block in blocks)
    last = max(frame - tracker.config.memory.short_term_skip, 0) + 1
    return AttentionMaps(frame, labels, pixels, kept[group], list(range(last - short_count, last)), blocks)


def chosen_pixels(labels: np.ndarray, query: Query, ids: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of a query, H×W bool; raise InputError if it names none."""
    if isinstance(query, int):
        if query not in ids:
            known = ", ".join(map(str, ids))
            raise InputError(f"object {query}: not in the mask, which has {known}")
        if not (labels == query).any():
            raise InputError(f"object {query}: has no pixels on this frame; give another frame or pixel")
        return labels == query
    (x, y), (height, width) = query, labels.shape
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(
            f"pixel {x},{y}: outside the frame of {width}×{height}; "
            f"x goes from 0 to {width - 1}, y from 0 to {height - 1}"
        )
    pixels = np.zeros(labels.shape, bool)
    pixels[y, x] = True
    return pixels


def _block_weights(
    model: VOSModel, block: tuple[int, int], inputs: BlockInputs, pixels: np.ndarray
) -> BlockWeights:
    """Return the attention of some pixels in a block, (stage, index), as maps."""
    number, index = block
    stage, size = model.stages[number], inputs.size
    queries = token_shares(pixels, size, align_corners=model.config.align_corners)
    block_of = stage.blocks[index % len(stage.blocks)]
    long, short = (x.mean(1) for x in attention_weights(block_of, inputs, queries.to(inputs.x.device)))
    subsampled = [-(-side // stage.memory_stride) for side in size]
    return BlockWeights(
        f"stage {number + 1} (stride {stage.stride}), block {index + 1}",
        long.cpu().numpy().reshape(-1, *subsampled),
        short.cpu().numpy().reshape(-1, *size),
    )
