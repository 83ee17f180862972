"""Readers of benchmarks, training clips and their augmentation, checks of a user's data. Independent of models."""
