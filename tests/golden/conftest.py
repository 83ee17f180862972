"""Fixture of tests that compare logits with a reference: the optimized model, and in the slow tests also the plain one.

In the quick tests, `tests/networks/test_fast.py` compares the two.
"""

import pytest

from aotlab_testing.marks import slow


@pytest.fixture(params=[*slow(False), True], ids=["plain", "fast"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether the model is the optimized copy."""
    return bool(request.param)
