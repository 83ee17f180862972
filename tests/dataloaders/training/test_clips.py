"""Training clips: choice of frames, numbers of objects, reads of files."""

import numpy as np
import pytest

from aotlab.dataloaders.training.clips import MAX_OBJECTS, Clip, merge_clips, relabel
from aotlab.dataloaders.training.sets import ImageSet, choose_frames, is_reference_frame, sample_clip
from aotlab.utils.errors import InputError
from aotlab_testing.in_memory import CROP, MemoryImage, draw_blocks, make_frames, phase, rng


def make_clip(labels):
    """A clip whose images show the label as gray."""
    labels = np.asarray(labels, np.uint8)
    return Clip(np.repeat(labels[..., None], 3, axis=-1), labels, len(set(np.unique(labels)) - {0, 255}))


def counts(**pixels):
    """Pixels per id, as in counts(_1=300)."""
    table = np.zeros(256, int)
    for name, number in pixels.items():
        table[int(name[1:])] = number
    return table


def test_object_of_minimum_size_is_dropped():
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, :10, :10] = 1
    frames = np.zeros((1, 20, 20, 3), np.uint8)
    assert relabel(frames, labels, rng(), min_pixels=100, max_objects=10).num_objects == 0
    assert relabel(frames, labels, rng(), min_pixels=99, max_objects=10).num_objects == 1


def test_ignored_pixels_stay_ignored():
    labels = np.full((1, 20, 20), 255, np.uint8)
    labels[0, :5] = 8
    clip = relabel(np.zeros((1, 20, 20, 3), np.uint8), labels, rng(), min_pixels=0, max_objects=10)
    assert clip.num_objects == 1
    np.testing.assert_array_equal(clip.labels[0, 5:], 255)


@pytest.mark.parametrize("most", [1, 5, 10, 15, 24])
def test_relabel_limits_objects(most):
    labels = np.repeat(np.arange(1, 25, dtype=np.uint8), 30).reshape(1, 24, 30)
    clip = relabel(np.zeros((1, 24, 30, 3), np.uint8), labels, rng(), min_pixels=0, max_objects=most)
    assert clip.num_objects == most
    assert set(np.unique(clip.labels)) - {0} == set(range(1, most + 1))
    assert all((clip.labels == number).sum() == 30 for number in range(1, most + 1))


def test_objects_are_numbered_at_random():
    labels = np.repeat(np.arange(1, 5, dtype=np.uint8), 30).reshape(1, 4, 30)
    clips = [
        relabel(labels[..., None].repeat(3, -1), labels, rng(seed), min_pixels=0, max_objects=2) for seed in range(100)
    ]
    assert len({tuple(clip.labels[0, :, 0].tolist()) for clip in clips}) == 12


def test_merged_clips_keep_ids_below_void():
    ids = np.repeat(np.arange(1, 251, dtype=np.uint8), 202).reshape(1, 250, 202)
    clip = relabel(np.zeros((1, 250, 202, 3), np.uint8), ids, rng(), min_pixels=0, max_objects=250)
    assert clip.num_objects == MAX_OBJECTS
    left, right = clip.labels.copy(), clip.labels.copy()
    left[..., 101:], right[..., :101] = 0, 0
    merged = merge_clips(make_clip(left), make_clip(right), rng(), max_objects=250)
    assert merged.num_objects == MAX_OBJECTS
    assert not (merged.labels == 255).any()


def test_merging_pastes_second_clip_over_first():
    below, above = np.zeros((2, 30, 30), np.uint8), np.zeros((2, 30, 30), np.uint8)
    below[:, :, :15], above[:, 15:, :], above[:, 0, 0] = 1, 1, 255
    first = Clip(np.full((2, 30, 30, 3), 10, np.uint8), below, 1, ("a",))
    second = Clip(np.full((2, 30, 30, 3), 200, np.uint8), above, 1, ("b",))
    merged = merge_clips(first, second, rng(), max_objects=10)
    assert (merged.num_objects, merged.names) == (2, ("a", "b"))
    np.testing.assert_array_equal(merged.frames[:, 15:], 200)
    np.testing.assert_array_equal(merged.frames[:, :15], 10)
    corners = {int(merged.labels[0, 5, 5]), int(merged.labels[0, 20, 20])}
    assert corners == {1, 2}
    np.testing.assert_array_equal(merged.labels[0, 15:], merged.labels[0, 20, 20])
    assert merged.labels[0, 0, 0] == merged.labels[0, 5, 5]  # what the second ignores is not pasted
    np.testing.assert_array_equal(merged.labels[:, :15, 15:], 0)


