"""Fixtures and settings of the studio's tests: those of the framework."""

from tests.conftest import log_level, pytest_collection_finish, temporary_folder

__all__ = ["log_level", "pytest_collection_finish", "temporary_folder"]
