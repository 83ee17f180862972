"""Copies from a GPU while it computes."""

from __future__ import annotations

from collections import deque
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

    def __init__(self, device: torch.device) -> None:
        """``device``: the tracker's."""
        self._delay = 1 if device.type == "cuda" else 0
        self._queue: deque[Any] = deque()

    def push(self, current: Any) -> None:
        """Queue ``current``, a `Prediction` or `OverlapPrediction`, and wait for the labels that are due."""
        if self._delay:
            current.start_host_copy()
        self._queue.append(current)
        self._finish(self._delay)

    def flush(self) -> None:
        """Wait for the labels of all frames so far."""
        self._finish(0)

    def _finish(self, max_waiting: int) -> None:
        while len(self._queue) > max_waiting:
            self._queue.popleft().labels  # noqa: B018  # computed or copied when first read
