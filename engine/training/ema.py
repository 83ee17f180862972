"""Exponential moving average of the weights, used for evaluation and release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class EMA:
    """Exponential moving average of a model's trainable parameters (AOT, section 5.2)."""

    def __init__(self, model: nn.Module, total_steps: int, ratio: float) -> None:
        """``ratio``: averaging window as a fraction of ``total_steps``."""
        self.decay = 1 - 1 / max(total_steps * ratio, 1)
        self.shadow = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Update the average; ``step`` counts from 1 and shortens the window at first."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            if name in self.shadow:
                self.shadow[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Copy the average into the model."""
        for name, parameter in model.named_parameters():
            if name in self.shadow:
                parameter.copy_(self.shadow[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Use averaged weights inside the block."""
        trained = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        self.copy_to(model)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(trained[name])
