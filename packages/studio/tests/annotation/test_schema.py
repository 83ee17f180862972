"""Classes of objects from a file: colors and keys, and attributes that exports keep."""

import json
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

import aotlab_video
from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.objects import COLORS
from aotlab_studio.document.schema import ClassRule, Schema, list_shades, read_schema
from aotlab_studio.session.actions import Export
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.sessions import draw
from studio.tests.annotation.test_editing import VISION, convert_to_lab
from studio.tests.annotation.test_uploads import coco

CLASSES = [ClassRule("dog", "#ff0000", "D"), ClassRule("person", "#00ff00")]


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

        editing.AddObject().run(document)
        for key in (1, 2, 3):
            editing.ChangeObject(key, class_name="dog").run(document)
        assert list_colors() == [red, dark, light]
        editing.ChangeObject(2, name="Ann", class_name="person").run(document)
        editing.ChangeObject(3, color="#123456").run(document)
        editing.ChangeObject(3, name="Rex", class_name="dog").run(document)
        assert list_colors() == [red, "#00ff00", "#123456"]
        editing.DeleteObject(1).run(document)
        tree = json.loads(coco(3))
        tree["categories"][0]["name"] = "dog"
        load_upload(document, 0, json.dumps(tree).encode())
        assert list_colors() == ["#00ff00", "#123456", red, dark]
        editing.AddObject().run(document)
        editing.MergeObjects(4, 6).run(document)  # the object without a class gets this one's
        assert list_colors() == ["#00ff00", "#123456", dark, red]


def test_new_object_gets_the_only_class_of_the_schema(document):
    document.schema = Schema(CLASSES[:1])
    editing.AddObject().run(document)
    editing.Paint(0, None, [(5, 5), (9, 5)], 2).run(document)
    assert [(item.class_name, item.color) for item in document.snapshot.objects.values()] == [
        ("dog", color) for color in list_shades("#ff0000")[:2]
    ]
    document.schema = Schema(CLASSES)
    object_id = editing.AddObject().run(document).object_id
    assert document.snapshot.objects[object_id].class_name == ""


@pytest.mark.parametrize("options", [[], ["polygons"]])
def test_exported_cvat_file_has_the_classes(session, document, schema_of_document, options):
    draw(session, 0, 1)
    editing.ChangeObject(1, class_name="dog", name="Rex").run(document)
    Export(["cvat"], options=options).run(session)
    assert read_schema(session.archive.parent / "cvat.xml").classes == CLASSES


def test_exported_labeling_interface_has_the_classes(session, schema_of_document):
    draw(session, 0, 1)  # without a class
    Export(["label_studio"]).run(session)
    root = ElementTree.parse(session.archive.parent / "label_studio_config.xml").getroot()
    assert [label.attrib for label in root.iter("Label")] == [
        {"value": "dog", "background": "#ff0000", "hotkey": "D"},
        {"value": "person", "background": "#00ff00"},
        {"value": "object"},
    ]


def test_labels_written_by_cvat_are_classes(read):
    xml = """<annotations><version>1.1</version><meta><job><labels>
      <label><name>dog</name><color>#FF0000</color><type>any</type><attributes/></label>
      <label><name>nose</name><type>points</type><attributes/><parent>dog</parent></label>
    </labels></job></meta></annotations>"""
    assert read(xml) == [ClassRule("dog", "#ff0000")]
    labels = [{"name": "dog", "color": "#ff0000", "type": "any", "attributes": [{"name": "sex", "mutable": False}]}]
    assert read(json.dumps(labels)) == [ClassRule("dog", "#ff0000")]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"<View/>", b"<View", b"- dog", b"- {name: dog, key: F2}"],
)  # fmt: skip
def test_file_without_classes_rejected(read, content):
    with pytest.raises(InputError, match=r"classes: .*give a YAML list of classes"):
        read(content)


@pytest.mark.parametrize(("classes", "problem"), [
    ("[{name: a}, {name: ' a'}]", "classes: two classes have the name a; change one"),
    ("[{name: a}, {name: ' '}]", "classes: class 2: no name; give it a name"),
    ("[{name: a, key: x}, {name: b, key: X}]", "classes: two classes have the key x; change one"),
    ("[{name: a, color: red}]", "classes: class a: color 'red' is not #rrggbb"),
])  # fmt: skip
def test_unusable_classes_rejected(read, classes, problem):
    with pytest.raises(InputError, match=problem):
        read(classes)


def test_classes_of_a_yaml_list_have_color_and_key(read):
    assert read("- {name: dog, color: '#ff0000', key: d}\n- name: cat\n") == [
        ClassRule("dog", "#ff0000", "d"), ClassRule("cat"),
    ]  # fmt: skip


def load_attributes(document):
    """Load a file of object 1 on frames 0 and 5, with a constant attribute and one that changes."""
    tree = json.loads(coco(0, 5))
    for annotation in tree["annotations"]:
        if annotation["track_id"] == 1:
            annotation["attributes"] |= {"sex": "male", "pose": {1: "sitting", 6: "lying"}[annotation["image_id"]]}
    load_upload(document, 0, json.dumps(tree).encode())


@pytest.mark.parametrize("name", ["coco", "cvat"])
def test_attributes_of_a_file_are_exported_unchanged(session, document, tmp_path, name):
    load_attributes(document)
    result = Export([name]).run(session)
    assert result.without_attributes == []
    path = session.archive.parent / aotlab_video.make_output(name).file_name
    exported = aotlab_video.read_annotations(
        path, aotlab_video.VideoInfo.from_source(document.frames.source)
    ).attribute_table()
    sitting, lying = {"sex": "male", "pose": "sitting"}, {"sex": "male", "pose": "lying"}
    assert exported[1] == {0: sitting, 5: lying}


def test_formats_without_attributes_say_so(session, document, caplog):
    load_attributes(document)
    result = Export(["coco", "yolo", "label_studio", "masks"]).run(session)
    assert result.without_attributes == ["yolo", "label_studio"]
    assert "yolo: without the attributes pose, sex, which coco and cvat store" in caplog.text


def test_merged_object_takes_attributes_of_the_other(session, document):
    load_attributes(document)
    before = document.snapshot.state.attributes[1]
    editing.MergeObjects(1, into=2).run(document)
    assert document.snapshot.state.attributes[2] == before
