"""Fixtures of commands, with a tracker that repeats the last mask."""

from aotlab_testing.video.fixtures import mask, repeater, video

__all__ = ["mask", "repeater", "video"]
