"""Every reference output is compared with the optimized copy of a model, and in the slow tests with the plain model.

`tests/networks/test_fast.py` compares the two in the quick tests.
"""

import pytest

from tests.shared import slow


@pytest.fixture(params=[*slow(False), True], ids=["plain", "fast"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether the model is the optimized copy."""
    return bool(request.param)
