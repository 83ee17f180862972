"""Fixtures of commands, with a tracker that repeats the last mask."""

from aotlab_testing.fixtures import offer, unload
from aotlab_testing.stored_files import stored
from aotlab_testing.video.fixtures import mask, mattes, repeater, video

__all__ = ["mask", "mattes", "offer", "repeater", "stored", "unload", "video"]
