"""The drawn pond: fish that move, bend and hide each other."""

from __future__ import annotations

import numpy as np
import pytest

from aotlab.dataloaders.pond import draw_pond
from aotlab.evaluation.measures import region_similarity


@pytest.fixture(scope="module")
def clip():
    return draw_pond(12, 96, 170, seed=7)


def areas(masks):
    """T×4: pixels of every fish in every frame."""
    return np.stack([(masks == number).sum(axis=(1, 2)) for number in range(1, 5)], axis=1)


def middle(mask):
    """Mean row and column of a mask's pixels."""
    return np.argwhere(mask).mean(axis=0)


def test_a_clip_has_frames_and_masks_of_the_size_given(clip):
    frames, masks = clip
    assert frames.shape == (12, 96, 170, 3)
    assert masks.shape == (12, 96, 170)
    assert frames.dtype == masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1, 2, 3, 4}


def test_the_same_seed_draws_the_same_clip_and_another_does_not():
    first, again, other = (draw_pond(2, 48, 64, seed=seed) for seed in (3, 3, 4))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize("size", [(480, 854), (96, 160), (120, 80), (33, 47)])
def test_every_fish_is_whole_in_the_first_frame(size):
    _, masks = draw_pond(1, *size, seed=7)
    assert (areas(masks)[0] / min(size) ** 2 > 0.03).all()


def test_fish_hide_each_other_and_appear_again(clip):
    pixels = areas(clip[1])
    assert pixels[:, 0].min() < 0.6 * pixels[0, 0]
    assert pixels[-1].min() > 0.6 * pixels[0].min()


def test_fish_bend_besides_moving(clip):
    """Laid over one another by their middles, the outlines of two moments differ."""
    _, masks = clip
    first, later = masks[0] == 4, masks[2] == 4
    shift = np.round(middle(first) - middle(later)).astype(int)
    assert np.linalg.norm(shift) > 3
    moved = np.roll(later, tuple(shift), axis=(0, 1))
    assert region_similarity(first, moved) < 0.9


def test_the_camera_moves_over_a_textured_ground(clip):
    frames, masks = clip
    ground = (masks[0] == 0) & (masks[6] == 0)
    assert np.abs(frames[0][ground].astype(int) - frames[6][ground]).mean() > 8
    assert frames[0][ground].std() > 12


def test_a_later_fish_lies_over_an_earlier_one_and_leaves_over_all(clip):
    frames, masks = clip
    over = [(masks == number).any(axis=0) for number in (1, 4)]
    assert (over[0] & over[1]).any()  # they cross
    green = (frames[..., 1] > 1.3 * frames[..., 0].astype(float)) & (frames[..., 1] > 90)
    assert (masks[green] == 0).mean() > 0.98
