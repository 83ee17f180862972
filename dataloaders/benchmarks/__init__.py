"""Benchmarks as distributed, read as videos with reference masks and ground truth."""
