"""Batch runs over many videos: distribution, resuming, reviews."""
