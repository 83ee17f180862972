"""Labels of a GPU's predictions, received one frame behind."""

from __future__ import annotations

from typing import Any


def is_gpu(device: object) -> bool:
    """Return whether a tracker's device is a GPU; None: a CPU."""
    return str(device).startswith("cuda")


class DelayedLabels:
    """Waits for a frame's labels: on a GPU for those of the frame before, while it computes the newest."""

    def __init__(self, device: object) -> None:
        """``device``: of the tracker, a `torch.device`; None: a CPU."""
        self._delayed = is_gpu(device)
        self._previous: Any = None

    def wait(self, newest: Any) -> None:
        """Wait for the labels that are due when ``newest``, a `Prediction` or one of layers, was queued."""
        due = newest
        if self._delayed:
            newest.receive()
            due, self._previous = self._previous, newest
        if due is not None:
            due.labels  # noqa: B018  # computed or received when first read
