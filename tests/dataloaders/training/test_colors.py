"""Color augmentations: equal to torchvision's, in range, at the configured rate."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from aotlab.dataloaders.training import augment
from aotlab.dataloaders.training.augment import (
    MILD_JITTER,
    STRONG_JITTER,
    ColorJitter,
    jitter_colors,
    random_gray_and_blur,
)
from aotlab_testing.in_memory import rng


@pytest.fixture(scope="module")
def image():
    """Smooth and colorful, with pure black, white and primary colors."""
    coarse = rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_LINEAR)
    image[0, :6] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]
    return image


@pytest.mark.parametrize(("adjust", "reference", "amounts", "off"), [
    # One level: aotlab rounds where torchvision cuts off.
    (augment.scale_brightness, functional.adjust_brightness, (0.6, 1.0, 1.4), 1),
    (augment.scale_contrast, functional.adjust_contrast, (0.6, 1.0, 1.4), 2),
    (augment.scale_saturation, functional.adjust_saturation, (0.0, 0.8, 1.2), 2),
    # In 8 bits a step of hue is up to 6 levels of a primary color; hue, turn and saturation are rounded.
    (augment.shift_hue, functional.adjust_hue, (-0.1, 0.03, 0.1), 10),
])  # fmt: skip
def test_changes_equal_torchvision(image, adjust, reference, amounts, off):
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    for amount in amounts:
        expected = reference(tensor, amount).permute(1, 2, 0).numpy().astype(int)
        difference = np.abs(adjust(image, amount) - expected)
        assert difference.max() <= off
        assert difference.mean() <= 1


def test_jitter_has_its_probability(image):
    images = [jitter_colors(image, STRONG_JITTER, rng(seed)) for seed in range(400)]
    changed = [not np.array_equal(each, image) for each in images]
    # Five standard deviations of 400 draws.
    assert np.mean(changed) == pytest.approx(0.8, abs=0.1)
    assert all(not np.array_equal(jitter_colors(image, MILD_JITTER, rng(seed)), image) for seed in range(50))
    np.testing.assert_array_equal(jitter_colors(image, ColorJitter(1, 1, 1, 0.5, probability=0), rng()), image)


def test_grayscale_and_blur_probabilities_match(image):
    results = [random_gray_and_blur(image, rng(seed)) for seed in range(600)]
    gray = [np.ptp(result.astype(int), axis=-1).max() <= 1 for result in results]
    # A blur of less than about 0.3 pixels may change nothing.
    changed = [not np.array_equal(result, image) for result in results]
    assert np.mean(gray) == pytest.approx(0.2, abs=0.08)
    assert np.mean(changed) == pytest.approx(1 - 0.8 * 0.7, abs=0.12)
