"""Checks of a folder of training data for what would go wrong."""
