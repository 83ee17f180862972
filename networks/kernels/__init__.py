"""Exact kernels that make CPUs fast, and the tuner that chooses among them."""
