"""Runs of the track command with a tracker that repeats the last mask."""

import signal
from dataclasses import replace
from typing import ClassVar

import numpy as np

from aotlab.media.masks import read_mask, write_mask
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_video.commands import track as cli

NAMES = [f"{index:05d}.png" for index in range(4)]
WRITE = ["--write", "masks,overlay,coco,objects,mattes"]


class Repeater(RepeatingTracker):
    """A tracker that is loaded without a file; the class counts loads and steps of all of them."""

    loads = steps = 0
    overrides: ClassVar[list[str]]
    length: ClassVar[int | None]

    @classmethod
    def from_pretrained(cls, path, *, config=None, overrides=(), device="cpu", protocol="bounded"):
        cls.loads += 1
        cls.overrides = list(overrides)
        return cls()

    def reset(self, length=None):
        super().reset()
        type(self).length = length

    def step(self, frame, mask=None):
        type(self).steps += 1
        return replace(super().step(frame, mask), temperature=10.0)  # confidences below 1, which a resumed run keeps


def save(path, value, size=(32, 48)):
    write_mask(path, draw_box(size, (8, 24), (8, 24), value, np.int64))
    return path


def track(video, tmp_path, *masks, args=()):
    options = [part for mask in masks for part in ("--mask", str(mask))]
    return cli.main([str(video), *options, "--output", str(tmp_path / "out"), *args])


FRAME_2_BLUE = 42
"""The blue value of the third frame's first pixel."""


def interrupt(monkeypatch, video, tmp_path, mask, *, args, number=signal.SIGINT):
    """Track until a signal on the third frame, and check the exit status."""
    step = Repeater.step

    def send_signal(self, frame, mask=None):
        if frame[0, 0, 2] == FRAME_2_BLUE:
            signal.raise_signal(number)
        return step(self, frame, mask)

    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", send_signal)
        assert track(video, tmp_path, mask, args=args) == 128 + number


def read_largest_ids(folder):
    """Return the largest id of each mask, by file name."""
    return {path.name: read_mask(path).max() for path in sorted((folder / "out" / "masks").iterdir())}


def snapshot(folder):
    """Return the content and time of all files of a folder, also of hidden ones."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}
