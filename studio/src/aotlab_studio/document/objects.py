"""Objects of a document: id, name, class, attributes, color."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from msgspec import Meta

from aotlab import InputError

MAX_OBJECTS = 1000
NAME_LENGTH = 60
NO_CLASS = "object"
"""class of objects without one in annotation files"""
COLORS = (
    "#109898", "#ff9810", "#7010c0", "#981010", "#c0ffc0", "#c098ff", "#10ffff", "#c09870", "#404070", "#1010ff",
    "#e04010", "#704040", "#ffe070", "#e0ff10", "#9840c0", "#1070ff", "#ff4098", "#707040", "#9870c0", "#70c0e0",
)  # fmt: skip
"""colors of new objects, in turn; distinct for color-blind people too, the first ones most"""

ObjectId = Annotated[int, Meta(ge=1, le=65535)]
Text = Annotated[str, Meta(max_length=NAME_LENGTH)]
Color = Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")]
Attributes = Annotated[dict[Text, Text], Meta(max_length=20)]


@dataclass(frozen=True)
class ObjectInfo:
    """Id, name, class, color and attributes of an object."""

    id: ObjectId
    """object id in masks"""
    name: Text
    color: Color
    hidden: bool = False
    """whether the page does not show it, and refuses edits of its masks"""
    locked: bool = False
    """whether drawing and tracking change none of its pixels; pixels under others reappear when these are removed"""
    class_name: Text = ""
    """empty: none"""
    attributes: Attributes = field(default_factory=dict)
    """attributes on all frames"""


def clean_name(text: str) -> str:
    """Strip a text to a valid name; it may be empty."""
    return "".join(filter(str.isprintable, text)).strip()[:NAME_LENGTH]


def require_name(person: str) -> None:
    """Raise `InputError` without the name of a person whose change others see."""
    if not person:
        raise InputError("name: type your name first; it is stored with each change")


def make_object(object_id: int, name: str | None = None, class_name: str = "") -> ObjectInfo:
    """Return a new object; raise `InputError` for an unusable name or an id above 65535."""
    if object_id > 65535:
        raise InputError(f"object {object_id}: cannot be added; ids end at 65535, each used once")
    name, color = name or class_name or f"object {object_id}", COLORS[(object_id - 1) % len(COLORS)]
    return check_object(ObjectInfo(object_id, name, color, class_name=class_name))


def check_object(item: ObjectInfo) -> ObjectInfo:
    """Return the object, without spaces around its name and class; raise `InputError` for an unusable text."""
    item = replace(item, name=item.name.strip(" "), class_name=item.class_name.strip(" "))
    if not (item.name and item.name.isprintable() and len(item.name) <= NAME_LENGTH):
        raise InputError(f"name {item.name[:80]!r}: expected 1 to {NAME_LENGTH} printable characters")
    for text in (item.class_name, *item.attributes, *item.attributes.values()):
        if not (text.isprintable() and len(text) <= NAME_LENGTH):
            expected = f"expected up to {NAME_LENGTH} printable characters"
            raise InputError(f"class or attribute {text[:80]!r}: {expected}")
    for name, value in item.attributes.items():
        if "," in name + value or "=" in name:  # they separate attributes in the page
            expected = "expected a name without a comma or =, and a value without a comma"
            raise InputError(f"attribute {name!r}: {expected}")
    return item
