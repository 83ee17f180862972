"""Shared utilities: files, a cache, frames of a video."""
