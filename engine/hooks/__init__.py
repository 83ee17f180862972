"""Hooks of a tracker, and detection of cuts, which is one."""
