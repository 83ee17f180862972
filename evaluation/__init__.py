"""Scoring, voting and tables of saved results by the benchmarks' rules, and checks of data; independent of PyTorch."""
