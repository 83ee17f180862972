"""Masks in formats of other tools: parsers, writers, and matching to a video."""
