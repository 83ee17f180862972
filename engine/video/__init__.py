"""Tracking a video from end to end: read ahead, track, write behind."""
