"""Masks of objects from points and boxes; a tracker that starts with masks needs none of it."""
