"""Reviews of tracked videos: frames to check, lost objects."""
