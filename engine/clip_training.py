"""Losses of a batch of clips: the same recurrence as tracking, with gradients (AOT, section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.advance import advance, one_hot, refer
from engine.losses import frame_loss
from engine.memory import MemoryBank
from networks.vos_model import Features, VOSModel


@dataclass(frozen=True)
class ClipBatch:
    """Clips to learn from."""

    images: Tensor
    """T×B×3×H×W, normalised"""
    labels: Tensor
    """T×B×H×W int64: 0 background, 1 to objects[b], 255 ignored"""
    objects: list[int]
    """number of objects per clip"""


@dataclass(frozen=True)
class ClipLosses:
    """Losses and masks of a batch of clips."""

    reference: Tensor
    """B, on the reference frame"""
    tracked: Tensor
    """(T-1)×B, on the others"""
    predictions: list[Tensor]
    """B×H×W int64 per frame, the reference frame's first"""


def shuffled_slots(batch: int, identities: int, generator: torch.Generator | None = None) -> Tensor:
    """Which identity each object is given: B×(M+1), a permutation per clip that leaves background at 0."""
    slots = [torch.randperm(identities, generator=generator) + 1 for _ in range(batch)]
    return F.pad(torch.stack(slots), (1, 0))


def clip_losses(
    model: VOSModel,
    bank: MemoryBank,
    clip: ClipBatch,
    *,
    slots: Tensor,
    hardest: int,
    own_predictions: bool,
    reference_gradient: bool = True,
) -> ClipLosses:
    """Run a batch of clips and measure every frame.

    Args:
        model: in training mode.
        bank: empty.
        clip: the batch.
        slots: B×(M+1), the identity of each object, from `shuffled_slots`.
        hardest: pixels that cross-entropy averages, from `hardest_count`.
        own_predictions: remember the model's own masks instead of the true ones.
        reference_gradient: whether the loss on the reference frame is learned from.
    """
    length, batch = clip.labels.shape[:2]
    identities = model.config.max_objects
    encoded = model.encode(clip.images.flatten(0, 1))
    frames = [Features(*parts) for parts in zip(*(x.split(batch) for x in encoded), strict=True)]
    losses: list[list[Tensor]] = []
    predictions: list[Tensor] = []

    def measure(logits: Tensor, frame: int) -> Tensor:
        """Record losses and prediction of a frame; return the prediction."""
        own = logits.gather(1, slots[:, :, None, None].expand_as(logits))
        kept = [own[b, : count + 1] for b, count in enumerate(clip.objects)]
        pairs = zip(kept, clip.labels[frame], strict=True)
        align = model.config.align_corners
        losses.append([frame_loss(x, labels, hardest, align_corners=align) for x, labels in pairs])
        predictions.append(_masks(kept, clip.labels.shape[2:], align))
        return predictions[-1]

    def remembered(labels: Tensor) -> Tensor:
        """The masks that memory takes, objects at their identities."""
        placed = slots.gather(1, labels.clamp(max=identities).flatten(1)).view_as(labels)
        return one_hot(torch.where(labels <= identities, placed, labels), identities + 1)

    def feedback(frame: int, logits: list[Tensor]) -> list[Tensor] | None:
        prediction = measure(logits[0], frame)
        if frame == length - 1:
            return None
        return [remembered(prediction if own_predictions else clip.labels[frame])]

    propagated = refer(model, bank, frames[0], remembered(clip.labels[0]))
    with torch.set_grad_enabled(reference_gradient and torch.is_grad_enabled()):
        measure(model.decode(propagated, frames[0]), 0)
    for index in range(1, length):
        advance(model, [bank], frames[index], partial(feedback, index))
    stacked = torch.stack([torch.stack(row) for row in losses])
    return ClipLosses(stacked[0], stacked[1:], predictions)


@torch.no_grad()
def _masks(logits: list[Tensor], size: torch.Size, align_corners: bool) -> Tensor:
    """Most likely label per pixel at ``size``, of logits with a number of planes per sample: B×H×W."""
    masks = []
    for own in logits:
        full = F.interpolate(own[None].float(), size, mode="bilinear", align_corners=align_corners)
        masks.append(full[0].max(0).indices)
    return torch.stack(masks)
