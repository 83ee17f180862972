"""Command-line programs: a click command per module."""
