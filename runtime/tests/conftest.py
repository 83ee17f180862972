"""Trackers of a small export and of its model."""

import pytest


@pytest.fixture(scope="session")
def exported():
    """Folder and trackers of the stored export."""
    import aotlab_runtime
    from runtime.tests.exports import STORED, GraphsWithPrompts, export_stored  # imports PyTorch

    _, pytorch_tracker = export_stored()
    runtime = aotlab_runtime.Tracker(GraphsWithPrompts(STORED, pytorch_tracker.model))
    return STORED, runtime, pytorch_tracker


@pytest.fixture(params=["aotlab_runtime", "aotlab"])
def tracker(request, exported):
    _, runtime, pytorch_tracker = exported
    return (runtime if request.param == "aotlab_runtime" else pytorch_tracker).fresh()
