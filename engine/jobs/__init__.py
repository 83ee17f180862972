"""Many videos in one run: shared out, resumed, and reported together."""
