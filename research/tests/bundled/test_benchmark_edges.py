"""Clips with known alpha, and the errors measured on them."""

import numpy as np
import pytest

from aotlab.configs.files import ROOT
from research.bundled.benchmark_edges import measure_errors
from research.bundled.edge_clips import NOISE, SIZE, compose_edge_clip


@pytest.fixture(scope="module")
def clip():
    return compose_edge_clip(ROOT / "datasets" / "sample", "smooth", 0)


def test_clip_is_its_object_over_a_background(clip):
    assert clip.frames.shape == (3, *SIZE, 3)
    solid = clip.alpha == 1
    assert 0.05 < solid.mean() < 0.2
    assert np.abs(clip.frames[solid] - clip.colors[solid]).mean() < NOISE
    assert ((clip.alpha > 0) & ~solid).any()
    assert not np.array_equal(clip.alpha[0], clip.alpha[1])


def test_errors_count_pixels_and_gradients(clip):
    alpha = clip.alpha[0]
    assert measure_errors(alpha, alpha) == (0, 0)
    hard = (alpha > 0.5).astype(np.float32)
    difference, gradient = measure_errors(hard, alpha)
    assert difference == pytest.approx(np.abs(hard - alpha).sum() / 1000)
    assert gradient > 0.1
