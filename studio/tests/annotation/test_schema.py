"""Classes of objects: colors, attributes, files of other tools, exports."""

import json
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.objects import COLORS, make_object
from aotlab_studio.document.schema import (
    AttributeRule,
    ClassRule,
    Schema,
    list_shades,
    read_schema,
)
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.sessions import draw
from studio.tests.annotation.test_editing import VISION, convert_to_lab
from studio.tests.annotation.test_uploads import coco

SEX = AttributeRule("sex", "choice", ["male", "female"], mandatory=True)
POSE = AttributeRule("pose", "choice", ["sitting", "standing"], per_frame=True)
CLASSES = [
    ClassRule("dog", "#ff0000", "D", [SEX, POSE, AttributeRule("age", "number"), AttributeRule("seen", "yes/no")]),
    ClassRule("person", "#00ff00"),
]


@pytest.fixture
def schema_of_document(document):
    document.schema = Schema(CLASSES)


@pytest.fixture
def read(tmp_path):
    """Return the classes of a file with this text."""

    def read(text):
        (tmp_path / "classes").write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_schema(tmp_path / "classes").classes

    return read


def list_violations(class_name, values):
    """Return what is wrong with an object."""
    attributes = {name: value if isinstance(value, dict) else {0: value} for name, value in values.items()}
    return [*map(str, Schema(CLASSES).check({1: make_object(1, "Rex", class_name)}, {1: attributes}))]


def test_objects_that_match_the_schema_have_no_violation():
    assert list_violations("person", {}) == []
    values = {"sex": "male", "pose": {3: "sitting", 8: "standing"}, "age": "-1.5e2", "seen": True}
    assert list_violations("dog", values) == []
    assert Schema().check({1: make_object(1)}, {1: {"any": {3: "x"}}}) == []


@pytest.mark.parametrize(("count", "least"), [(2, 22), (3, 12), (5, 8), (8, 4.5)])
def test_shades_differ_and_are_neither_black_nor_white(count, least):
    for color in (*COLORS, "#ff0000", "#ffff00", "#0000ff", "#000000", "#ffffff"):
        shades = list_shades(color)[:count]
        seen = convert_to_lab(shades, VISION["all cones"])
        assert shades[0] == color
        assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > least
        assert 25 < seen[1:, 0].min() <= seen[1:, 0].max() < 92


def test_objects_of_a_class_get_shades_of_its_color(batch):
    red, dark, light = list_shades("#ff0000")[:3]
    with batch.use("a") as session:
        document = session.document
        document.schema = Schema(CLASSES)

        def list_colors():
            return [item.color for item in document.snapshot.objects.values()]

        editing.add_object(document)
        for key in (1, 2, 3):
            editing.change_object(document, key, class_name="dog")
        assert list_colors() == [red, dark, light]
        editing.change_object(document, 2, class_name="person")
        editing.change_object(document, 3, color="#123456")
        editing.change_object(document, 3, name="Rex", class_name="dog")
        assert list_colors() == [red, "#00ff00", "#123456"]
        editing.delete_object(document, 1)
        tree = json.loads(coco(3))
        tree["categories"][0]["name"] = "dog"
        load_upload(document, 0, json.dumps(tree).encode(), targets={1: None, 2: None})
        assert list_colors() == ["#00ff00", "#123456", red, dark]
        editing.add_object(document)
        editing.merge_objects(document, 4, 6)  # the object without a class gets this one's
        assert list_colors() == ["#00ff00", "#123456", dark, red]


def test_new_object_gets_the_only_class_of_the_schema(document):
    document.schema = Schema(CLASSES[:1])
    editing.add_object(document)
    editing.paint(document, 0, None, [(5, 5), (9, 5)], 2)
    assert [(item.class_name, item.color) for item in document.snapshot.objects.values()] == [
        ("dog", color) for color in list_shades("#ff0000")[:2]
    ]
    document.schema = Schema(CLASSES)
    object_id = editing.add_object(document).object_id
    assert document.snapshot.objects[object_id].class_name == ""


@pytest.mark.parametrize(("class_name", "values", "violation"), [
    ("", {}, "Rex: class is missing"),
    ("cat", {"sex": "x"}, "Rex: class cat is not in the schema"),
    ("dog", {}, "Rex: attribute sex is missing"),
    ("dog", {"sex": "", "age": ""}, "Rex: attribute sex is missing"),
    ("dog", {"sex": "male", "tail": "long"}, "Rex: attribute tail is not in the schema; remove it"),
    ("dog", {"sex": "x"}, "Rex: attribute sex is 'x', not one of male, female"),
    ("dog", {"sex": {0: "male", 5: "female"}}, "Rex: attribute sex differs between frames; set it again"),
    ("dog", {"sex": "male", "pose": {4: "lying", 6: "sitting", 8: "lying"}},
     "Rex: attribute pose is 'lying', not one of sitting, standing, from frame 4 on"),
    *(("dog", {"sex": "male", "age": age}, f"Rex: attribute age is '{age}', not a number")
      for age in ("old", "1_000", "nan", "1e999", "٣", True)),
    ("dog", {"sex": "male", "seen": "no"}, "Rex: attribute seen is 'no', neither true nor false"),
])  # fmt: skip
def test_violation_names_object_attribute_and_value(class_name, values, violation):
    assert list_violations(class_name, values) == [violation]


