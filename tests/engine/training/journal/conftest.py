"""What tests of the journal do not leave out."""

import pytest


@pytest.fixture(autouse=True)
def curves():
    """They are drawn here."""
