"""Fixtures and settings of the studio's tests: those of the framework."""

from tests.conftest import closed_folder

__all__ = ["closed_folder"]
