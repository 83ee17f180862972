"""Metrics, scoring rules and tables of the benchmarks on NumPy arrays; independent of PyTorch."""
