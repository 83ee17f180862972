"""Masks and tracks in other tools' formats, in and out: one file a format, pure functions."""
