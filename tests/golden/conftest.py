"""Every reference output is compared with the optimized copy of a model, and in the slow tests with the plain model.

`tests/networks/test_fast.py` compares the two in the quick tests.
"""

import pytest


@pytest.fixture(
    params=[pytest.param(False, id="plain", marks=pytest.mark.slow), pytest.param(True, id="fast")]
)
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether the model is the optimized copy."""
    return bool(request.param)
