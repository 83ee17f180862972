"""Copies from a GPU while it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class HostCopy:
    """Copies of a GPU's tensors in pinned memory, made while the GPU computes."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        """Start the copies."""
        self._tensors = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._copied = torch.cuda.Event()
        self._copied.record(torch.cuda.current_stream(tensors[0].device))

    def wait(self) -> list[np.ndarray]:
        """Return the copies when they are complete."""
        self._copied.synchronize()
        return [tensor.numpy() for tensor in self._tensors]


class LabelPipeline:
    """Waits for the labels of each frame; on a GPU one frame later, while it computes the next frame."""

    def __init__(self, device: object) -> None:
        """``device``: the tracker's `torch.device`; None: a CPU."""
        self._delayed = str(device).startswith("cuda")
        self._previous: Any = None

    def wait(self, current: Any) -> None:
        """Wait for the labels that are due when ``current``, a `Prediction` or one of layers, was queued."""
        due = current
        if self._delayed:
            current.start_host_copy()
            due, self._previous = self._previous, current
        if due is not None:
            due.labels  # noqa: B018  # computed or copied when first read

    def flush(self) -> None:
        """Wait for the labels of all frames so far."""
        if self._previous is not None:
            self._previous.labels  # noqa: B018
            self._previous = None
