"""Copies between host and GPU that neither waits for: frames go up, labels come down one frame behind."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aotlab.engine.prediction import Prediction


def on_device(frame: np.ndarray, device: torch.device) -> Tensor:
    """Return a frame H×W×3 uint8 as a tensor on ``device``; a GPU copies it from pinned memory in its own time."""
    pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
    return pixels.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else pixels.to(device)


class OneBehind:
    """Waits for a frame's labels: on a GPU for those of the frame before, while it computes the newest."""

    def __init__(self, device: object) -> None:
        """``device``: of the tracker, a `torch.device`; None: a CPU."""
        self._behind = str(device).startswith("cuda")
        self._before: Prediction | None = None

    def wait(self, newest: Prediction) -> None:
        """Wait for the labels that are due when ``newest`` was queued."""
        before, self._before = self._before, newest
        due = before if self._behind else newest
        if due is not None:
            due.labels  # noqa: B018  # computed or received when first read
