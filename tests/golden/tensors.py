"""Tensors as the reference keeps them."""

import numpy as np
import torch

from aotlab.networks.identity_bank import one_hot

LOGITS = 5e-4


def planes(labels: np.ndarray) -> torch.Tensor:
    """One-hot planes 1×11×H×W of labels H×W."""
    return one_hot(torch.from_numpy(labels.astype(np.int64)), 11)[None]


def tokens(x: torch.Tensor) -> torch.Tensor:
    """A map 1×C×h×w as the reference keeps it, L×1×C."""
    return x.flatten(2).permute(2, 0, 1)


def assert_close(found: torch.Tensor, reference: np.ndarray) -> None:
    assert found.shape == reference.shape
    assert np.abs(found.numpy() - reference).max() < LOGITS
