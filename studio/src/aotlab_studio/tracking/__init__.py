"""Tracking jobs: the frames to track, the thread that tracks them, the models that a page offers."""
