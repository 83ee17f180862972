"""Utilities that all packages share."""
