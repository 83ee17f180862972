"""Labels of a GPU's predictions, received one frame behind."""

from __future__ import annotations

from aotlab.engine.prediction import Prediction


class OneBehind:
    """Waits for a frame's labels: on a GPU for those of the frame before, while it computes the newest."""

    def __init__(self, device: object) -> None:
        """``device``: of the tracker, a `torch.device`; None: a CPU."""
        self._behind = str(device).startswith("cuda")
        self._before: Prediction | None = None

    def wait(self, newest: Prediction) -> None:
        """Wait for the labels that are due when ``newest`` was queued."""
        due: Prediction | None = newest
        if self._behind:
            newest.receive()
            due, self._before = self._before, newest
        if due is not None:
            due.labels  # noqa: B018  # computed or received when first read
