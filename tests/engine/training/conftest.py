"""What tests of training leave out."""

import pytest

from aotlab.engine.training.journal import writing


@pytest.fixture(autouse=True)
def curves(monkeypatch):
    """No ``curves.png``, which takes longer to draw than a tiny run to train; the tests of the journal draw it."""
    monkeypatch.setattr(writing, "draw_curves", lambda log, image: None)
