"""Tracking from frames to files, with a tracker that only counts."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
from PIL import Image

from aotlab.engine.video.track import track
from aotlab.media.masks import read_mask
from aotlab.media.video import open_frames
from aotlab.media.video_writer import VideoWriter


class Repeater:
    """Answers with the last mask it was given."""

    def __init__(self):
        self.labels = None
        self.masks = []

    def step(self, frame, mask=None):
        if mask is not None:
            self.labels = mask
            self.masks.append(mask)
        return SimpleNamespace(
            labels=np.zeros(frame.shape[:2], np.uint8) if self.labels is None else self.labels
        )


def folder(path, frames=6, size=(32, 48)):
    path.mkdir()
    for index in range(frames):
        Image.new("RGB", size[::-1], (40, 90 + index, 40)).save(path / f"{index:03d}.png")
    return path


def square(value, dtype=np.uint8):
    mask = np.zeros((32, 48), dtype=dtype)
    mask[8:24, 8:24] = value
    return mask


def test_every_frame_gives_a_mask_and_an_overlay_frame(tmp_path):
    source = open_frames(folder(tmp_path / "in"))
    source.rate = Fraction(12)
    result = track(Repeater(), source, {0: square(3)}, tmp_path / "out")
    assert (result.frames, result.error) == (6, None)
    assert result.frames_per_second > 0
    assert sorted(path.name for path in result.written["masks"].iterdir()) == [
        f"{index:03d}.png" for index in range(6)
    ]
    assert (read_mask(result.written["masks"] / "005.png") == square(3)).all()
    video = open_frames(result.written["overlay"])
    assert (video.rate, video.size, len(list(video))) == (Fraction(12), (32, 48), 6)


def test_results_of_a_video_file_are_named_by_number_and_keep_its_rate(tmp_path):
    rate = Fraction(30000, 1001)
    with VideoWriter(tmp_path / "in.mp4", rate=rate, size=(32, 48)) as writer:
        for _ in range(3):
            writer.write(np.full((32, 48, 3), 90, np.uint8))
    result = track(Repeater(), open_frames(tmp_path / "in.mp4"), {0: square(1)}, tmp_path / "out")
    assert sorted(path.name for path in result.written["masks"].iterdir()) == [
        "00000.png",
        "00001.png",
        "00002.png",
    ]
    video = open_frames(result.written["overlay"])
    assert (video.rate, video.size, len(list(video))) == (rate, (32, 48), 3)


def test_a_mask_after_the_last_frame_is_reported(tmp_path):
    result = track(
        Repeater(), open_frames(folder(tmp_path / "in")), {0: square(1), 9: square(2)}, tmp_path / "out"
    )
    assert result.frames == 6
    assert "frame 9" in result.error
