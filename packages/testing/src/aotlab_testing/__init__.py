"""Helpers of the tests of all packages."""
