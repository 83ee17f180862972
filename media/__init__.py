"""Frames of videos, streams and images; masks and their files; overlays and video writing."""
