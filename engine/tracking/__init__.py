"""Tracking of objects frame by frame: tracker, objects, views, rules, predictions, saved states."""
