"""Settings of the tests of all folders."""

from aotlab_testing.browser import browser
from aotlab_testing.session import (
    log_level,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    temporary_folder,
)

__all__ = [
    "browser", "log_level", "pytest_collection_finish", "pytest_collection_modifyitems", "pytest_configure",
    "temporary_folder",
]  # fmt: skip
