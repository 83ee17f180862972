"""Batch of videos, or of the results of a list of videos: their list, tracking and export."""
