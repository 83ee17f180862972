"""Tracking of objects frame by frame: tracker, objects, rules, predictions, saved states."""
