"""Guards against non-finite losses and gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aotlab.utils.errors import RunStopped


class NotFinite(RunStopped):
    """Non-finite loss, gradient or weight; nothing was changed. The message names the clips."""


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors with non-finite values."""
    return [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
