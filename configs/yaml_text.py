"""Settings as YAML text, read with bounds: what is broken, doubled or larger than settings can be is named."""

from __future__ import annotations

from types import NoneType
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aotlab.utils.errors import InputError

MOST_BYTES = 2**20
"""of a settings file"""
DEEPEST = 40
"""levels of nesting"""
MOST_ENTRIES = 20_000
"""keys and values, those of aliases counted wherever they stand"""


def read_mapping(text: str, origin: str) -> dict[str, Any]:
    """The mapping that a YAML text holds, with plain keys, lists, texts and numbers, and interpolations as text.

    Args:
        text: of a file or of a checkpoint's metadata.
        origin: names it in messages.

    Raises:
        InputError: no YAML, no mapping, a key twice, an object's tag, or more or deeper than settings ever are.
    """
    try:
        require_small(text, origin)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode | NoneType):
            raise InputError(f"{origin}: settings are a YAML mapping of key: value, this is not")
        _require_unique_keys(root, origin)
        content = OmegaConf.to_container(OmegaConf.create(text))
    except InputError:
        raise
    except (
        yaml.YAMLError,
        OmegaConfBaseException,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise InputError(f"{origin}: not readable as YAML ({_reason(error)})") from error
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _reason(error: Exception) -> str:
    """One line about an error of YAML, with its line number if it has one."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'syntax'}"
    return (str(error).splitlines() or [type(error).__name__])[0]


def require_small(text: str, origin: str) -> None:
    """Follow a text without building anything from it.

    Raises:
        InputError: too long, too deep, or too much once aliases are expanded.
        YAMLError: no YAML.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{origin}: holds {len(text)} characters; settings have at most {MOST_BYTES}")
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
            raise InputError(f"{origin}: nested more than {DEEPEST} levels deep; settings are not")
        if entries > MOST_ENTRIES:
            raise InputError(f"{origin}: holds more than {MOST_ENTRIES} entries; settings have far fewer")


def _require_unique_keys(node: yaml.Node | None, origin: str) -> None:
    """Raise InputError for a mapping with one key twice, with the key and both lines."""
    waiting = [] if node is None else [node]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and key.value in lines:
                    raise InputError(
                        f"{origin}: key {key.value} stands in line {lines[key.value]} and again in line {line}; "
                        "keep one of them"
                    )
                lines[str(key.value)] = line
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
