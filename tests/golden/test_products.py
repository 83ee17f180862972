"""The reference's masks with every set of kernels forced in turn."""

from __future__ import annotations

import pytest

from aotlab.networks.kernels import SETS
from aotlab.networks.operations import use
from tests.golden import test_sequences


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["aott", "deaott", "r50_aotl", "swinb_aotl"])
@pytest.mark.parametrize("name", SETS)
def test_every_set_of_kernels_gives_the_reference_masks(name: str, variant: str) -> None:
    with use(SETS[name]):
        test_sequences.test_the_tracker_running_freely_gives_the_reference_masks(variant)
