"""A model on a benchmark: runs, scoring of results, voting and the papers' tables."""
