"""Tracking of objects frame by frame: tracker, groups of objects, predictions, saved states."""
