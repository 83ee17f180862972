"""Masks in formats of other labeling tools."""
