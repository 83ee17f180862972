"""Trial of a network for edges: drawn samples, and what it leaves as it is."""

import numpy as np
import torch
from PIL import Image

from research.bundled.edge_network import BATCH, PATCH, EdgeNetwork, draw_sample


def test_samples_have_exact_alpha_and_the_network_keeps_the_rest(tmp_path):
    for index in range(2):
        values = np.random.default_rng(index).integers(0, 255, (240, 320, 3)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / f"{index}.jpg")
    samples = [draw_sample(sorted(tmp_path.glob("*.jpg")), np.random.default_rng(seed)) for seed in range(BATCH)]
    colors, probability, band, truth = (torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True))
    assert colors.shape == (BATCH, 3, PATCH, PATCH)
    assert ((truth > 0.05) & (truth < 0.95)).any()
    assert 0.05 < band.mean() < 0.5
    network = EdgeNetwork()
    assert sum(weight.numel() for weight in network.parameters()) < 1_000_000
    alpha = network(colors, probability, band)
    outside = band == 0
    assert torch.equal(alpha[outside], (probability[outside] >= 0.5).float())
    assert 0 < alpha[~outside].min() < alpha[~outside].max() < 1
