"""Masks in formats of other labelling tools."""
