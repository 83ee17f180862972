"""Losses of a batch of clips: the same recurrence as tracking, with gradients (AOT, Training Details)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.configs.schema import MemoryConfig, ModelConfig
from aotlab.engine.memory.bank import MemoryBank, build_bank
from aotlab.engine.recurrence import DecodedFrame, encode_frame, memorize_frame, memorize_reference, segment_frame
from aotlab.engine.training.losses import FrameLoss, FrameOutputs, frame_loss
from aotlab.media.masks import VOID
from aotlab.networks.identity_bank import one_hot
from aotlab.networks.model import BlockMemory, Features, KeyValue, Memory, VOSModel
from aotlab.utils.errors import InputError


@dataclass(frozen=True)
class ClipBatch:
    """A batch of training clips."""

    images: Tensor
    """T×B×3×H×W, from 0 to 1."""
    target_indices: Tensor
    """T×B×H×W int64: 0 background, 1 to object_counts[b], 255 ignored."""
    object_counts: list[int]
    """Number of objects per clip."""


@dataclass(frozen=True)
class ClipLosses:
    """Losses and masks of a batch of clips."""

    reference: Tensor
    """B, on the reference frame."""
    tracked: Tensor
    """(T-1)×B, on the others."""
    terms: dict[str, Tensor]
    """T×B of each term of the loss, by name; their sum is the loss."""
    predictions: list[Tensor]
    """B×H×W int64 per frame, the reference frame's first."""


