"""Trial of a network for edges: composed patches, and what it leaves as it is."""

from types import SimpleNamespace

import cv2
import numpy as np
import torch
from PIL import Image

from research.bundled.edge_network import PATCH, EdgeNetwork, compose_patches


class BlurringTracker:
    """Repeats the given mask, blurred."""

    def reset(self, length):
        pass

    def step(self, frame, mask=None):
        if mask is not None:
            self.blurred = torch.from_numpy(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3))
        return SimpleNamespace(probabilities=[None, self.blurred])


def test_patches_have_exact_alpha_and_the_network_keeps_the_rest(tmp_path):
    for index in range(2):
        values = np.random.default_rng(index).integers(0, 255, (240, 320, 3)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / f"{index}.jpg")
    patches = compose_patches(BlurringTracker(), sorted(tmp_path.glob("*.jpg")), np.random.default_rng(1))
    values = torch.from_numpy(patches[:3]).permute(0, 3, 1, 2).float() / 255
    colors, probability, band, truth = values.split((3, 1, 1, 1), 1)
    assert colors.shape == (3, 3, PATCH, PATCH)
    assert ((truth > 0.05) & (truth < 0.95)).any()
    assert band.unique().tolist() == [0, 1]
    network = EdgeNetwork()
    assert sum(weight.numel() for weight in network.parameters()) < 1_000_000
    alpha = network(colors, probability, band)
    outside = band == 0
    assert torch.equal(alpha[outside], (probability[outside] >= 0.5).float())
    assert 0 < alpha[~outside].min() < alpha[~outside].max() < 1
