"""Fixtures of the tests, among them a tracker that repeats the last mask."""

from aotlab_testing.fixtures import (
    closed_folder,
    file_server,
    models,
    offer,
    read_error_line,
    run_expecting_error,
    unload,
)
from aotlab_testing.video.fixtures import mask, mattes, numbered_video, real_tracker, repeater, video

__all__ = [
    "closed_folder", "file_server", "mask", "mattes", "models", "numbered_video", "offer", "read_error_line",
    "real_tracker", "repeater", "run_expecting_error", "unload", "video",
]  # fmt: skip
