"""Classes of objects with colors, keys and attributes, from files of other tools."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
import yaml
from msgspec import Meta, Struct, structs

from aotlab import InputError, sdk
from aotlab_studio.document.attributes import Attributes
from aotlab_studio.document.objects import Color, ObjectInfo, Text, clean_name

AttributeKind = Literal["text", "number", "choice", "yes/no"]
CVAT_INPUTS: dict[AttributeKind, str] = {"text": "text", "number": "number", "choice": "select", "yes/no": "checkbox"}
MAX_SCHEMA_CLASSES = 1000


NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
COLOR = re.compile("(#[0-9a-f]{6})?")
MIN_LIGHTNESS, MAX_LIGHTNESS = 30, 90
"""CIELAB lightness of shades, which dark and light frames and outlines contrast with."""
SHADE_STEPS = 37 * np.arange(8)
"""Differences in lightness of the shades of a color; 37 is the golden section of the range, which spreads them."""


class AttributeRule(Struct, frozen=True):
    """An attribute of the objects of a class."""

    name: Text
    kind: AttributeKind = "text"
    values: list[Text] = []
    """Allowed values of a choice."""
    mandatory: bool = False
    """Whether a clip is accepted only if all objects of the class have it."""
    per_frame: bool = False
    """Whether it may differ from frame to frame."""

    def find_problem(self, text: str) -> str:
        """Return what is wrong with a value, given as text, which is empty without one; empty if nothing is."""
        if not text:
            return "is missing" if self.mandatory else ""
        if self.kind == "choice" and text not in self.values:
            return f"is {text[:60]!r}, not one of {', '.join(self.values)}"
        if self.kind == "yes/no" and text.lower() not in ("true", "false"):
            return f"is {text[:60]!r}, neither true nor false"
        if self.kind == "number" and not (NUMBER.fullmatch(text) and math.isfinite(float(text))):
            return f"is {text[:60]!r}, not a number"
        return ""

    def check(self, changes: Mapping[int, Any]) -> Iterator[str]:
        """Yield what is wrong with the values of an object, once for each value."""
        if len(changes) > 1 and not self.per_frame:
            yield f"attribute {self.name} differs between frames; set it again"
        first_frames = dict[str, int]()
        for frame, value in (changes or {0: None}).items():
            first_frames.setdefault("" if value is None else str(value), frame)
        for text, frame in first_frames.items():
            if problem := self.find_problem(text):
                yield f"attribute {self.name} {problem}" + (f", from frame {frame} on" if frame else "")


class ClassRule(Struct, frozen=True):
    """A class that objects may have."""

    name: Text
    color: str = ""
    """Color of its first object, #rrggbb, of which the others have shades; empty: one each."""
    key: Annotated[str, Meta(max_length=1)] = ""
    """With Alt, it gives this class to the selected object."""
    attributes: list[AttributeRule] = []


class Violation(NamedTuple):
    """A problem of an object: its class, or an attribute that is unknown, wrong or missing."""

    object_name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.object_name}: {self.problem}"


