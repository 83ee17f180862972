"""The learning rate, parameter groups and averaged weights (AOT, Training Details)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

NO_DECAY = ("relative_position_bias_table", "relative_value", "conv_out")
"""Name fragments of matrices without weight decay."""


def learning_rate(step: int, total: int, *, peak: float, final: float, warmup: float, power: float) -> float:
    """Return the learning rate: linear warm-up from ``final`` to ``peak``, then polynomial decay to ``final``."""
    warmup_steps = warmup * total
    if step < warmup_steps:
        return final + (peak - final) * step / warmup_steps
    progress = (step - warmup_steps) / (total - warmup_steps + 1)
    return final + (peak - final) * (1 - progress) ** power


def group_rate(rate: float, *, final: float, lr_ratio: float) -> float:
    """Return the learning rate of a parameter group: ``lr_ratio`` scales its difference from the final rate."""
    return final + (rate - final) * lr_ratio


def set_learning_rates(optimizer: torch.optim.Optimizer, rate: float, *, final: float) -> None:
    """Set the learning rates of `parameter_groups` for a step whose rate is ``rate``; the last step has ``final``."""
    for group in optimizer.param_groups:
        group["lr"] = group_rate(rate, final=final, lr_ratio=group["lr_ratio"])


def reference_loss_weight(step: int, total: int, until: float) -> float:
    """Return the weight of the loss on reference frames: 1 at first, 0 after the fraction ``until`` of the steps."""
    length = total * until + 1e-5
    return max(length - step, 0.0) / length


def parameter_groups(model: nn.Module, weight_decay: float, encoder_lr_ratio: float) -> list[dict[str, object]]:
    """Return optimizer groups of the trainable parameters by encoder and weight decay.

    Biases, norms and `NO_DECAY` matrices are not decayed. ``lr_ratio`` of a group is for `set_learning_rates`;
    groups also hold the names of their parameters.
    """
    groups: dict[tuple[float, float], dict[str, object]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = 0.0 if parameter.dim() == 1 or any(part in name for part in NO_DECAY) else weight_decay
        ratio = encoder_lr_ratio if name.startswith("encoder.") else 1.0
        group = groups.setdefault((ratio, decay), {"params": [], "names": [], "lr_ratio": ratio, "weight_decay": decay})
        group["params"].append(parameter)  # type: ignore[attr-defined]
        group["names"].append(name)  # type: ignore[attr-defined]
    return list(groups.values())


def average_weights(model: nn.Module, total_steps: int, ratio: float) -> AveragedModel:
    """Return the exponential moving average of a model's weights, updated after each step (AOT, Training Details).

    ``ratio``: averaging window as a fraction of ``total_steps``; the first steps shorten it.
    """
    longest = 1 - 1 / max(total_steps * ratio, 1)

    def update(averages: Any, weights: Any, step: Any) -> None:
        decay = min(longest, (1 + int(step)) / (10 + int(step)))
        torch._foreach_lerp_(averages, weights, 1 - decay)

    average = AveragedModel(model, multi_avg_fn=update)
    average.update_parameters(model)  # the first one copies
    return average


def list_trained(model: nn.Module) -> dict[str, Tensor]:
    """Return the trainable parameters by name."""
    return {name: x.detach() for name, x in model.named_parameters() if x.requires_grad}
