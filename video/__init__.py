"""Tracking of videos: frames in, outputs and reviews out."""