class Schema(Struct, frozen=True):
    """Classes that objects may have; without one, any class and attribute."""

    classes: list[ClassRule] = []

    @classmethod
    def parse(cls, classes: Iterable[ClassRule]) -> Schema:
        """Return a schema with clean texts; raise `InputError` for unusable names, colors and choices."""
        rules = []
        for rule in classes:
            color = rule.color.lower()
            subject = f"class {rule.name}"
            if not COLOR.fullmatch(color):
                raise InputError(f"color {rule.color[:20]!r} is not #rrggbb", subject=subject, remedy="correct it")
            attributes = []
            for item in rule.attributes:
                values = [*filter(None, dict.fromkeys(map(clean_name, item.values)))] if item.kind == "choice" else []
                if item.kind == "choice" and not values:
                    problem = f"attribute {item.name} has no values to choose from"
                    raise InputError(problem, subject=subject, remedy="list them, or choose another kind")
                attributes.append(structs.replace(item, name=clean_name(item.name), values=values))
            _require_names("attribute", subject, [item.name for item in attributes], reserved="name")
            rules.append(ClassRule(clean_name(rule.name), color, rule.key.strip(), attributes))
        _require_names("class", "schema", [rule.name for rule in rules])
        keys = [rule.key.lower() for rule in rules if rule.key]
        if repeated := next((key for key in keys if keys.count(key) > 1), None):
            raise InputError(f"key {repeated} is that of two classes", subject="schema", remedy="change one")
        return cls(rules)

    def list_classes(self, names: Iterable[str]) -> list[ClassRule]:
        """Return the classes, and one without attributes for each other name."""
        known = {rule.name for rule in self.classes}
        return [*self.classes, *(ClassRule(name) for name in names if name not in known)]

    def color_object(self, item: ObjectInfo, objects: Mapping[int, ObjectInfo]) -> ObjectInfo:
        """Return an object that gets its class in the shade of the class's color that the fewest objects have."""
        used = [other.color for other in objects.values() if other.class_name == item.class_name]
        color = next((rule.color for rule in self.classes if rule.name == item.class_name), "")
        has_class = item.id in objects and objects[item.id].class_name == item.class_name
        return item if has_class or not color else replace(item, color=min(list_shades(color), key=used.count))

    def check(self, objects: Mapping[int, ObjectInfo], attributes: Mapping[int, Attributes]) -> list[Violation]:
        """Return what the schema does not allow, or requires and objects do not have."""
        rules, violations = {rule.name: rule for rule in self.classes}, list[Violation]()
        for item in objects.values() if rules else ():
            values = attributes.get(item.id, {})
            if (rule := rules.get(item.class_name)) is None:
                problems = [f"class {item.class_name} is not in the schema" if item.class_name else "class is missing"]
            else:
                known = [each.name for each in rule.attributes]
                problems = [f"attribute {name} is not in the schema; remove it" for name in values if name not in known]
                problems += [text for each in rule.attributes for text in each.check(values.get(each.name, {}))]
            violations += [Violation(item.name, problem) for problem in problems]
        return violations


def list_shades(color: Color) -> list[Color]:
    """Return a color and shades of it, which differ in lightness."""
    import cv2

    rgb = np.frombuffer(bytes.fromhex(color[1:]), np.uint8).reshape(1, 1, 3)
    lab = np.repeat(cv2.cvtColor(rgb / np.float32(255), cv2.COLOR_RGB2LAB), len(SHADE_STEPS), axis=1)
    lightness = lab[..., 0] - MIN_LIGHTNESS + SHADE_STEPS
    lab[..., 0] = MIN_LIGHTNESS + lightness % (MAX_LIGHTNESS - MIN_LIGHTNESS)
    shades = (cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255).round().astype(np.uint8)
    return [color, *(f"#{shade.tobytes().hex()}" for shade in shades[0, 1:])]


