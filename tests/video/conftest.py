"""Trackers that the tests of `aotlab.video` share."""

from tests.engine.conftest import models, tracker

__all__ = ["models", "tracker"]
