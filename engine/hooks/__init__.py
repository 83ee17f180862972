"""Hooks of a tracker, and the rules that are hooks: cuts and ownership of components."""
