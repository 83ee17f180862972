"""Runs of models on benchmarks: ensembles, sweeps, tables of papers; `evaluation` scores what they write."""
