"""Reviews of tracked videos: frames to check, and the list of a batch."""
