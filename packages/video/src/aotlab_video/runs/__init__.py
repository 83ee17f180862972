"""Tracking of videos from file to outputs, one at a time or in lists."""
