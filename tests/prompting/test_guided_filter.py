"""The guided filter moves outlines to edges of the image."""

import torch

from aotlab.prompting.guided_filter import REGULARIZATION, guided_filter


def test_outline_moves_towards_a_nearby_edge():
    image = torch.zeros(3, 60, 80)
    image[:, :, 40:] = 200
    logits = torch.full((60, 80), -4.0)
    logits[:, 37:] = 4
    errors = ((logits > 0) != (image[0] > 0)).sum()
    for size, radius in (((60, 80), 5), ((31, 41), 3)):
        sharp = guided_filter(logits, image, size, radius) > 0
        # moved by a part of the way: each pixel averages the fits of all squares around it
        assert (sharp != (image[0] > 0)).sum() < 0.7 * errors


def test_flat_image_keeps_the_mask():
    logits = torch.full((40, 40), -4.0)
    logits[10:30, 10:30] = 4
    kept = guided_filter(logits, torch.full((3, 40, 40), 90.0), (40, 40), 3) > 0
    assert ((kept == (logits > 0)).float().mean()) > 0.97  # without edges, corners are rounded


def test_probability_is_the_mean_of_fits_on_all_squares():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 7, 9, generator=generator) * 255
    logits = torch.randn(7, 9, generator=generator)
    colors, masks, size = image / 255, logits.sigmoid()[None], (7, 9)
    places = [(row, column) for row in range(7) for column in range(9)]

    def square(maps, row, column):
        return maps[:, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].flatten(1)

    def fit(color, mask):
        variance = torch.cov(color, correction=0) + REGULARIZATION * torch.eye(3)
        slope = torch.linalg.solve(variance, (color * mask).mean(1) - color.mean(1) * mask.mean())
        return torch.cat([slope, (mask.mean() - slope @ color.mean(1))[None]])

    fits = torch.stack([fit(square(colors, *place), square(masks, *place)) for place in places], 1)
    means = torch.stack([square(fits.view(4, *size), *place).mean(1) for place in places], 1).view(4, *size)
    expected = (means[:3] * colors).sum(0) + means[3]
    found = guided_filter(logits, image, size, radius=2).sigmoid()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
