"""Running benchmarks: many videos, views and models, what is finished, and the papers' tables."""
