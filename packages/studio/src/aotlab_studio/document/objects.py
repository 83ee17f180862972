"""Objects of a document, with their names, classes and colors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta

import aotlab_video
from aotlab import InputError

MAX_OBJECTS = 1000
MAX_CLASS_ID = 2**31
NAME_LENGTH = 60
NO_CLASS = "object"
"""Class name in annotation files of objects that have no class."""
COLORS = (
    "#109898", "#ff9810", "#7010c0", "#981010", "#c0ffc0", "#c098ff", "#10ffff", "#c09870", "#404070", "#1010ff",
    "#e04010", "#704040", "#ffe070", "#e0ff10", "#9840c0", "#1070ff", "#ff4098", "#707040", "#9870c0", "#70c0e0",
)  # fmt: skip
"""Colors of new objects, used in turn. The first ones are the easiest to tell apart, also for color-blind people."""

ObjectId = Annotated[int, Meta(ge=1, le=65535)]
Text = Annotated[str, Meta(max_length=NAME_LENGTH)]
Color = Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")]


@dataclass(frozen=True)
class ObjectInfo:
    """Id, name, class and color of an object."""

    id: ObjectId
    name: Text
    color: Color
    locked: bool = False
    """Whether its masks cannot be changed. Pixels that other objects cover show again when these are removed."""
    class_name: Text = ""


def clean_name(text: str) -> str:
    """Return the valid part of a name: stripped, printable and not too long. It may be empty."""
    return "".join(filter(str.isprintable, text)).strip()[:NAME_LENGTH]


def clean_classes(annotations: aotlab_video.Annotations) -> aotlab_video.Annotations:
    """Return loaded masks with valid class names, without `NO_CLASS`; raise `InputError` for a large class id."""
    names = {object_id: clean_name(name) for object_id, name in annotations.class_names.items()}
    classes = {clean_name(name): class_id for name, class_id in annotations.classes.items()}
    for name, class_id in classes.items():
        if not 0 <= class_id <= MAX_CLASS_ID:
            raise InputError(f"class {name}: id {class_id} is not between 0 and {MAX_CLASS_ID}")
    return replace(
        annotations,
        class_names={key: name for key, name in names.items() if name not in ("", NO_CLASS)},
        classes={name: class_id for name, class_id in classes.items() if name not in ("", NO_CLASS)},
    )


def list_names(table: aotlab_video.AttributeTable) -> dict[int, str]:
    """Return the names of loaded objects that have the attribute ``name``."""
    first = ((object_id, next(iter(by_frame.values()))) for object_id, by_frame in table.items())
    return {object_id: clean_name(str(values["name"])) for object_id, values in first if values.get("name")}


def list_attributes(table: aotlab_video.AttributeTable) -> dict[int, dict[int, Mapping[str, Any]]]:
    """Return the attributes of loaded objects by object and the frame from which they hold, without the names."""
    attributes: dict[int, dict[int, Mapping[str, Any]]] = {
        object_id: {
            frame: {key: value for key, value in values.items() if key != "name"} for frame, values in by_frame.items()
        }
        for object_id, by_frame in table.items()
    }
    return {object_id: by_frame for object_id, by_frame in attributes.items() if any(by_frame.values())}


def is_same(first: object, second: object) -> bool:
    """Return whether two values are the same in JSON. In Python, 1 and true are equal too."""
    return len({json.dumps(msgspec.to_builtins(value), sort_keys=True) for value in (first, second)}) == 1


def make_object(object_id: int, name: str = "", class_name: str = "") -> ObjectInfo:
    """Return a new object; its texts must be valid. Raise `InputError` for an id above 65535."""
    if object_id > 65535:
        raise InputError(f"object {object_id}: cannot be added; ids end at 65535, each used once")
    name, color = name or class_name or f"object {object_id}", COLORS[(object_id - 1) % len(COLORS)]
    return ObjectInfo(object_id, name, color, class_name=class_name)


def check_object(item: ObjectInfo) -> ObjectInfo:
    """Return an object with its texts stripped; raise `InputError` for an unusable name."""
    item = replace(item, name=item.name.strip(" "), class_name=clean_name(item.class_name))
    if not item.name or item.name != clean_name(item.name):
        raise InputError(f"name {item.name[:80]!r}: expected 1 to {NAME_LENGTH} printable characters")
    return item
