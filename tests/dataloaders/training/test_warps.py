"""Maps of images: what they may do, and masks that go along."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from aotlab.dataloaders.training.augment import (
    box_to_crop_matrix,
    mirror_matrix,
    random_affine_matrix,
    random_box,
    spline_coordinates,
    translation_matrix,
    warp_affine,
    warp_spline,
)
from tests.dataloaders.training.in_memory import CROP, blocks, colored, rng

SHAPES = [(300, 400), (400, 300), (480, 480), (300, 620), (620, 300)]


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes_are_distributed_as_torchvisions(shape):
    generator = rng()
    ours = np.array([random_box(*shape, generator) for _ in range(2000)], dtype=float)
    torch.manual_seed(0)
    empty = torch.empty(1, *shape)
    theirs = np.array(
        [RandomResizedCrop.get_params(empty, [0.8, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)], dtype=float
    )[:, [1, 0, 3, 2]]
    # Means of 2000 draws of a spread of up to 30 pixels: 4 pixels are four standard deviations.
    assert np.abs(ours.mean(0) - theirs.mean(0)).max() < 4
    assert np.abs(ours.std(0) - theirs.std(0)).max() < 3
    left, top, columns, rows = ours.T
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


def test_flip_is_exact():
    mask = rng().integers(0, 9, (CROP, CROP), dtype=np.uint8)
    frame, label = warp_affine(colored(mask), mask, mirror_matrix(CROP), CROP)
    assert np.array_equal(label, mask[:, ::-1])
    assert np.array_equal(frame, colored(mask)[:, ::-1])


def test_box_is_enlarged_as_resizing_does():
    mask = cv2.resize(rng().integers(0, 9, (6, 6), dtype=np.uint8), (60, 60))
    part = colored(mask)[10:40, 20:50]
    frame, _ = warp_affine(colored(mask), mask, box_to_crop_matrix((20, 10, 30, 30), 60), 60)
    resized = cv2.resize(part, (60, 60), interpolation=cv2.INTER_CUBIC)
    # The warp has weights of 5 bits, and knows the pixels around the box.
    assert np.abs(frame[4:-4, 4:-4].astype(int) - resized[4:-4, 4:-4]).max() <= 4


def agrees(frame, label):
    """Whether colors are ten times the label, away from outlines, where images are interpolated."""
    around = np.ones((7, 7))
    inner = (cv2.dilate(label, around) == cv2.erode(label, around)) & (label > 0)
    inner[[0, 1, 2, -1, -2, -3]] = inner[:, [0, 1, 2, -1, -2, -3]] = False
    assert inner.mean() > 0.2
    # 2 of the 10 levels between ids: cubic interpolation reaches a little further.
    return np.abs(frame[inner] - 10.0 * label[inner][:, None]).max() <= 2


def checkers():
    return np.concatenate([blocks(1, 2, 3, 4, side=30), blocks(5, 6, 7, 8, side=30)])


@pytest.mark.parametrize("seed", range(5))
def test_masks_go_along_with_affine_maps(seed):
    mask = checkers()
    frame, label = warp_affine(
        colored(mask), mask, translation_matrix(-20, 5) @ random_affine_matrix(60, 120, rng(seed)), 60
    )
    assert agrees(frame, label)


@pytest.mark.parametrize("seed", range(5))
def test_masks_go_along_with_splines(seed):
    mask = checkers()
    box = (20, 5, 60, 50)
    frame, label = warp_spline(colored(mask), mask, spline_coordinates(box, mask.shape, CROP, rng(seed)))
    assert (frame.shape, label.shape) == ((CROP, CROP, 3), (CROP, CROP))
    assert len(np.unique(label)) >= 4
    assert agrees(frame, label)
