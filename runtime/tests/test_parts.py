"""Parts of masks that are far from their prompts, compared with the framework's."""

from __future__ import annotations

import time

import numpy as np
import pytest

import aotlab
from aotlab.engine.prompting.network import find_far_from_points as find_far_in_framework
from aotlab_runtime.parts import find_far_from_points
from tests.drawn_clips import draw_parts


@pytest.mark.parametrize("seed", range(6))
def test_parts_of_prompted_masks_equal_framework(seed):
    mask = draw_parts(seed)
    for x, y in np.random.default_rng(seed).uniform(-1, (855, 481), (8, 2)):
        expected = find_far_in_framework(mask, aotlab.Prompt(points=(x, y)))
        assert np.array_equal(find_far_from_points(mask, [(x, y)]), expected)


@pytest.mark.parametrize(
    ("parts", "point"),
    [
        ([np.s_[10:30, 10:30], np.s_[37:44, 37:44]], (20, 20)),  # diagonal
        ([np.s_[10:30, 10:30], np.s_[40:60, 70:80]], (200, 200)),  # a point beside all parts
        ([np.s_[10:30, 10:30], np.s_[30:40, 30:40]], (20, 20)),  # touching corners
        ([np.s_[0:1, 0:1]], (5, 5)),
        ([], (5, 5)),
    ],
)
def test_few_parts_equal_framework(parts, point):
    mask = np.zeros((480, 854), bool)
    for part in parts:
        mask[part] = True
    expected = find_far_in_framework(mask, aotlab.Prompt(points=point))
    assert np.array_equal(find_far_from_points(mask, [point]), expected)


@pytest.mark.slow
def test_large_parts_take_less_than_two_seconds():
    mask = np.ones((1080, 1920), bool)
    mask[::40, ::2] = False
    mask[:, 1900] = False
    begin = time.process_time()
    find_far_from_points(mask, [(500, 500)])
    assert time.process_time() - begin < 2
