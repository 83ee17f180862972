"""A tracker without a network."""

import numpy as np
import torch

from aotlab.configs.schema import Config
from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.masks import resize_labels


class RepeatingTracker:
    """Repeats the last mask of every object with a confidence near 1; records its calls.

    Args:
        before_step: called with every frame.
    """

    device = torch.device("cpu")
    config = Config()
    checkpoint_digest = "none"
    hooks = ()
    segmenter = None

    def __init__(self, before_step=lambda frame: None):
        self.before_step = before_step
        self.labels, self.ids = None, ()
        self.resets, self.annotated_ids = 0, []

    def reset(self, length=None):
        self.labels, self.ids = None, ()
        self.resets += 1

    def fresh(self):
        return type(self)(self.before_step)

    def is_cut(self, frame):
        return False

    def step(self, frame, mask=None, *, size=None):
        self.before_step(frame)
        if self.labels is None:
            self.labels = np.zeros(frame.shape[:2], np.int64)
        annotated = None if mask is None else np.unique(mask).tolist()
        self.annotated_ids.append(annotated)
        if mask is not None:
            self.ids += tuple(object_id for object_id in annotated if object_id not in (0, *self.ids))
            self.labels = np.where(mask > 0, mask, self.labels * ~np.isin(self.labels, annotated))
        labels = resize_labels(self.labels, size or frame.shape[:2])
        logits = 20.0 * torch.from_numpy(np.stack([labels == object_id for object_id in (0, *self.ids)]))
        return Prediction(self.ids, logits, logits.max(0).indices)

    def soften_edges(self, frame, prediction):
        return prediction

    def forget(self, object_id):
        self.ids = tuple(kept_id for kept_id in self.ids if kept_id != object_id)
        self.labels = np.where(self.labels == object_id, 0, self.labels)

    def state_dict(self):
        return {"labels": torch.from_numpy(self.labels), "ids": self.ids}

    def load_state_dict(self, state):
        self.labels, self.ids = state["labels"].numpy(), tuple(state["ids"])
