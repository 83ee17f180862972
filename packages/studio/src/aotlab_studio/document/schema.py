"""Classes that objects may have, with colors and keys, from a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from xml.etree.ElementTree import Element

import msgspec
import numpy as np
import yaml
from msgspec import Meta, Struct

from aotlab import InputError, sdk
from aotlab_studio.document.objects import Color, ObjectInfo, Text, clean_name
from aotlab_studio.utils.files import parse_xml

COLOR = re.compile("(#[0-9a-f]{6})?")
MIN_LIGHTNESS, MAX_LIGHTNESS = 30, 90
"""CIELAB lightness of shades, which dark and light frames and outlines contrast with."""
SHADE_STEPS = 37 * np.arange(8)
"""Differences in lightness of the shades of a color; 37 is the golden section of the range, which spreads them."""


class ClassRule(Struct, frozen=True):
    """A class that objects may have."""

    name: Text
    color: str = ""
    """Color of its first object, #rrggbb, of which the others have shades; empty: one each."""
    key: Annotated[str, Meta(max_length=1)] = ""
    """With Alt, it gives this class to the selected object."""


class Schema(Struct, frozen=True):
    """Classes that objects may have; without one, any class."""

    classes: list[ClassRule] = []

    @classmethod
    def parse(cls, classes: Iterable[ClassRule]) -> Schema:
        """Return a schema with clean texts; raise `InputError` for unusable names, colors and keys."""
        rules = [ClassRule(clean_name(rule.name), rule.color.lower(), rule.key.strip()) for rule in classes]
        for number, rule in enumerate(rules, start=1):
            if not rule.name:
                raise InputError("no name", subject=f"class {number}", remedy="give it a name")
            if not COLOR.fullmatch(rule.color):
                raise InputError(f"color {rule.color[:20]!r} is not #rrggbb", subject=f"class {rule.name}")
        _require_unique("name", [rule.name for rule in rules])
        _require_unique("key", [rule.key.lower() for rule in rules if rule.key])
        return cls(rules)

    def list_classes(self, names: Iterable[str]) -> list[ClassRule]:
        """Return the classes, and one for each other name."""
        known = {rule.name for rule in self.classes}
        return [*self.classes, *(ClassRule(name) for name in names if name not in known)]

    def color_object(self, item: ObjectInfo, objects: Mapping[int, ObjectInfo]) -> ObjectInfo:
        """Return an object that gets its class in the shade of the class's color that the fewest objects have."""
        used = [other.color for other in objects.values() if other.class_name == item.class_name]
        color = next((rule.color for rule in self.classes if rule.name == item.class_name), "")
        has_class = item.id in objects and objects[item.id].class_name == item.class_name
        return item if has_class or not color else replace(item, color=min(list_shades(color), key=used.count))


def list_shades(color: Color) -> list[Color]:
    """Return a color and shades of it, which differ in lightness."""
    import cv2

    rgb = np.frombuffer(bytes.fromhex(color[1:]), np.uint8).reshape(1, 1, 3)
    lab = np.repeat(cv2.cvtColor(rgb / np.float32(255), cv2.COLOR_RGB2LAB), len(SHADE_STEPS), axis=1)
    lightness = lab[..., 0] - MIN_LIGHTNESS + SHADE_STEPS
    lab[..., 0] = MIN_LIGHTNESS + lightness % (MAX_LIGHTNESS - MIN_LIGHTNESS)
    shades = (cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255).round().astype(np.uint8)
    return [color, *(f"#{shade.tobytes().hex()}" for shade in shades[0, 1:])]


def _require_unique(kind: str, texts: Sequence[str]) -> None:
    """Raise `InputError` for a text that occurs twice."""
    if repeated := next((text for text in texts if texts.count(text) > 1), None):
        raise InputError(f"two classes have the {kind} {repeated}", remedy="change one")


def read_schema(path: Path) -> Schema:
    """Return the classes of a YAML list, or the labels of CVAT in JSON or XML 1.1.

    Raises `InputError` for other files, and as `Schema.parse`.
    """
    remedy = "give a YAML list of classes, each with a name, or labels or annotations of CVAT"
    with sdk.reading(path, remedy, yaml.YAMLError, RecursionError):
        content = path.read_bytes()
        if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            labels = _list_cvat_labels(parse_xml(content))
        else:
            labels = yaml.load(content, yaml.BaseLoader)
        schema = Schema.parse(msgspec.convert(labels, list[ClassRule]))
        if not schema.classes:
            raise InputError("no classes", remedy=remedy)
        return schema


def _list_cvat_labels(root: Element) -> list[dict[str, str]]:
    """Return the labels of annotations; parts of skeletons are no classes."""
    labels = [label for label in root.iterfind(".//labels/label") if label.find("parent") is None]
    return [{item.tag: item.text or "" for item in label} for label in labels]
