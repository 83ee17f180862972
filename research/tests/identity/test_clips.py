"""Clips that rules are chosen on."""

from __future__ import annotations

import numpy as np

from aotlab.dataloaders.training.clips import Clip
from research.bundled.benchmark_touching import list_images
from research.identity.clips import CLIPS, REAL, list_clips, loop_clip, paste_video
from tests.dataloaders.training.in_memory import write_videos


def make_clip(frames=4):
    """A clip whose object 1 covers the first column."""
    labels = np.zeros((frames, 2, 6), np.uint8)
    labels[:, :, 0] = 1
    return Clip(np.repeat(np.arange(frames, dtype=np.uint8), 36).reshape(frames, 2, 6, 3), labels, 1)


def test_looped_clip_turns_at_both_ends():
    clip = loop_clip(make_clip(), 8)
    assert clip.frames[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 2, 1, 0, 1]
    assert len(clip.labels) == 8


def test_pasted_object_is_mirrored():
    clip = paste_video(make_clip(), make_clip(3))
    assert clip.labels[2, 0].tolist() == [1, 0, 0, 0, 0, 2]
    assert clip.objects == 2


def test_series_share_no_image_and_no_video(tmp_path):
    write_videos(tmp_path / "static", "a", frames=60, size=(64, 64))
    images = [{image.name for image in list_images(tmp_path, part).images} for part in range(len(REAL))]
    videos = [{name for names in series.values() for name in names} for series in REAL]
    assert all(images)
    for sets in (images, videos):
        assert sum(map(len, sets)) == len(set.union(*sets))


def test_every_group_of_a_series_is_listed(tmp_path):
    write_videos(tmp_path / "static", "a", frames=60, size=(64, 64))
    groups = {group for group, _, _ in list_clips(tmp_path, 1)}
    assert groups == {*CLIPS, "real", "pasted"}
