"""Scoring, voting and tables of saved results by the benchmarks' rules; independent of PyTorch."""
