"""Shared checks of settings."""

from __future__ import annotations

from collections.abc import Mapping

from aotlab.utils.numbers import Range


def require(condition: bool, message: str) -> None:
    """Raise ValueError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


def require_numbers(settings: object, prefix: str, allowed: Mapping[str, Range]) -> None:
    """Raise ValueError for the first attribute out of range; None is always allowed.

    Args:
        settings: object with the numbers as attributes.
        prefix: prefix of the names in the message, such as ``memory.``.
        allowed: range by attribute name.
    """
    for name, numbers in allowed.items():
        value = getattr(settings, name)
        if value is not None and value not in numbers:
            raise ValueError(f"{prefix}{name} must be {numbers.expected(value)}, got {value}")
