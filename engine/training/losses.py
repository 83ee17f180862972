"""Loss of a frame: what it gets, the built-in one, and checks of those of plug-ins (AOT, Training Details)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.training import LOSSES
from aotlab.media.masks import VOID
from aotlab.networks.model import Memory
from aotlab.utils.errors import InputError, require
from aotlab.utils.plugins import LOSS_PLUGINS, PluginChoices, describe_object, find_plugin


@dataclass(frozen=True)
class FrameOutputs:
    """Outputs of the model for a frame of one clip, which has n objects."""

    logits: Sequence[Tensor]
    """(1+n)×H×W float32, background first: the last of all blocks; a scalable model has those of fewer before it."""
    embeddings: Tensor
    """D×h×w, the input of the decoder; see `PropagatedFrame`."""
    memory: Memory
    """``memory[stage][block]`` that the frame read, without the axis of clips: keys (T·L)×K, values (T·L)×D.

    A reference frame reads its own memory.
    """
    hard_pixel_count: int
    """Number of pixels in the bootstrapped cross-entropy at this step."""


FrameLoss = Callable[[FrameOutputs, Tensor], Mapping[str, Tensor]]
"""Loss of a frame of one clip, with the arguments and result of `frame_loss`."""


def count_hard_pixels(pixels: int, step: int, total: int, *, fraction: float, reached_after: float) -> int:
    """Return the number of pixels in the bootstrapped cross-entropy at ``step``: all at first, ``fraction`` later.

    ``reached_after``: fraction of the ``total`` steps after which ``fraction`` is reached.
    """
    ratio = min(1.0, step / (reached_after * total + 1e-5))
    return max(1, int((ratio * fraction + (1 - ratio)) * pixels))


def bootstrapped_cross_entropy(logits: Tensor, target_indices: Tensor, hardest_count: int) -> Tensor:
    """Return the mean cross-entropy of the ``hardest_count`` hardest pixels; ignored pixels count as 0.

    logits: C×H×W; target_indices: H×W integers below C, or 255. Returns a scalar.
    """
    losses = F.cross_entropy(logits[None], target_indices[None], ignore_index=VOID, reduction="none").flatten()
    if hardest_count < losses.numel():
        losses = losses.topk(hardest_count, sorted=False).values
    return losses.mean()


def soft_jaccard(logits: Tensor, target_indices: Tensor) -> Tensor:
    """Return the mean of 1 - soft IoU over the classes present, including background.

    logits: C×H×W; target_indices: H×W integers below C, or 255 (ignored). Returns a scalar, 0 if all pixels are
    ignored.
    """
    probabilities = logits.softmax(0) * (target_indices != VOID)
    classes = torch.arange(len(logits), device=target_indices.device)
    masks = (target_indices == classes[:, None, None]).to(probabilities.dtype)
    pixels = masks.sum((1, 2))
    intersection = (probabilities * masks).sum((1, 2))
    union = probabilities.sum((1, 2)) + pixels - intersection
    losses = 1 - intersection / (union + 1e-6)
    present = pixels > 0
    return (losses * present).sum() / present.sum().clamp(min=1)


def weight_by_depth(losses: Sequence[Tensor]) -> Tensor:
    """Return the weighted mean of losses at depths 1, 2, ...; each weighs twice as much as the previous one (AOST)."""
    weighted = [2**index * loss for index, loss in enumerate(losses)]
    return torch.stack(weighted).sum(0) / (2 ** len(losses) - 1)


def frame_loss(outputs: FrameOutputs, target_indices: Tensor) -> dict[str, Tensor]:
    """Return the weighted terms of the loss of a frame, scalars, whose sum is minimized.

    target_indices: H×W int64: 0 background, 1 to n, 255 ignored.
    """
    cross_entropies = [
        bootstrapped_cross_entropy(logits, target_indices, outputs.hard_pixel_count) for logits in outputs.logits
    ]
    jaccards = [soft_jaccard(logits, target_indices) for logits in outputs.logits]
    return {"cross_entropy": 0.5 * weight_by_depth(cross_entropies), "jaccard": 0.5 * weight_by_depth(jaccards)}


def find_loss(name: str) -> FrameLoss:
    """Return the loss of a name; raises `InputError` if it is unknown."""
    is_built_in = PluginChoices(LOSS_PLUGINS, LOSSES).is_built_in(name, "train.loss")
    return frame_loss if is_built_in else PluginLoss(find_plugin(LOSS_PLUGINS, name))


class PluginLoss:
    """Loss of a plug-in, whose terms are checked."""

    def __init__(self, function: FrameLoss) -> None:
        self.function, self.subject = function, describe_object(function)
        self.names: list[str] = []
        """Names of the terms, once they are known."""

    def __call__(self, outputs: FrameOutputs, target_indices: Tensor) -> Mapping[str, Tensor]:
        """Return the terms; raise `InputError` unless they are named scalars, with the same names on each frame."""
        terms = self.function(outputs, target_indices)
        remedy = 'expected a dict of scalars by name, such as {"focal": loss.mean()}'
        is_dict = isinstance(terms, Mapping) and bool(terms)
        require(is_dict, f"returned {describe_value(terms)}", subject=self.subject, remedy=remedy)
        for name, term in terms.items():
            is_scalar = isinstance(term, Tensor) and not term.dim()
            require(is_scalar, f"returned {describe_value(term)} as {name}", subject=self.subject, remedy=remedy)
        self.names = self.names or [*terms]
        if [*terms] != self.names:
            problem = f"returned {', '.join(terms)}, but {', '.join(self.names)} for an earlier frame"
            raise InputError(problem, subject=self.subject, remedy="return the same terms for all, 0 if one is unused")
        return terms


def describe_value(value: object) -> str:
    """Return the type of a value, and the shape of a tensor, for messages."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return "an empty dict" if value == {} else f"a {type(value).__name__}"
