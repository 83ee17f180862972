"""Helpers of the tests of videos, annotation files and runs."""
