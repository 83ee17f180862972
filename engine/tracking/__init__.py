"""Tracking of objects frame by frame: tracker, objects, predictions, ensembles."""
