"""Fixtures and settings of the studio's tests: those of the framework."""

from tests.conftest import (
    closed_folder,
    log_level,
    pytest_collection_finish,
    pytest_configure,
    temporary_folder,
)

__all__ = ["closed_folder", "log_level", "pytest_collection_finish", "pytest_configure", "temporary_folder"]
