"""A tracker that returns the masks it was given."""

from types import SimpleNamespace

import numpy as np

SIZE = (120, 160)


class PaintingTracker:
    """Answers every frame with the masks given so far, later ones on top."""

    def reset(self, length=None):
        self.labels = np.zeros(SIZE, dtype=np.uint16)
        self.ids: set[int] = set()

    def step(self, frame, mask=None):
        if mask is not None:
            self.labels = np.where(mask > 0, mask, self.labels)
            self.ids |= set(np.unique(mask).tolist()) - {0}
        return SimpleNamespace(labels=self.labels, confidence=dict.fromkeys(self.ids, 0.9))

    def forget(self, number):
        raise NotImplementedError