def test_frames_lie_within_the_gap_and_run_both_ways():
    frames = make_frames(*[draw_blocks(1)] * 60)
    steps = np.array([np.diff(choose_frames(frames, 5, 3, rng(seed))[0]) for seed in range(200)])
    assert np.abs(steps).max() <= 3
    straight = steps[(steps > 0).all(1) | (steps < 0).all(1)]  # the others turn back at an end
    assert len(straight) > 100
    assert sorted(np.unique(straight)) == [-3, -2, -1, 1, 2, 3]
    # Half of about 180 draws: 50 is six standard deviations away.
    assert 50 < (straight[:, 0] > 0).sum() < len(straight) - 50


@pytest.mark.parametrize(("table", "fits"), [
    (counts(_0=10_000, _1=200), False), (counts(_1=150, _7=51), True), (counts(_1=1000, _255=200), True),
    (counts(_1=1000, _255=201), False), (counts(_255=5000), False),
])  # fmt: skip
def test_reference_frame_shows_most_objects(table, fits):
    assert is_reference_frame(table) is fits


def test_reference_frame_is_searched():
    empty, tiny, open_, good = draw_blocks(0), draw_blocks(1, side=10), draw_blocks(1, 255), draw_blocks(1, 0)
    frames = make_frames(empty, tiny, open_, good, empty, empty)
    starts = [choose_frames(frames, 2, 1, rng(seed))[0][0] for seed in range(40)]
    # One frame in six fits, and 20 tries miss it in 3 of 100 clips.
    assert starts.count(3) > 34


def test_frames_without_newcomers_are_preferred():
    old, both = draw_blocks(1, 0), draw_blocks(1, 2)
    frames = make_frames(*[old] * 10, *[both] * 2)
    choices = [choose_frames(frames, 3, 2, rng(seed))[0] for seed in range(200)]
    newcomers = sum(indices[0] < 10 and max(indices) >= 10 for indices in choices)
    # A single choice meets one about one time in six.
    assert newcomers <= 2


def test_each_file_is_decoded_once():
    frames = make_frames(*[draw_blocks(0)] * 30, draw_blocks(1), draw_blocks(1, 2))
    sample_clip(frames, phase(clip_length=3), 1, rng(3), max_objects=10)
    assert sum(frame.read_images for frame in frames) <= 3
    assert max(frame.read_images for frame in frames) == 1
    assert max(frame.read_masks for frame in frames) == 1


def test_small_objects_are_left_out_of_videos_only():
    mask = np.zeros((CROP, CROP), np.uint8)
    mask[:30, :30], mask[40:44, 40:44] = 1, 2
    still = phase(clip_length=2, short_edge=CROP)
    frames, images = make_frames(mask, mask), ImageSet((MemoryImage(mask),))
    videos = [sample_clip(frames, still, 1, rng(seed), max_objects=10) for seed in range(20)]
    stills = [images.sample(0, still, rng(seed), max_objects=10) for seed in range(20)]
    assert max(clip.num_objects for clip in videos) == 1
    assert max(clip.num_objects for clip in stills) == 2


def test_frames_of_two_sizes_rejected():
    frames = make_frames(draw_blocks(1), draw_blocks(1, side=30))
    forwards = next(seed for seed in range(50) if choose_frames(frames, 2, 1, rng(seed))[0][0] == 0)
    with pytest.raises(
        InputError, match=r"frame 1: 30×30, but another frame of its video is 20×20; .*use kind static for"
    ):
        sample_clip(frames, phase(clip_length=2), 1, rng(forwards), max_objects=10)
