"""Affine and thin-plate maps: limits, and equally mapped masks."""

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from aotlab.dataloaders.training.augment import random_affine_matrix, random_box
from aotlab_testing.in_memory import rng
from aotlab_testing.marks import slow


@pytest.mark.parametrize("shape", [(300, 400), *slow(((300, 620),), ((620, 300),))])
def test_boxes_are_distributed_as_torchvisions(shape):
    generator = rng()
    found = np.array([random_box(*shape, rng=generator) for _ in range(2000)], dtype=float)
    torch.manual_seed(0)
    empty = torch.empty(1, *shape)
    expected = np.array(
        [RandomResizedCrop.get_params(empty, [0.8, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)], dtype=float
    )[:, [1, 0, 3, 2]]
    # Means of 2000 draws of a spread of up to 30 pixels: 4 pixels are four standard deviations.
    assert np.abs(found.mean(0) - expected.mean(0)).max() < 4
    assert np.abs(found.std(0) - expected.std(0)).max() < 3
    left, top, columns, rows = found.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + columns <= shape[1]).all()
    assert (top + rows <= shape[0]).all()


def test_affine_maps_stay_within_their_limits():
    generator = rng()
    moves = np.array([random_affine_matrix(100, 200, generator) for _ in range(500)])
    area = np.linalg.det(moves[:, :2, :2])
    assert area.min() >= 0.9**2 - 1e-9
    assert area.max() <= 1.1**2 + 1e-9
    turns = np.degrees(np.arctan2(moves[:, 1, 0], moves[:, 0, 0]))
    assert 18 < np.abs(turns).max() <= 20 + 1e-9
    centers = moves @ [100, 50, 1]
    assert 18 < np.abs(centers[:, 0] - 100).max() <= 20 + 1e-9
    assert 9 < np.abs(centers[:, 1] - 50).max() <= 10 + 1e-9
