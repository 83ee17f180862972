"""Scores of results by the rules of benchmarks, and checks of data, without PyTorch; `benchmark` runs models."""
