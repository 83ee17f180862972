"""Checkpoints, published keys, weights by name, the hub and model cards."""