def draw_permutations(batch: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw the identity of each object: B×(M+1), a permutation per clip with background at 0."""
    permutations = [torch.randperm(count, generator=generator) + 1 for _ in range(batch)]
    return F.pad(torch.stack(permutations), (1, 0))


@dataclass(frozen=True)
class ClipOptions:
    """Options of a pass over a batch of clips."""

    permutations: Tensor
    """B×(M+1), the identity of each object, from `draw_permutations`."""
    hard_pixel_count: int
    """Number of pixels in the bootstrapped cross-entropy, from `count_hard_pixels`."""
    use_predictions: bool
    """Memorize predictions instead of target indices, and do not train identity banks."""
    reference_weight: float = 1.0
    """Weight of the loss on the reference frame; 0 skips its gradient."""
    loss: FrameLoss = frame_loss


def clip_losses(model: VOSModel, bank: MemoryBank, clip: ClipBatch, options: ClipOptions) -> ClipLosses:
    """Run a batch of clips from an empty bank; return the losses and masks of all frames."""
    length, batch = clip.target_indices.shape[:2]
    if options.use_predictions:
        model = freeze_identities(model)
    images = clip.images.flatten(0, 1)
    batch_features = encode_frame(model, images, images.shape[2:])
    features = [Features(*parts) for parts in zip(*(x.split(batch) for x in batch_features), strict=True)]
    masks = draw_masks(model.config, clip.target_indices[0], clip.target_indices[0] == VOID, options.permutations)
    memory, propagated = memorize_reference(model, features[0], masks)
    bank.add_reference(memory)
    with torch.set_grad_enabled(options.reference_weight > 0 and torch.is_grad_enabled()):
        decoded = DecodedFrame(propagated, model.decode(propagated, features[0]).float(), memory)
        losses = [frame_losses(model, features[0], decoded, clip, 0, options)]
    for index in range(1, length):
        decoded = segment_frame(model, bank, features[index])
        losses.append(frame_losses(model, features[index], decoded, clip, index, options))
        if index < length - 1:
            target = clip.target_indices[index]
            stored = losses[-1].prediction if options.use_predictions else target
            masks = draw_masks(model.config, stored, target == VOID, options.permutations)
            bank.add(*memorize_frame(model, bank, decoded, masks))
    return ClipLosses(
        losses[0].total,
        torch.stack([frame.total for frame in losses[1:]]),
        {name: torch.stack([frame.terms[name].detach() for frame in losses]) for name in losses[0].terms},
        [frame.prediction for frame in losses],
    )


def freeze_identities(model: VOSModel) -> VOSModel:
    """Return the model, with shared weights, but identity embeddings without gradients.

    The authors' code freezes identity banks while memory stores predictions (TRAIN_SEQ_TRAINING_FREEZE_PARAMS).
    """
    frozen = copy(model)
    frozen.assign_identities = torch.no_grad()(model.assign_identities)  # type: ignore[method-assign]
    return frozen


def draw_masks(config: ModelConfig, indices: Tensor, ignored: Tensor, permutations: Tensor) -> Tensor:
    """Draw indices B×H×W as masks B×(1+M)×H×W, whose objects have the identities of ``permutations``.

    ``ignored``: B×H×W bool, one more channel of the masks if the model has one for pixels to ignore.
    """
    largest = config.max_objects
    identities = permutations.gather(1, indices.clamp(max=largest).flatten(1)).view_as(indices)
    masks = one_hot(torch.where(indices <= largest, identities, indices), largest + 1)  # B×(1+M)×H×W
    return torch.cat([masks, ignored[:, None].to(masks)], 1) if config.ignore_plane else masks


@dataclass(frozen=True)
class FrameLosses:
    """Losses and masks of a frame of a batch of clips."""

    terms: dict[str, Tensor]
    """B of each term, by name."""
    total: Tensor
    """B, their sum."""
    prediction: Tensor
    """B×H×W int64."""


def frame_losses(
    model: VOSModel, features: Features, decoded: DecodedFrame, clip: ClipBatch, index: int, options: ClipOptions
) -> FrameLosses:
    """Compute the loss of frame ``index`` of each clip; a scalable model is decoded at all depths.

    With a shared block, smaller depths are decoded from outputs without norm, as published (`AOST.propagate`).
    """
    target_indices = clip.target_indices[index]
    samples_by_depth = [
        split_samples(logits, target_indices.shape[1:], options, clip.object_counts, model.config.align_corners)
        for logits in (*model.decode_depths(decoded.propagated, features), decoded.logits)
    ]
    terms = [
        options.loss(
            FrameOutputs(
                [samples[number] for samples in samples_by_depth],
                decoded.propagated.embeddings[number],
                select_sample(decoded.memory, number),
                options.hard_pixel_count,
            ),
            target,
        )
        for number, target in enumerate(target_indices)
    ]
    stacked = {name: torch.stack([sample[name] for sample in terms]) for name in terms[0]}
    masks = torch.stack([sample.detach().max(0).indices for sample in samples_by_depth[-1]])
    return FrameLosses(stacked, reduce(add, stacked.values()), masks)


def select_sample(memory: Memory, number: int) -> Memory:
    """Return the memory of one clip of a batch, without the axis of clips."""

    def select(part: KeyValue) -> KeyValue:
        return KeyValue(part.key[number], part.value[number])

    return [[BlockMemory(select(block.long), select(block.short), block.ages) for block in blocks] for blocks in memory]


def split_samples(
    logits: Tensor, size: Sequence[int], options: ClipOptions, object_counts: Sequence[int], align_corners: bool
) -> list[Tensor]:
    """Split logits B×(1+M)×h×w by identity into (1+n)×H×W by object of each sample, resized to ``size`` (H, W)."""
    by_object = logits.gather(1, options.permutations[:, :, None, None].expand_as(logits))
    return [
        F.interpolate(sample[None, : count + 1].float(), size, mode="bilinear", align_corners=align_corners)[0]
        for sample, count in zip(by_object, object_counts, strict=True)
    ]


class ClipModule(nn.Module):
    """A model's pass over a batch of clips as one ``forward``, for DDP."""

    def __init__(self, model: VOSModel, memory: MemoryConfig) -> None:
        super().__init__()
        self.model = model
        self.memory = memory

    def forward(self, clip: ClipBatch, options: ClipOptions) -> tuple[Tensor, ClipLosses]:
        """Return the loss to minimize, a scalar, and its parts.

        Raises:
            InputError: the terms of a plug-in's loss are no scalars, or have no gradient.
        """
        losses = clip_losses(self.model, build_bank(self.memory, training=True), clip, options)
        loss = options.reference_weight * losses.reference.mean() + losses.tracked.mean()
        if torch.is_grad_enabled() and not loss.requires_grad:  # a frame without objects may have a constant loss
            subject = getattr(options.loss, "subject", "train.loss")
            raise InputError("returned terms without gradient", subject=subject, remedy="compute them from the outputs")
        return loss, losses


def mean_iou(prediction: Tensor, target_indices: Tensor, object_counts: list[int]) -> Tensor:
    """Return the mean IoU over objects 1 to n, then over samples with objects, of masks B×H×W.

    Ignored pixels (255) do not count. Returns a scalar from 0 to 1, or nan without objects.
    """
    scores = []
    for mask, annotation, count in zip(prediction, target_indices, object_counts, strict=True):
        if count:
            ids = torch.arange(1, count + 1, device=mask.device)[:, None, None]
            predicted, annotated = (mask == ids) & (annotation != VOID), annotation == ids
            intersection = (predicted & annotated).sum((1, 2))
            union = (predicted | annotated).sum((1, 2))
            scores.append(((intersection + 1e-6) / (union + 1e-6)).mean())
    return torch.stack(scores).mean() if scores else target_indices.new_tensor(math.nan, dtype=torch.float32)
