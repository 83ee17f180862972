"""Runs of the track command with a tracker that repeats the last mask."""

from types import SimpleNamespace

import numpy as np
import torch

from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.masks import write_mask
from aotlab.tools import track as cli
from tests.drawn_clips import draw_box


class Repeater:
    """Repeats the last mask with a confidence near 1."""

    config = SimpleNamespace(confidence_temperature=1.0)
    device = torch.device("cpu")
    model = SimpleNamespace(prompts=object())
    segmenter = None
    loads = steps = 0
    ids = ()

    def fresh(self):
        return type(self)()

    @classmethod
    def from_pretrained(cls, path, *, config=None, overrides=(), device="cpu"):
        cls.loads += 1
        cls.overrides = list(overrides)
        return cls()

    def reset(self, length=None):
        type(self).length = length

    def is_cut(self, frame):
        return False

    def step(self, frame, mask=None):
        type(self).steps += 1
        self.labels = (
            mask if mask is not None else getattr(self, "labels", np.zeros(frame.shape[:2], np.uint8))
        )
        ids, channels = np.unique(np.append(self.labels, 0), return_inverse=True)
        channels = torch.from_numpy(channels[:-1].reshape(self.labels.shape))
        logits = torch.nn.functional.one_hot(channels, len(ids)).permute(2, 0, 1) * 20.0
        return Prediction(tuple(map(int, ids[1:])), logits, channels)

    def forget(self, object_id):
        self.labels = np.where(self.labels == object_id, 0, self.labels)

    def state_dict(self):
        return {"labels": torch.from_numpy(self.labels.astype(np.int64))}

    def load_state_dict(self, state):
        self.labels = state["labels"].numpy()


def save(path, value, size=(32, 48)):
    write_mask(path, draw_box(size, (8, 24), (8, 24), value, np.int64))
    return path


def run(video, tmp_path, *masks, args=()):
    options = [part for mask in masks for part in ("--mask", str(mask))]
    return cli.main([str(video), *options, "--output", str(tmp_path / "out"), *args])
