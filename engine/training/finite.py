"""What is not finite is never learned from, saved or resumed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aotlab.utils.errors import RunStopped


class NotFinite(RunStopped):
    """A loss, gradient or weight is infinite or not a number; nothing was changed. The message names the clips."""


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold a value which is infinite or not a number."""
    return [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
