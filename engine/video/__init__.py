"""Tracking of videos: frames in, outputs and reports out."""
