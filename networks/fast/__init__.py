"""Faster modules for tracking and training; method files never import them."""
