"""Clips played forward and backward, and DAVIS made of them."""

import numpy as np
import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.dataloaders.training.clips import reflect_index
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from research.speed.loop_davis import loop_davis, main
from tests.drawn_clips import draw_moving_clip, lay_out_davis, stems_from


@pytest.fixture
def clips():
    return {
        "bear": draw_moving_clip(stems_from(0, 4), seed=1),
        "camel": draw_moving_clip(stems_from(10, 3, 5), {1: 0}, seed=2),
    }


@pytest.fixture
def root(tmp_path, clips):
    lay_out_davis(tmp_path / "DAVIS", clips, "2017", "val")
    return tmp_path / "DAVIS"


def test_looped_frames_have_image_and_labels_of_their_source(root, clips, tmp_path):
    assert loop_davis(root, tmp_path / "long", 3) == {"bear": 10, "camel": 7}
    videos = open_dataset("davis2017", tmp_path / "long")
    assert [video.name for video in videos] == ["bear", "camel"]
    for video in videos:
        clip = clips[video.name]
        assert [path.stem for path in video.frames] == stems_from(0, 3 * len(clip.stems) - 2)
        for index, (frame, labels) in enumerate(zip(video.frames, video.annotations, strict=True)):
            place = reflect_index(index, len(clip.stems))
            assert frame.is_symlink()
            assert np.array_equal(read_image(frame), clip.frames[place])
            assert np.array_equal(read_mask(labels), clip.labels[place])


def test_command_prints_lengths_of_the_videos(root, tmp_path, capsys):
    assert main([str(root), str(tmp_path / "long"), "--times", "2"]) == 0
    assert capsys.readouterr().out == f"2 sequences of 5 to 7 frames in {tmp_path / 'long'}\n"
    assert main([str(tmp_path / "none"), str(tmp_path / "long")]) == 2
    assert "none' does not exist" in capsys.readouterr().err
