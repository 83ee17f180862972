"""A tracker that repeats what it was given."""

from types import SimpleNamespace

import numpy as np
import torch

from aotlab.media.masks import resize_labels


class PaintingTracker:
    """Answers with the masks given so far, later ones over earlier ones; notes how it was called."""

    device = torch.device("cpu")
    config = "the resolved config"
    groups = 1

    def __init__(self):
        self.calls = []
        self.annotated_ids = []
        self.labels, self.ids = None, set()
        self.resets = self.steps = 0
        self.before_step = lambda: None

    def reset(self, length=None):
        self.resets += 1
        self.labels, self.annotated_ids, self.ids = None, [], set()

    def fresh(self):
        return PaintingTracker()

    def step(self, frame, mask=None, *, size=None):
        self.before_step()
        self.steps += 1
        ids = None if mask is None else np.unique(mask).tolist()
        self.annotated_ids.append(ids)
        self.ids |= set(ids or ()) - {0}
        self.calls.append((frame.shape, ids, size))
        if self.labels is None:
            self.labels = np.zeros(frame.shape[:2], np.uint8)
        if mask is not None:
            self.labels = np.where(mask > 0, mask, self.labels)
        labels = resize_labels(self.labels, size or frame.shape[:2])
        return SimpleNamespace(labels=labels, ids=tuple(self.ids), confidence=dict.fromkeys(self.ids, 0.9))
