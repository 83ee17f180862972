"""Losses of a batch of clips: the same recurrence as tracking, with gradients (AOT, Training Details)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.configs.schema import MemoryConfig, ModelConfig
from aotlab.engine.memory.bank import MemoryBank, build_bank
from aotlab.engine.recurrence import DecodedFrame, encode_frame, memorize_frame, memorize_reference, segment_frame
from aotlab.media.masks import VOID
from aotlab.networks.identity_bank import one_hot
from aotlab.networks.model import Features, VOSModel
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import describe_object

FrameLoss = Callable[[Tensor, Tensor, int], Tensor]
"""Loss of one frame of a sample, with the arguments and result of `frame_loss`."""


def count_hard_pixels(pixels: int, step: int, total: int, *, fraction: float, reached_after: float) -> int:
    """Return the number of pixels in the bootstrapped cross-entropy at ``step``: all at first, ``fraction`` later.

    ``reached_after``: fraction of the ``total`` steps after which ``fraction`` is reached.
    """
    ratio = min(1.0, step / (reached_after * total + 1e-5))
    return max(1, int((ratio * fraction + (1 - ratio)) * pixels))


def bootstrapped_cross_entropy(logits: Tensor, labels: Tensor, hardest_count: int) -> Tensor:
    """Return the mean cross-entropy of the ``hardest_count`` hardest pixels; ignored pixels count as 0.

    logits: C×H×W; labels: H×W integers below C, or 255. Returns a scalar.
    """
    losses = F.cross_entropy(logits[None], labels[None], ignore_index=VOID, reduction="none").flatten()
    if hardest_count < losses.numel():
        losses = losses.topk(hardest_count, sorted=False).values
    return losses.mean()


def soft_jaccard(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of 1 - soft IoU over the classes present, including background.

    logits: C×H×W; labels: H×W integers below C, or 255 (ignored). Returns a scalar, 0 if all pixels are ignored.
    """
    probabilities = logits.softmax(0) * (labels != VOID)
    classes = torch.arange(len(logits), device=labels.device)
    masks = (labels == classes[:, None, None]).to(probabilities.dtype)
    pixels = masks.sum((1, 2))
    intersection = (probabilities * masks).sum((1, 2))
    union = probabilities.sum((1, 2)) + pixels - intersection
    losses = 1 - intersection / (union + 1e-6)
    present = pixels > 0
    return (losses * present).sum() / present.sum().clamp(min=1)


def frame_loss(logits: Tensor, labels: Tensor, hardest_count: int) -> Tensor:
    """Return the loss of one frame of a sample, a scalar; arguments as `bootstrapped_cross_entropy`."""
    cross_entropy = bootstrapped_cross_entropy(logits, labels, hardest_count)
    return 0.5 * cross_entropy + 0.5 * soft_jaccard(logits, labels)


def weight_by_depth(losses: Sequence[Tensor]) -> Tensor:
    """Return the weighted mean of losses at depths 1, 2, ...; each weighs twice as much as the previous one (AOST)."""
    weighted = [2**index * loss for index, loss in enumerate(losses)]
    return torch.stack(weighted).sum(0) / (2 ** len(losses) - 1)


@dataclass(frozen=True)
class ClipBatch:
    """A batch of training clips."""

    images: Tensor
    """T×B×3×H×W, from 0 to 1."""
    labels: Tensor
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
    """Memorize predictions instead of labels, and do not train identity banks."""
    reference_weight: float = 1.0
    """Weight of the loss on the reference frame; 0 skips its gradient."""
    loss: FrameLoss = frame_loss


def clip_losses(model: VOSModel, bank: MemoryBank, clip: ClipBatch, options: ClipOptions) -> ClipLosses:
    """Run a batch of clips from an empty bank; return the losses and masks of all frames."""
    length, batch = clip.labels.shape[:2]
    if options.use_predictions:
        model = freeze_identities(model)
    images = clip.images.flatten(0, 1)
    batch_features = encode_frame(model, images, images.shape[2:])
    features = [Features(*parts) for parts in zip(*(x.split(batch) for x in batch_features), strict=True)]
    masks = draw_masks(model.config, clip.labels[0], clip.labels[0] == VOID, options.permutations)
    memory, propagated = memorize_reference(model, features[0], masks)
    bank.add_reference(memory)
    with torch.set_grad_enabled(options.reference_weight > 0 and torch.is_grad_enabled()):
        decoded = DecodedFrame(propagated, model.decode(propagated, features[0]).float())
        loss, prediction = frame_losses(model, features[0], decoded, clip.labels[0], options, clip.object_counts)
    losses, predictions = [loss], [prediction]
    for index in range(1, length):
        labels = clip.labels[index]
        decoded = segment_frame(model, bank, features[index])
        loss, prediction = frame_losses(model, features[index], decoded, labels, options, clip.object_counts)
        losses.append(loss)
        predictions.append(prediction)
        if index < length - 1:
            memory_labels = prediction if options.use_predictions else labels
            masks = draw_masks(model.config, memory_labels, labels == VOID, options.permutations)
            bank.add(*memorize_frame(model, bank, decoded, masks))
    return ClipLosses(losses[0], torch.stack(losses[1:]), predictions)


