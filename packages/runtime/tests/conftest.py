"""Trackers of a small export and of its model."""

import pytest

from aotlab_testing.fixtures import models, offer, read_error_line, run_expecting_error, small_tracker, unload

__all__ = ["models", "offer", "read_error_line", "run_expecting_error", "small_tracker", "unload"]


@pytest.fixture(scope="session")
def exported():
    """Folder and trackers of the stored export."""
    from runtime.tests.exports import STORED, load_stored  # imports PyTorch

    return STORED, *load_stored()


@pytest.fixture(params=["aotlab_runtime", "aotlab"])
def tracker(request, exported):
    _, runtime, pytorch_tracker = exported
    return (runtime if request.param == "aotlab_runtime" else pytorch_tracker).fresh()
