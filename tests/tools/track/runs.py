"""Runs of the track command with a tracker that repeats the last mask."""

import numpy as np

from aotlab.media.masks import write_mask
from aotlab.tools import track as cli
from tests.drawn_clips import draw_box
from tests.repeating_tracker import RepeatingTracker


class Repeater(RepeatingTracker):
    """Is loaded without a file; the class counts loads and steps of all its trackers."""

    loads = steps = 0

    @classmethod
    def from_pretrained(cls, path, *, config=None, overrides=(), device="cpu"):
        cls.loads += 1
        cls.overrides = list(overrides)
        return cls()

    def reset(self, length=None):
        super().reset()
        type(self).length = length

    def step(self, frame, mask=None):
        type(self).steps += 1
        return super().step(frame, mask)


def save(path, value, size=(32, 48)):
    write_mask(path, draw_box(size, (8, 24), (8, 24), value, np.int64))
    return path


def track(video, tmp_path, *masks, args=()):
    options = [part for mask in masks for part in ("--mask", str(mask))]
    return cli.main([str(video), *options, "--output", str(tmp_path / "out"), *args])
