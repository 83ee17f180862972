"""Shared utilities: files, locks, errors, progress, devices, ranks."""
