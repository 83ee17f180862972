"""The clips that the project draws."""

import numpy as np
import pytest

from aotlab.media.synthetic_clip import draw_clip


@pytest.fixture(scope="module")
def clip():
    return draw_clip(12, 96, 160, seed=7)


def areas(masks):
    """T×4: pixels of every object in every frame."""
    return np.stack([(masks == number).sum(axis=(1, 2)) for number in range(1, 5)], axis=1)


def test_clip_depends_on_the_seed_only():
    first, again, other = (draw_clip(2, 48, 64, seed=seed) for seed in (3, 3, 4))
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()


def test_objects_hide_each_other_and_reappear(clip):
    pixels = areas(clip[1])
    assert pixels[:, 0].min() < 0.6 * pixels[0, 0]
    assert pixels[-1, 0] > 0.9 * pixels[0, 0]