def freeze_identities(model: VOSModel) -> VOSModel:
    """Return the model, with shared weights, but identity embeddings without gradients.

    The authors' code freezes identity banks while memory stores predictions (TRAIN_SEQ_TRAINING_FREEZE_PARAMS).
    """
    frozen = copy(model)
    frozen.assign_identities = torch.no_grad()(model.assign_identities)  # type: ignore[method-assign]
    return frozen


def draw_masks(config: ModelConfig, labels: Tensor, ignored: Tensor, permutations: Tensor) -> Tensor:
    """Draw labels B×H×W as masks B×(1+M)×H×W, whose objects have the identities of ``permutations``.

    ``ignored``: B×H×W bool, one more channel of the masks if the model has one for pixels to ignore.
    """
    largest = config.max_objects
    identities = permutations.gather(1, labels.clamp(max=largest).flatten(1)).view_as(labels)
    masks = one_hot(torch.where(labels <= largest, identities, labels), largest + 1)  # B×(1+M)×H×W
    return torch.cat([masks, ignored[:, None].to(masks)], 1) if config.ignore_plane else masks


def frame_losses(
    model: VOSModel,
    features: Features,
    decoded: DecodedFrame,
    labels: Tensor,
    options: ClipOptions,
    object_counts: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Return the loss B and the mask B×H×W of each sample of a frame; a scalable model is decoded at all depths.

    With a shared block, smaller depths are decoded from outputs without norm, as published (`AOST.propagate`).
    """
    samples_by_depth = [
        split_samples(logits, labels.shape[1:], options, object_counts, model.config.align_corners)
        for logits in (*model.decode_depths(decoded.propagated, features), decoded.logits)
    ]
    losses = [
        torch.stack([compute_loss(options, *pair) for pair in zip(samples, labels, strict=True)])
        for samples in samples_by_depth
    ]
    masks = torch.stack([sample.detach().max(0).indices for sample in samples_by_depth[-1]])
    return weight_by_depth(losses), masks


def compute_loss(options: ClipOptions, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of one frame of a sample, a scalar; arguments as `frame_loss`.

    Raises:
        InputError: a plug-in returned something else.
    """
    loss = options.loss(logits, labels, options.hard_pixel_count)
    if not isinstance(loss, Tensor) or loss.dim():
        found = f"tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise InputError(f"returned a {found}", subject=describe_object(options.loss), remedy="expected a scalar")
    return loss


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
            InputError: the loss of a plug-in is no scalar, or has no gradient.
        """
        losses = clip_losses(self.model, build_bank(self.memory, training=True), clip, options)
        loss = options.reference_weight * losses.reference.mean() + losses.tracked.mean()
        if torch.is_grad_enabled() and not loss.requires_grad:  # a frame without objects may have a constant loss
            subject = describe_object(options.loss)
            raise InputError("returned a tensor without gradient", subject=subject, remedy="compute it from the logits")
        return loss, losses


def mean_iou(prediction: Tensor, labels: Tensor, object_counts: list[int]) -> Tensor:
    """Return the mean IoU over objects 1 to n, then over samples with objects, of labels B×H×W.

    Ignored pixels (255) do not count. Returns a scalar from 0 to 1, or nan without objects.
    """
    scores = []
    for mask, annotation, count in zip(prediction, labels, object_counts, strict=True):
        if count:
            ids = torch.arange(1, count + 1, device=mask.device)[:, None, None]
            predicted, annotated = (mask == ids) & (annotation != VOID), annotation == ids
            intersection = (predicted & annotated).sum((1, 2))
            union = (predicted | annotated).sum((1, 2))
            scores.append(((intersection + 1e-6) / (union + 1e-6)).mean())
    return torch.stack(scores).mean() if scores else labels.new_tensor(math.nan, dtype=torch.float32)
