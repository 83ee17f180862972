"""Runs of the track command with a tracker that repeats the last mask."""

from types import SimpleNamespace

import numpy as np

from aotlab.masks.id_maps import write_mask
from aotlab.tools import track as cli


class Repeater:
    """Answers with the last mask it was given."""

    config = None
    loads = 0

    @classmethod
    def from_checkpoint(cls, path, *, config=None, overrides=(), device="cpu"):
        cls.loads += 1
        cls.overrides = list(overrides)
        return cls()

    def reset(self, length=None):
        type(self).length = length

    def step(self, frame, mask=None):
        self.labels = (
            mask if mask is not None else getattr(self, "labels", np.zeros(frame.shape[:2], np.uint8))
        )
        return SimpleNamespace(labels=self.labels)


def save(path, value, size=(32, 48)):
    image = np.zeros(size, dtype=np.int64)
    image[8:24, 8:24] = value
    write_mask(path, image)
    return path


def run(video, tmp_path, *masks, more=()):
    options = [part for mask in masks for part in ("--mask", str(mask))]
    return cli.main([str(video), *options, "--output", str(tmp_path / "out"), *more])


def refused(capsys, tracker, status):
    """The error line of a run that was refused before the model was loaded."""
    assert status == 2
    assert tracker.loads == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]
