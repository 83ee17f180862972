"""Refined edges: alpha and colors near the borders of masks."""

import numpy as np
import pytest

from aotlab_compositing.edges import confine_edges, estimate_colors, find_band, refine_alpha, refine_edges
from aotlab_testing.marks import needs_pymatting
from aotlab_testing.processes import run_python
from aotlab_testing.video.stored_results import make_frame
from aotlab_video.runs.store import quantize_probabilities

RED = np.array([220, 40, 30])


def draw_edge(noise=0.0):
    """Return a frame of a red object over blue, its alpha H×W, which rises over 4 pixels, and a mask one pixel off."""
    alpha = np.repeat(((np.arange(240) - 118) / 4).clip(0, 1)[None], 240, 0).astype(np.float32)
    frame = alpha[..., None] * RED + (1 - alpha[..., None]) * np.array([20, 60, 200])
    frame += np.random.default_rng(0).normal(0, noise, frame.shape)
    mask = np.zeros(alpha.shape, np.float32)
    mask[:, 119:] = 1
    return frame.round().clip(0, 255).astype(np.uint8), alpha, mask


@needs_pymatting
def test_alpha_follows_the_colors_of_an_edge():
    frame, alpha, mask = draw_edge(1.0)
    refined = refine_alpha(frame, mask)
    assert np.abs(refined - alpha).sum() < 0.6 * np.abs(mask - alpha).sum()
    band = find_band(mask >= 0.5)
    np.testing.assert_array_equal(refined[~band], mask[~band])
    assert refined.dtype == np.float32


def test_middle_of_thin_parts_is_certain():
    mask = np.zeros((480, 480), bool)
    mask[200:203, 100:300] = mask[50, 50] = True
    band = find_band(mask)
    assert not band[201, 105:295].any()
    assert not band[50, 50]
    assert band[[198, 204], 200].all()
    assert not find_band(np.zeros_like(mask)).any()
    assert not find_band(~np.zeros_like(mask)).any()


@needs_pymatting
def test_refined_objects_add_up_to_at_most_one():
    frame, _, mask = draw_edge()
    labels = np.where(mask > 0, 3, 5).astype(np.uint8)
    tracked = make_frame(0, frame, labels, {3: 1.0, 5: 1.0, 9: 0.0})
    refined = refine_edges(tracked)
    assert refined.probabilities.shape == (3, *mask.shape)
    assert refined.probabilities.sum(0).max() <= 1.002  # rounded
    assert ((refined.probabilities[0] > 0.05) & (refined.probabilities[0] < 0.95)).any()
    assert not refined.probabilities[2].any()
    np.testing.assert_array_equal(refined.labels, labels)
    soft = quantize_probabilities(np.stack([mask, 1 - mask, 0 * mask]))
    stored = refine_edges(make_frame(0, frame, labels, tracked.confidence, soft=soft))
    np.testing.assert_array_equal(stored.soft, refined.soft)


@needs_pymatting
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colors_behind_an_edge_are_removed(dtype):
    frame, alpha, _ = draw_edge()
    image = frame.astype(dtype) * dtype(1 if dtype == np.uint8 else 4)
    colors = estimate_colors(image, alpha)
    assert colors.dtype == dtype
    np.testing.assert_array_equal(colors[alpha == 1], image[alpha == 1])
    edge, red = (alpha > 0.3) & (alpha < 1), RED * (1 if dtype == np.uint8 else 4)
    assert np.abs(colors[edge] - red).mean() < 0.1 * np.abs(image[edge].astype(float) - red).mean()


@needs_pymatting
def test_threads_of_pytorch_stay_as_they_are():
    code = """
import numpy as np, torch
from aotlab_compositing.edges import estimate_colors
estimate_colors(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 0.5))
print(torch.get_num_threads())
"""
    result = run_python("-c", code, env={"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"})
    assert result.stdout.split() == ["1"], result.stderr


def test_alpha_is_certain_far_from_the_border():
    labels, probabilities = np.zeros((480, 480), np.uint8), np.full((3, 480, 480), 0.01, np.float32)
    labels[100:300, 100:200], labels[100:300, 200:300] = 1, 2
    probabilities[0], probabilities[1] = np.where(labels == 1, 0.8, 0.1), np.where(labels == 2, 0.6, 0.1)
    soft = quantize_probabilities(probabilities)
    tracked = make_frame(0, np.zeros((480, 480, 3), np.uint8), labels, {1: 1, 2: 1, 3: 1}, soft=soft)
    found = confine_edges(tracked).probabilities
    for row, column, alphas in (
        (200, 150, (1, 0, 0)), (200, 191, (1, 0, 0)), (200, 202, (0.1, 0.6, 0)), (200, 250, (0, 1, 0)),
        (400, 400, (0, 0, 0)), (200, 95, (0.1, 0, 0)),
    ):  # fmt: skip
        np.testing.assert_allclose(found[:, row, column], alphas, atol=1e-3)
    assert found.sum(0).max() <= 1.002  # rounded
