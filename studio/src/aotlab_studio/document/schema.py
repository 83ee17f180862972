"""Schema of a list of videos: its classes with colors, keys and attributes, in formats of other tools."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement, tostring

from msgspec import Meta, Struct

from aotlab import InputError, sdk
from aotlab_studio.document.objects import COLORS, Color, ObjectInfo, Text, clean_name

AttributeKind = Literal["text", "number", "choice", "yes/no"]
CVAT_INPUTS: dict[AttributeKind, str] = {"text": "text", "number": "number", "choice": "select", "yes/no": "checkbox"}
MAX_SCHEMA_CLASSES = 1000


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

    def refuses(self, value: object) -> bool:
        """Return whether a value is not allowed."""
        text = str(value)
        if self.kind == "choice":
            return text not in self.values
        if self.kind == "yes/no":
            return text.lower() not in ("true", "false")
        if self.kind == "number":
            try:
                return not math.isfinite(float(text))
            except ValueError:
                return True
        return False


class ClassRule(Struct, frozen=True):
    """A class that objects may have."""

    name: Text
    color: Color | Literal[""] = ""
    """Color of its objects; empty: one each."""
    key: Annotated[str, Meta(max_length=1)] = ""
    """With Alt, it gives this class to the selected object."""
    attributes: list[AttributeRule] = []


def check_item(item: ObjectInfo, classes: Sequence[ClassRule]) -> None:
    """Raise `InputError` if an object has a class or an attribute that a schema lacks; an empty schema allows all."""
    if not classes or not item.class_name:
        return
    rule = next((rule for rule in classes if rule.name == item.class_name), None)
    if rule is None:
        names = ", ".join(rule.name for rule in classes[:20])
        raise InputError(f"class {item.class_name}: not in the lead's schema; choose one of {names}")
    attributes = {each.name: each for each in rule.attributes}
    for name, value in item.attributes.items():
        check_value(attributes.get(name), name, value)


def check_value(rule: AttributeRule | None, name: str, value: object) -> None:
    """Raise `InputError` for an attribute that the schema lacks, or a value that it does not allow."""
    if rule is None:
        raise InputError(f"attribute {name}: not in the lead's schema; remove it")
    if rule.refuses(value):
        expected = {"choice": f"one of {', '.join(rule.values)}", "number": "a number", "yes/no": "true or false"}
        raise InputError(f"attribute {name}: {str(value)[:60]!r} is not allowed; give {expected[rule.kind]}")


def list_missing(
    objects: Mapping[int, ObjectInfo], varying: Mapping[int, Mapping[int, Any]], classes: Sequence[ClassRule]
) -> list[str]:
    """Return what objects lack of a schema: their class, mandatory attributes.

    Args:
        varying: attributes by object and by the frame from which they apply.
    """
    rules, missing = {rule.name: rule for rule in classes}, list[str]()
    for item in objects.values() if classes else ():
        rule = rules.get(item.class_name)
        if rule is None:
            text = f"the class {item.class_name}, which the schema lacks" if item.class_name else "no class"
            missing.append(f"{item.name} has {text}")
            continue
        known = set(item.attributes).union(*varying.get(item.id, {}).values())
        lacking = [each.name for each in rule.attributes if each.mandatory and each.name not in known]
        if lacking:
            missing.append(f"{item.name} lacks {', '.join(lacking)}")
    return missing


def read_schema(content: bytes) -> list[ClassRule]:
    """Return the classes of a file of CVAT (labels, JSON), Label Studio (configuration, XML) or COCO (JSON).

    Raises `InputError` for other files, and for names that occur twice.
    """
    remedy = "give the labels of CVAT, the configuration of Label Studio, or a COCO file"
    with sdk.reading("schema", remedy, SyntaxError, *sdk.MALFORMED):
        start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if start == b"<":
            classes = _read_label_studio(ElementTree.fromstring(content))  # expat limits the expansion of entities
        else:
            tree = json.loads(content)
            classes = _read_cvat(tree) if isinstance(tree, list) else _read_coco(tree)
    names = [rule.name for rule in classes]
    if not names or "" in names or len({*names}) < len(names) or len(names) > MAX_SCHEMA_CLASSES:
        raise InputError(f"schema: {len(names)} classes, unnamed or repeated ones among them; {remedy}")
    return classes


def _read_cvat(tree: list[dict[str, Any]]) -> list[ClassRule]:
    kinds = {value: key for key, value in CVAT_INPUTS.items()} | {"radio": "choice"}
    return [
        ClassRule(
            clean_name(label["name"]), _clean_color(label.get("color", "")), "",
            [
                AttributeRule(
                    clean_name(item["name"]), kind := kinds.get(item.get("input_type", "text"), "text"),
                    [clean_name(str(value)) for value in item.get("values", ())] if kind == "choice" else [],
                    per_frame=bool(item.get("mutable", False)),
                )
                for item in label.get("attributes", ())
            ],
        )
        for label in tree
    ]  # fmt: skip


def _read_label_studio(root: Element) -> list[ClassRule]:
    labels = [label for tag in root.iter() if tag.tag.endswith("Labels") for label in tag.iter("Label")]
    return [
        ClassRule(
            clean_name(item.attrib["value"]), _clean_color(item.get("background", "")), item.get("hotkey", "")[:1]
        )
        for item in labels
    ]


def _read_coco(tree: dict[str, Any]) -> list[ClassRule]:
    return [ClassRule(clean_name(item["name"]), _clean_color(item.get("color", ""))) for item in tree["categories"]]


def _clean_color(value: object) -> str:
    """Return a color as #rrggbb; empty for none, or another notation."""
    if isinstance(value, list | tuple) and len(value) == 3:
        return "#" + "".join(f"{int(part) & 255:02x}" for part in value)
    text = str(value).lower()
    is_color = len(text) == 7 and text[0] == "#" and not set(text[1:]) - set("0123456789abcdef")
    return text if is_color else ""


