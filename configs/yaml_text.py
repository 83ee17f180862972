"""Bounded parsing of settings from YAML text."""

from __future__ import annotations

from types import NoneType
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aotlab.utils.errors import InputError

UNREADABLE = (
    yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, AttributeError, IndexError, KeyError, RecursionError,
)  # fmt: skip
"""errors of PyYAML and OmegaConf for malformed text and keys"""
MOST_BYTES = 2**20
"""largest size of a settings file in bytes"""
DEEPEST = 40
"""largest depth of nesting"""
MOST_ENTRIES = 20_000
"""largest number of keys and values, with aliases expanded"""


def read_mapping(text: str, origin: str) -> dict[str, Any]:
    """Parse a YAML mapping into plain keys, lists, strings and numbers; interpolations stay strings.

    Args:
        origin: name of the source in messages.

    Raises:
        InputError: not YAML, not a mapping, a duplicate key, a tag, or too large or deep.
    """
    try:
        require_small(text, origin)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode | NoneType):
            raise InputError(f"{origin}: not a YAML mapping of settings (key: value)")
        content = OmegaConf.to_container(OmegaConf.create(text))
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"{origin}: not readable as YAML ({reason_of(error)})") from error
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def reason_of(error: Exception) -> str:
    """Return one line about an error of YAML or OmegaConf, with the line number if known."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'syntax'}"
    return (str(error).splitlines() or [type(error).__name__])[0]


def require_small(text: str, origin: str) -> None:
    """Check the size of a YAML text without building objects.

    Raises:
        InputError: too long, too deep, or too large once aliases are expanded.
        YAMLError: not YAML.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{origin}: {len(text)} characters; the limit is {MOST_BYTES}")
    depth, entries = 0, 0
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            entries += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            entries += 1
            sizes[event.anchor or ""] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append((event.anchor, entries))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_anchors.pop()
            if anchor is not None:
                sizes[anchor] = entries - before + 1
        if depth > DEEPEST:
            raise InputError(f"{origin}: nested too deeply; the limit is {DEEPEST} levels")
        if entries > MOST_ENTRIES:
            raise InputError(f"{origin}: too many entries; the limit is {MOST_ENTRIES}")
