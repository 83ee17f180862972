"""Benchmarks: runs, ensembles, scoring, the papers' tables, and the VOT toolkit."""