def test_mandatory_attribute_that_ends_is_missing():
    assert list_violations("dog", {"sex": {0: "male", 5: None}}) == [
        "Rex: attribute sex differs between frames; set it again",
        "Rex: attribute sex is missing, from frame 5 on",
    ]


def test_value_of_a_frame_holds_until_its_next_change(session, document):
    draw(session, 0, 1)
    editing.set_attribute(document, 1, "pose", "sitting")  # on all frames, as files of CVAT state it
    for frame, name, value in ((8, "pose", "lying"), (4, "age", "3"), (6, "pose", "standing")):
        editing.set_attribute(document, 1, name, value, frame)
    draw(session, 11, 1)
    draw(session, 5, 1)
    session.export(["cvat"])
    root = ElementTree.parse(session.archive.parent / "cvat.xml").getroot()
    found = {}
    for shape in root.iter("mask"):
        values = {item.get("name"): item.text for item in shape.iter("attribute")}
        found[int(shape.get("frame"))] = values
    assert found[0] == {"pose": "sitting"}  # not the age, which begins later
    assert found[5] == {"pose": "sitting", "age": "3"}
    assert found[11] == {"pose": "lying", "age": "3"}


@pytest.mark.parametrize("options", [[], ["polygons"]])
def test_exported_cvat_file_holds_the_schema(session, document, schema_of_document, options):
    draw(session, 0, 1)
    editing.change_object(document, 1, class_name="dog", name="Rex")
    editing.set_attribute(document, 1, "sex", "male")
    session.export(["cvat"], options=options)
    assert read_schema(session.archive.parent / "cvat.xml").classes == CLASSES


def test_attributes_outside_the_schema_are_declared_too(session, document, schema_of_document):
    draw(session, 0, 1)
    editing.set_attribute(document, 1, "tail", "long")
    editing.set_attribute(document, 1, "seen", True)
    editing.change_object(document, 1, class_name="dog")
    session.export(["cvat"])
    dog, *others = read_schema(session.archive.parent / "cvat.xml").classes
    assert dog.attributes == [*CLASSES[0].attributes, AttributeRule("tail", per_frame=True)]
    assert others == CLASSES[1:]


def test_exported_labeling_interface_holds_the_classes(session, schema_of_document):
    draw(session, 0, 1)  # without a class
    session.export(["label_studio"])
    read = read_schema(session.archive.parent / "label_studio_config.xml").classes
    assert [(rule.name, rule.color, rule.key) for rule in read] == [
        ("dog", "#ff0000", "D"), ("person", "#00ff00", ""), ("object", "", ""),
    ]  # fmt: skip


def test_labels_written_by_cvat_are_a_schema(read):
    attribute = "<name>{}</name><mutable>{}</mutable><input_type>{}</input_type><default_value/><values>{}</values>"
    attributes = [("pose", "True", "radio", "sitting\nstanding"), ("age", "False", "number", "0\n9\n1")]
    texts = "".join(f"<attribute>{attribute.format(*values)}</attribute>" for values in attributes)
    xml = f"""<annotations><version>1.1</version><meta><job><labels>
      <label><name>dog</name><color>#FF0000</color><type>any</type><attributes>{texts}</attributes></label>
      <label><name>nose</name><type>points</type><attributes/><parent>dog</parent></label>
    </labels></job></meta></annotations>"""
    rules = [POSE, AttributeRule("age", "number")]
    assert read(xml) == [ClassRule("dog", "#ff0000", attributes=rules)]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"<View/>", b"<View", b'[{"name": 1}]'],
)  # fmt: skip
def test_unusable_schema_rejected(read, content):
    with pytest.raises(InputError, match=r"classes: .*give a YAML list of classes"):
        read(content)


@pytest.mark.parametrize(("classes", "problem"), [
    ("[{name: a}, {name: ' a'}]", "schema: class a occurs twice; rename or remove one"),
    ("[{name: a}, {name: ' '}]", "schema: class 2 has no name; type one, or remove it"),
    ("[{name: a, key: x}, {name: b, key: X}]", "schema: key x is that of two classes; change one"),
])  # fmt: skip
def test_classes_with_equal_names_or_keys_are_refused(read, classes, problem):
    with pytest.raises(InputError, match=problem):
        read(classes)


def test_classes_of_a_yaml_list_have_color_and_key(read):
    assert read("- {name: dog, color: '#ff0000', key: d}\n- name: cat\n") == [
        ClassRule("dog", "#ff0000", "d"), ClassRule("cat"),
    ]  # fmt: skip


def test_coco_classes_may_lack_a_color(read):
    classes = read(json.dumps({"categories": [{"name": "dog"}, {"name": "cat", "color": [255, 0, 16]}]}))
    assert [rule.color for rule in classes] == ["", "#ff0010"]


def test_hotkeys_of_label_studio_are_single_keys(read):
    labels = [("a", "shift+1"), ("b", "ctrl+b"), ("c", "d"), ("a", "x")]
    tags = "".join(f'<Label value="{name}" hotkey="{key}"/>' for name, key in labels)
    classes = read(f'<View><BrushLabels name="l" toName="i">{tags}</BrushLabels></View>')
    assert [(rule.name, rule.key) for rule in classes] == [("a", ""), ("b", ""), ("c", "d")]