def _write_cvat(classes: Sequence[ClassRule]) -> str:
    labels = []
    for rule, color in zip(classes, _list_colors(classes), strict=True):
        attributes = []
        for item in rule.attributes:
            values = {"choice": item.values, "yes/no": ["false", "true"], "number": ["0", "1000000", "1"], "text": [""]}
            attributes.append({
                "name": item.name, "input_type": CVAT_INPUTS[item.kind], "mutable": item.per_frame,
                "values": values[item.kind], "default_value": values[item.kind][0],
            })  # fmt: skip
        labels.append({"name": rule.name, "color": color, "type": "any", "attributes": attributes})
    return json.dumps(labels, indent=2)


def _write_label_studio(classes: Sequence[ClassRule]) -> str:
    root = Element("View")
    SubElement(root, "Image", name="image", value="$image")
    labels = SubElement(root, "BrushLabels", name="label", toName="image")
    for rule, color in zip(classes, _list_colors(classes), strict=True):
        hotkey = {"hotkey": rule.key} if rule.key else {}
        SubElement(labels, "Label", {"value": rule.name, "background": color, **hotkey})
    return tostring(root, encoding="unicode")


def _write_coco(classes: Sequence[ClassRule]) -> str:
    categories = [
        {"id": number, "name": rule.name, "supercategory": "", "color": color}
        for number, (rule, color) in enumerate(zip(classes, _list_colors(classes), strict=True), start=1)
    ]
    return json.dumps({"categories": categories}, indent=2)


def _list_colors(classes: Sequence[ClassRule]) -> list[str]:
    return [rule.color or COLORS[index % len(COLORS)] for index, rule in enumerate(classes)]


SCHEMA_WRITERS: dict[str, tuple[str, Callable[[Sequence[ClassRule]], str]]] = {
    "cvat": ("labels.json", _write_cvat),
    "label_studio": ("config.xml", _write_label_studio),
    "coco": ("categories.json", _write_coco),
}
"""File name of a schema and function that writes its text, by format. Only CVAT has attributes."""
