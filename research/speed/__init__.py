"""Measurements of aotlab: speed, memory on long videos, latency of the studio."""
