"""Submissions to the servers of benchmarks, a module for each format; `writers.py` lists them."""