def _require_names(kind: str, subject: str, names: Sequence[str], reserved: str = "") -> None:
    """Raise `InputError` for a name that is empty, reserved or occurs twice, or too many names."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if "" in names:
        raise InputError(f"{kind} {names.index('') + 1} has no name", subject=subject, remedy="type one, or remove it")
    if reserved in names:
        raise InputError(
            f"{kind} {reserved}: the objects' names are stored as {reserved}", subject=subject, remedy="choose another"
        )
    if repeated:
        raise InputError(f"{kind} {repeated[0]} occurs twice", subject=subject, remedy="rename or remove one")
    if len(names) > MAX_SCHEMA_CLASSES:
        raise InputError(f"more than {MAX_SCHEMA_CLASSES} names", subject=subject, remedy="remove some")


def read_schema(path: Path) -> Schema:
    """Return the classes of a YAML list, or a file of CVAT (labels in JSON, or XML 1.1), Label Studio or COCO.

    Raises `InputError` for other files, and as `Schema.parse`.
    """
    remedy = "give a YAML list of classes, labels or annotations of CVAT, a configuration of Label Studio, or COCO"
    with sdk.reading(path, remedy, SyntaxError, yaml.YAMLError, *sdk.MALFORMED):
        content = path.read_bytes()
        start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if start == b"<":
            root = ElementTree.fromstring(content)  # expat limits the expansion of entities
            is_cvat = root.tag == "annotations"
            classes = _read_cvat(_list_cvat_labels(root)) if is_cvat else _read_label_studio(root)
        else:
            tree = yaml.safe_load(content)  # YAML contains JSON
            classes = _read_cvat(tree) if isinstance(tree, list) else _read_coco(tree)
        if not classes:
            raise InputError("no classes", subject=str(path), remedy=remedy)
        return Schema.parse(classes)


def _read_cvat(tree: list[dict[str, Any]]) -> list[ClassRule]:
    kinds = {value: key for key, value in CVAT_INPUTS.items()} | {"radio": "choice"}
    return [
        ClassRule(
            clean_name(label["name"]), _clean_color(label.get("color", "")), str(label.get("key", ""))[:1],
            [
                AttributeRule(
                    clean_name(item["name"]), kind := kinds.get(item.get("input_type", "text"), "text"),
                    [clean_name(str(value)) for value in item.get("values", ())] if kind == "choice" else [],
                    *(str(item.get(flag)) == "True" for flag in ("mandatory", "mutable")),
                )
                for item in label.get("attributes", ())
            ],
        )
        for label in tree
    ]  # fmt: skip


def _list_cvat_labels(root: Element) -> list[dict[str, Any]]:
    """Return the labels of annotations as CVAT describes them in JSON; parts of skeletons are no classes."""

    def list_texts(element: Element) -> dict[str, Any]:
        return {item.tag: item.text or "" for item in element}

    return [
        {
            **list_texts(label),
            "attributes": [
                {**list_texts(item), "values": item.findtext("values", "").splitlines()}
                for item in label.iterfind("attributes/attribute")
                if item.findtext("name") != "name"  # objects' names, as exports of the page store them
            ],
        }
        for label in root.iterfind(".//labels/label")
        if label.find("parent") is None
    ]


def _read_label_studio(root: Element) -> list[ClassRule]:
    labels = [label for tag in root.iter() if tag.tag.endswith("Labels") for label in tag.iter("Label")]
    rules = dict[str, ClassRule]()
    for item in labels:  # a name may occur in several tools
        name, hotkey = clean_name(item.attrib["value"]), item.get("hotkey", "")
        rules.setdefault(
            name, ClassRule(name, _clean_color(item.get("background", "")), hotkey if len(hotkey) == 1 else "")
        )
    return [*rules.values()]


def _read_coco(tree: dict[str, Any]) -> list[ClassRule]:
    return [ClassRule(clean_name(item["name"]), _clean_color(item.get("color", ""))) for item in tree["categories"]]


def _clean_color(value: object) -> str:
    """Return a color as #rrggbb; empty for none, or another notation."""
    if isinstance(value, list | tuple) and len(value) == 3:
        return "#" + "".join(f"{int(part) & 255:02x}" for part in value)
    text = str(value).lower()
    return text if COLOR.fullmatch(text) else ""


def describe_cvat_label(rule: ClassRule) -> dict[str, Any]:
    """Return a class as CVAT describes it in JSON, with ``key`` and ``mandatory``, which CVAT ignores."""
    attributes = []
    for item in rule.attributes:
        values = {"choice": item.values, "yes/no": ["false", "true"], "number": ["0", "1000000", "1"], "text": [""]}
        attributes.append({
            "name": item.name, "input_type": CVAT_INPUTS[item.kind], "mutable": item.per_frame,
            "values": values[item.kind], "default_value": values[item.kind][0], "mandatory": item.mandatory,
        })  # fmt: skip
    label = {"name": rule.name, "color": rule.color, "key": rule.key, "type": "any"}
    return {**{key: text for key, text in label.items() if text}, "attributes": attributes}


def format_label_studio_schema(classes: Iterable[ClassRule]) -> str:
    """Return the labeling interface of Label Studio for brush masks of these classes."""
    root = Element("View")
    SubElement(root, "Image", name="image", value="$image")
    labels = SubElement(root, "BrushLabels", name="tag", toName="image")
    for rule in classes:
        options = {"value": rule.name, "background": rule.color, "hotkey": rule.key}
        SubElement(labels, "Label", {key: text for key, text in options.items() if text})
    indent(root)
    return f"{tostring(root, encoding='unicode')}\n"
