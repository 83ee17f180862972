"""Clips on which the hook is measured."""

from __future__ import annotations

from collections import Counter

import numpy as np

from aotlab.dataloaders.training.clips import Clip
from research.ownership.benchmark import format_row, list_clips, paste_video
from tests.dataloaders.training.in_memory import write_videos


def make_clip(frames):
    """A clip whose object 1 covers the first column."""
    labels = np.zeros((frames, 2, 6), np.uint8)
    labels[:, :, 0] = 1
    return Clip(np.zeros((frames, 2, 6, 3), np.uint8), labels, 1)


def test_pasted_object_is_mirrored():
    clip = paste_video(make_clip(4), make_clip(3))
    assert clip.labels[:, 0].tolist() == [[1, 0, 0, 0, 0, 2]] * 3
    assert clip.num_objects == 2


def test_groups_have_the_documented_sizes(tmp_path):
    write_videos(tmp_path / "static", "a", frames=60, size=(64, 64))
    counts = Counter(group for group, _ in list_clips(tmp_path))
    assert [*counts.values()] == [22, 22, 12, 22, 22, 16]


def test_row_compares_the_same_clips():
    scores = np.array([[[50, 10, 100], [60, 30, 100]], [[52, 5, 100], [62, 25, 100]]])
    assert format_row("x", *scores) == "| x | 2 | 55.0 | 57.0 | +2.0 (+2.0 to +2.0) | 20.0 → 15.0 % |"
