"""Masks of objects from points and boxes; not needed to track from masks."""
