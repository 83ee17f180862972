"""Tracking from frames to files, with a tracker that only counts."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aotlab.engine.video.tracking import TrackOptions, track
from aotlab.masks.id_maps import read_mask, write_mask
from aotlab.media.video import VideoWriter, open_frames
from aotlab.utils.errors import InputError


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
    source = open_frames(folder(tmp_path / "in"), rate=Fraction(12))
    result = track(Repeater(), source, {0: square(3)}, tmp_path / "out")
    assert (result.frames, result.error) == (6, None)
    assert result.frames_per_second > 0
    assert sorted(path.name for path in result.masks.iterdir()) == [f"{index:03d}.png" for index in range(6)]
    assert (read_mask(result.masks / "005.png") == square(3)).all()
    video = open_frames(result.overlay)
    assert (video.rate, video.size, len(list(video))) == (Fraction(12), (32, 48), 6)


def test_frames_before_the_first_mask_are_written_empty(tmp_path):
    tracker = Repeater()
    result = track(
        tracker, open_frames(folder(tmp_path / "in")), {2: square(1), 4: square(2)}, tmp_path / "out"
    )
    seen = [int(read_mask(result.masks / f"{index:03d}.png").max()) for index in range(6)]
    assert seen == [0, 0, 1, 1, 2, 2]
    assert len(tracker.masks) == 2
    assert len(list(open_frames(result.overlay))) == 6


def test_results_of_a_video_file_are_named_by_number_and_keep_its_rate(tmp_path):
    rate = Fraction(30000, 1001)
    with VideoWriter(tmp_path / "in.mp4", rate=rate, size=(32, 48)) as writer:
        for _ in range(3):
            writer.write(np.full((32, 48, 3), 90, np.uint8))
    result = track(Repeater(), open_frames(tmp_path / "in.mp4"), {0: square(1)}, tmp_path / "out")
    assert sorted(path.name for path in result.masks.iterdir()) == ["00000.png", "00001.png", "00002.png"]
    video = open_frames(result.overlay)
    assert (video.rate, video.size, len(list(video))) == (rate, (32, 48), 3)


def test_without_overlay_there_are_only_masks(tmp_path):
    options = TrackOptions(write=("masks",))
    result = track(
        Repeater(), open_frames(folder(tmp_path / "in")), {0: square(1)}, tmp_path / "out", options
    )
    assert result.overlay is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["masks"]


def test_large_ids_are_written_with_16_bits(tmp_path):
    result = track(
        Repeater(), open_frames(folder(tmp_path / "in")), {0: square(700, np.uint16)}, tmp_path / "out"
    )
    with Image.open(result.masks / "005.png") as image:
        assert image.mode == "I;16"
    assert (read_mask(result.masks / "005.png") == square(700, np.uint16)).all()


def test_a_broken_frame_keeps_what_was_done_and_is_named(tmp_path):
    frames = folder(tmp_path / "in")
    (frames / "004.png").write_bytes((frames / "004.png").read_bytes()[:40])
    result = track(Repeater(), open_frames(frames), {0: square(1)}, tmp_path / "out")
    assert result.frames == 4
    assert "004.png" in result.error
    assert len(list(result.masks.iterdir())) == 4
    assert len(list(open_frames(result.overlay))) == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["masks", "overlay.mp4"]


def test_a_crash_of_the_tracker_leaves_no_half_video(tmp_path):
    def crash(frame, mask=None):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        track(SimpleNamespace(step=crash), open_frames(folder(tmp_path / "in")), {}, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["masks"]


def test_a_mask_after_the_last_frame_is_reported(tmp_path):
    result = track(
        Repeater(), open_frames(folder(tmp_path / "in")), {0: square(1), 9: square(2)}, tmp_path / "out"
    )
    assert result.frames == 6
    assert "frame 9" in result.error


def test_an_output_that_is_a_file_is_refused(tmp_path):
    source = open_frames(folder(tmp_path / "in"))
    write_mask(tmp_path / "out", square(1))
    with pytest.raises(InputError, match="out"):
        track(Repeater(), source, {0: square(1)}, tmp_path / "out")
