"""Benchmarks: runs, ensembles, scoring, voting, the papers' tables, and the VOT toolkit."""
