"""Masks and overlays of ``aotlab track`` on videos whose frames show their number, whole and cut off."""

from functools import partial

import pytest

from aotlab import open_frames, read_mask
from aotlab.engine.tracking import tracker as engine
from tests.numbered_videos import cut_end, draw_strip, parse_number, write_numbered
from tests.shared import slow
from tests.tools.track.runs import Repeater, run, save

LENGTH = 40


class Counter(Repeater):
    """A tracker whose mask is as many pixels wide as the number that the frame shows, plus one."""

    def step(self, frame, mask=None):
        return super().step(frame, draw_strip(parse_number(frame)))


def read_numbers(folder):
    """Return the numbers in the masks and in the overlay of a run."""
    masks = [int(read_mask(path).sum()) - 1 for path in sorted((folder / "masks").iterdir())]
    return masks, [parse_number(frame) for frame in open_frames(folder / "overlay.mp4")]


@pytest.fixture
def track(monkeypatch, tmp_path):
    """Tracks a video of a coding; returns the exit status and the numbers in masks and overlay."""
    monkeypatch.setattr(engine, "Tracker", Counter)
    mask = save(tmp_path / "first.png", 1, (64, 128))

    def track(name, change=lambda path: path):
        status = run(change(write_numbered(tmp_path / name, LENGTH)), tmp_path, mask)
        return status, *read_numbers(tmp_path / "out")

    return track


@pytest.mark.parametrize(
    "name", ["h264.m2ts", "mpeg2.mpg", *slow("h264.mp4", "mpeg2.ts", "mpeg2.vob", "refresh.ts")]
)
def test_masks_and_overlay_show_every_frame_once(track, name):
    assert track(name) == (0, list(range(LENGTH)), list(range(LENGTH)))


@pytest.mark.parametrize("name", ["refresh.mkv", "h264.ts", *slow("h264.mp4", "mpeg2.mpg")])
def test_cut_video_keeps_the_frames_before_the_cut(track, name, capsys):
    status, masks, overlay = track(name, partial(cut_end, part=0.75))
    assert status == 1
    assert "cut off" in capsys.readouterr().err
    assert masks == overlay
    assert 10 < len(masks) < LENGTH
    # frames stored after a later one may be lost
    assert masks[:-2] == list(range(len(masks) - 2))
