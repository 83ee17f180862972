"""Fixtures of commands, with a tracker that repeats the last mask."""

from tests.tools.track.conftest import mask, repeater, video

__all__ = ["mask", "repeater", "video"]
