"""Fixtures of the track command."""

from aotlab_testing.video.fixtures import mask, mattes, numbered_video, real_tracker, repeater, video

__all__ = ["mask", "mattes", "numbered_video", "real_tracker", "repeater", "video"]
