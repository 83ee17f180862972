"""Checks and errors of ``aotlab-runtime``, with which exports are calibrated and verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aotlab.utils.errors import InputError


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the framework's `InputError` in place of the runtime's."""
    import aotlab_runtime

    try:
        yield
    except aotlab_runtime.InputError as error:
        raise InputError(str(error)) from error


@translate_errors()
def require_provider(name: str) -> None:
    """Raise `InputError` unless the runtime has this execution provider."""
    from aotlab_runtime import export

    export.require_provider(name)
