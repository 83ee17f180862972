"""The reference's masks with every implementation of products forced in turn."""

from __future__ import annotations

import pytest

from aotlab.networks.kernels import products
from tests.golden import test_sequences


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["aott", "deaott", "r50_aotl", "swinb_aotl"])
@pytest.mark.parametrize("name", products.SETS)
def test_every_implementation_gives_the_reference_masks(name: str, variant: str) -> None:
    with products.use(name):
        test_sequences.test_the_tracker_running_freely_gives_the_reference_masks(variant)
