"""Fixtures of the track command."""

from aotlab_testing.video.fixtures import mask, numbered_video, real_tracker, repeater, video

__all__ = ["mask", "numbered_video", "real_tracker", "repeater", "video"]
