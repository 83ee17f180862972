"""Runs of models on benchmarks, ensembles, the papers' tables, and the VOT toolkit."""
