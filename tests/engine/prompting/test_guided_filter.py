"""The guided filter moves outlines to edges of the image."""

import torch

from aotlab.engine.prompting.guided_filter import follow_edges


def test_outline_moves_towards_a_nearby_edge():
    image = torch.zeros(3, 60, 80)
    image[:, :, 40:] = 200
    logits = torch.full((60, 80), -4.0)
    logits[:, 37:] = 4
    errors = ((logits > 0) != (image[0] > 0)).sum()
    for size, radius in (((60, 80), 5), ((31, 41), 3)):
        sharp = follow_edges(logits, image, size, radius) > 0
        assert (sharp != (image[0] > 0)).sum() < 0.7 * errors


def test_flat_image_keeps_the_mask():
    logits = torch.full((40, 40), -4.0)
    logits[10:30, 10:30] = 4
    kept = follow_edges(logits, torch.full((3, 40, 40), 90.0), (40, 40), 3) > 0
    assert ((kept == (logits > 0)).float().mean()) > 0.97
