"""Every reference output is compared with the plain model and with its optimised copy."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[False, True], ids=["plain", "fast"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether the model is the optimised copy."""
    return bool(request.param)
