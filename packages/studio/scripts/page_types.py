"""Types of messages and elements of the page as TypeScript, written to the path given, for tsc."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from aotlab_studio import protocol
from aotlab_studio.document.events import Event
from aotlab_studio.session.actions import ACTIONS

HEADER = "// Written by scripts/page_types.py from the protocol, the actions, index.html and batch.html.\n"
TYPE_NAMES = {
    int: "number", float: "number", str: "string", bool: "boolean", NoneType: "null", msgspec.UnsetType: "undefined",
    Any: "any",
}  # fmt: skip


def type_name(kind: Any, classes: dict[str, Any]) -> str:
    """Return the TypeScript of a type, and add the classes it uses to ``classes``."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_name(arguments[0], classes)
    if origin is Literal:
        return " | ".join(f"'{value}'" for value in arguments)
    names = [type_name(argument, classes) for argument in arguments]
    if origin in (Union, UnionType):
        return " | ".join(names)
    if origin is list:
        return f"({names[0]})[]" if "|" in names[0] else f"{names[0]}[]"
    if origin is tuple:
        return f"[{', '.join(names)}]"
    if origin in (dict, Mapping):
        return f"Record<{names[0]}, {names[1]}>"
    if kind in TYPE_NAMES:
        return TYPE_NAMES[kind]
    classes[kind.__name__] = kind
    return str(kind.__name__)


def list_fields(kind: Any, classes: dict[str, Any]) -> list[str]:
    """Return the fields of a class; those a page may omit are optional."""
    hints = get_type_hints(kind, include_extras=True)
    required = set(hints)
    if kind in ACTIONS.values():
        required = {each.name for each in msgspec.structs.fields(kind) if each.required}
    tag = [f"event: '{kind.__struct_config__.tag}'"] if issubclass(kind, Event) else []
    return tag + [f"{name}{'?' * (name not in required)}: {type_name(hint, classes)}" for name, hint in hints.items()]


class ElementIds(HTMLParser):
    """Tags of the elements of a page by id."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Store the tag of an element with an id."""
        self.tags |= {str(value): tag for name, value in attrs if name == "id"}


def list_elements() -> list[str]:
    """Return the type of each element of the pages by its id."""
    parser = ElementIds()
    for name in ("index.html", "batch.html"):
        parser.feed((files("aotlab_studio") / "page" / name).read_text(encoding="utf-8"))
    return [f"  '{each}': HTMLElementTagNameMap['{tag}'];" for each, tag in parser.tags.items()]


def format_declarations() -> str:
    """Return the whole file."""
    classes: dict[str, Any] = {
        kind.__name__: kind
        for kind in (
            protocol.Answer,
            protocol.Failure,
            protocol.Clip,
            protocol.ExportedClips,
            protocol.LoadedMasks,
        )
    }
    actions = []
    for name, action in ACTIONS.items():
        message = "; ".join(list_fields(action, classes))
        result = type_name(get_type_hints(action.run)["return"], classes)
        actions.append(f"  {name}: {{\n    message: {{ {message} }};\n    result: {result};\n  }};")
    event = " | ".join(type_name(kind, classes) for kind in Event.__subclasses__())
    done: dict[str, str] = {}
    while len(done) < len(classes):
        for name, kind in list(classes.items()):
            lines = [f"  {line};" for line in list_fields(kind, classes)]
            done[name] = "\n".join([f"export interface {name} {{", *lines, "}"])
    table = "\n".join(["export interface Actions {", *actions, "}"])
    elements = "\n".join(["export interface Elements {", *list_elements(), "}"])
    blocks = [elements, *(done[name] for name in sorted(done))]
    return "\n\n".join([HEADER + table, f"export type ServerEvent = {event};", *blocks]) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].endswith(".d.ts"):
        sys.exit("usage: page_types.py PATH.d.ts")
    Path(sys.argv[1]).write_text(format_declarations(), encoding="utf-8")
