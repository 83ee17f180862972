"""First weights of blocks, as the published code draws them."""

from __future__ import annotations

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.networks.models import build_model


@pytest.mark.parametrize("preset", ["aott", "r50_paotl"])
def test_relative_positions_are_xavier_uniform_in_the_values_too(preset):
    """The published code makes zeros, which the block's pass over its matrices then draws."""
    torch.manual_seed(0)
    model = build_model(load_config(preset).model)
    positions = [block.position_value for stage in model.stages for block in stage.blocks]
    assert positions
    for position in positions:
        heads, dim, offsets = position.shape
        bound = (6 / ((heads + dim) * offsets)) ** 0.5  # 0.026 for 8 heads of 32 channels and 15×15 offsets
        assert position.abs().max() <= bound
        assert position.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
