"""Models and trackers that the tests of the engine share."""

from __future__ import annotations

import pytest

from engine.tracker import Tracker
from tests.engine.small_model import build


@pytest.fixture(scope="module")
def models():
    """Each model and its settings, made once."""
    return {
        "aott": build(),
        "aotl": build("aotl", "memory.every=2"),
        "few": build("aott", "model.max_objects=3"),
    }


@pytest.fixture
def tracker(models):
    return Tracker(*models["aott"])
