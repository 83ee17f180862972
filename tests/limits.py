"""Limits of the system that tests set for a while, instead of errors made up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """No file grows beyond ``size`` bytes inside the block: writing more fails as on a full disk (EFBIG)."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
