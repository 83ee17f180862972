"""Benchmark runs, scoring of results, voting and the papers' tables."""
