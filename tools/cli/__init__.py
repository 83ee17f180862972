"""Shared parts of command lines: options, errors, exit codes, checks of paths."""
