"""Schema of a list: what it refuses, what is missing, files of other tools, fields of the page."""

import json
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.objects import COLORS, make_object
from aotlab_studio.document.rules import RULES_FILE, Rules, RulesFile
from aotlab_studio.document.schema import (
    SCHEMA_WRITERS,
    AttributeRule,
    ClassRule,
    Schema,
    list_shades,
    read_schema,
)
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.browser import find_violations, needs_browser
from studio.tests.annotation.results import find_clip, set_status
from studio.tests.annotation.sessions import draw
from studio.tests.annotation.test_editing import VISION, convert_to_lab
from studio.tests.annotation.test_uploads import coco
from tests.processes import wait_until

SEX = AttributeRule("sex", "choice", ["male", "female"], mandatory=True)
POSE = AttributeRule("pose", "choice", ["sitting", "standing"], per_frame=True)
CLASSES = [
    ClassRule("dog", "#ff0000", "D", [SEX, POSE, AttributeRule("age", "number"), AttributeRule("seen", "yes/no")]),
    ClassRule("person", "#00ff00"),
]


@pytest.fixture
def schema(batch):
    """Store the schema of the list."""
    RulesFile(batch.folder).change(Rules(classes=CLASSES), "Lea")


@pytest.fixture
def schema_of_document(document):
    """Store the schema beside a project."""
    document.rules.change(Rules(classes=CLASSES), "Lea")


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


@pytest.mark.usefixtures("schema")
def test_objects_of_a_class_get_shades_of_its_color(batch):
    red, dark, light = list_shades("#ff0000")[:3]
    with batch.use("a", "Ann") as session:
        document = session.document

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
    document.rules.change(Rules(classes=CLASSES[:1]), "Lea")
    editing.add_object(document)
    editing.paint(document, 0, None, [(5, 5), (9, 5)], 2)
    assert [(item.class_name, item.color) for item in document.snapshot.objects.values()] == [
        ("dog", color) for color in list_shades("#ff0000")[:2]
    ]
    document.rules.change(Rules(classes=CLASSES), "Lea")
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


def test_violations_are_stored_and_refuse_acceptance(batch, schema):
    with batch.use("a", "Ann") as session:
        document = session.document
        editing.change_object(document, 1, class_name="cat", name="Rex")
        editing.set_attribute(document, 1, "tail", "long")
        editing.change_object(document, 1, class_name="dog")
        editing.change_object(document, 2, class_name="person")
        draw(session, 0, 3)
        assert session.describe().classes == ["dog", "person"]
        missing = session.describe().violations
    violations = "attribute tail is not in the schema; remove it", "attribute sex is missing"
    assert missing == [*(f"Rex: {text}" for text in violations), "object 3: class is missing"]
    assert find_clip(batch, "a").violations == missing
    with pytest.raises(InputError, match=r"a: Rex: attribute tail .*; object 3: class is missing; correct it"):
        set_status(batch, "a", "Bob", "accepted", force=True)
    set_status(batch, "a", "Bob", "to review", force=True)
    with batch.use("a", "Ann") as session:
        editing.set_attribute(session.document, 1, "sex", "male")
        editing.set_attribute(session.document, 1, "tail")
        editing.change_object(session.document, 3, class_name="person")
    set_status(batch, "a", "Bob", "accepted", force=True)


def test_loaded_value_outside_the_schema_refuses_acceptance(batch, schema):
    tree = json.loads(coco(3))
    tree["categories"][0]["name"] = "dog"
    for annotation in tree["annotations"]:
        annotation["attributes"]["sex"] = "x"
    with batch.use("a", "Ann") as session:
        load_upload(session.document, 0, json.dumps(tree).encode(), targets={1: 1, 2: 2})
        assert session.describe().violations[0] == "object 1: attribute sex is 'x', not one of male, female"
        with pytest.raises(InputError, match="'x', not one of male, female"):
            session.set_status("accepted", force=True)


def test_changed_rules_show_on_open_and_closed_clips(batch, served_list):
    set_status(batch, "b", "Ann", "rejected")  # it has a project
    assert find_clip(batch, "b").violations == []
    with batch.use("a", "Ann") as session:
        events = []
        session.document.listeners[events.append] = None
        batch.rules.change(Rules(classes=CLASSES), "Lea")
        (event,) = events
        assert [rule.name for rule in event.state.schema] == ["dog", "person"]
        RulesFile(batch.folder).change(Rules(), "Lea")  # by another program
        assert find_clip(batch, "b").violations == []
        assert events[-1].state.schema == []
        batch.rules.change(Rules(classes=CLASSES), "Lea")
        assert find_clip(batch, "b").violations[0] == "object 1: class is missing"


def test_edit_is_stored_while_the_rules_are_damaged(batch, schema):
    with batch.use("a", "Ann") as session:
        (batch.folder / RULES_FILE).write_text("{")
        answer = run_action(session, {"do": "set_attribute", "object_id": 1, "name": "sex", "value": "male"})
        assert answer is None
        assert session.document.snapshot.state.attributes == {1: {"sex": {0: "male"}}}
        assert [rule.name for rule in session.describe().schema] == ["dog", "person"]


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


@pytest.mark.parametrize("name", SCHEMA_WRITERS)
def test_schema_written_for_a_tool_is_read_again(name):
    text = SCHEMA_WRITERS[name][1](CLASSES)
    read = read_schema(text.encode()).classes
    if name == "cvat":
        assert read == CLASSES
    else:
        key = "D" if name == "label_studio" else ""
        assert read == [ClassRule("dog", "#ff0000", key), ClassRule("person", "#00ff00")]


@pytest.mark.parametrize("name", ["cvat", "cvat_polygons"])
def test_exported_cvat_file_holds_the_schema(session, document, schema_of_document, name):
    draw(session, 0, 1)
    editing.change_object(document, 1, class_name="dog", name="Rex")
    editing.set_attribute(document, 1, "sex", "male")
    session.export([name])
    assert read_schema((session.archive.parent / f"{name}.xml").read_bytes()).classes == CLASSES


def test_attributes_outside_the_schema_are_declared_too(session, document, schema_of_document):
    draw(session, 0, 1)
    editing.set_attribute(document, 1, "tail", "long")
    editing.set_attribute(document, 1, "seen", True)
    editing.change_object(document, 1, class_name="dog")
    session.export(["cvat"])
    dog, *others = read_schema((session.archive.parent / "cvat.xml").read_bytes()).classes
    assert dog.attributes == [*CLASSES[0].attributes, AttributeRule("tail", per_frame=True)]
    assert others == CLASSES[1:]


def test_exported_labeling_interface_holds_the_classes(session, schema_of_document):
    draw(session, 0, 1)  # without a class
    session.export(["label_studio"])
    read = read_schema((session.archive.parent / "label_studio_config.xml").read_bytes()).classes
    assert [(rule.name, rule.color, rule.key) for rule in read] == [
        ("dog", "#ff0000", "D"), ("person", "#00ff00", ""), ("object", "", ""),
    ]  # fmt: skip


def test_labels_written_by_cvat_are_a_schema():
    attribute = "<name>{}</name><mutable>{}</mutable><input_type>{}</input_type><default_value/><values>{}</values>"
    attributes = [("pose", "True", "radio", "sitting\nstanding"), ("age", "False", "number", "0\n9\n1")]
    texts = "".join(f"<attribute>{attribute.format(*values)}</attribute>" for values in attributes)
    xml = f"""<annotations><version>1.1</version><meta><job><labels>
      <label><name>dog</name><color>#FF0000</color><type>any</type><attributes>{texts}</attributes></label>
      <label><name>nose</name><type>points</type><attributes/><parent>dog</parent></label>
    </labels></job></meta></annotations>"""
    rules = [POSE, AttributeRule("age", "number")]
    assert read_schema(xml.encode()).classes == [ClassRule("dog", "#ff0000", attributes=rules)]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"<View/>", b"<View", b'[{"name": 1}]'],
)  # fmt: skip
def test_unusable_schema_rejected(content):
    with pytest.raises(InputError, match=r"schema: .*give the labels or annotations of CVAT"):
        read_schema(content)


@pytest.mark.parametrize(("classes", "problem"), [
    ([{"name": "a"}, {"name": " a"}], "schema: class a occurs twice; rename or remove one"),
    ([{"name": "a"}, {"name": " "}], "schema: class 2 has no name; type one, or remove it"),
    ([{"name": "a", "key": "x"}, {"name": "b", "key": "X"}], "schema: key x is that of two classes; change one"),
    ([{"name": "a", "color": "red"}], "class a: color 'red' is not #rrggbb; correct it"),
    ([{"name": "a", "attributes": [{"name": "b", "kind": "choice", "values": [" "]}]}],
     "class a: attribute b has no values to choose from; list them, or choose another kind"),
    ([{"name": "a", "attributes": [{"name": "b"}, {"name": "b"}]}], "class a: attribute b occurs twice"),
    ([{"name": "a", "attributes": [{"name": ""}]}], "class a: attribute 1 has no name"),
    ([{"name": "a", "attributes": [{"name": "name"}]}], "class a: attribute name: the objects' names are stored"),
])  # fmt: skip
def test_unusable_rules_posted_are_refused(served_list, batch, classes, problem):
    response = served_list.post("/rules", {"classes": classes}, "Lea")
    assert (response.status_code, problem in response.text) == (409, True), response.text
    assert not (batch.folder / RULES_FILE).exists()


def test_class_without_a_color_is_stored(served_list):
    coco_classes = json.dumps({"categories": [{"name": "dog"}, {"name": "cat", "color": [255, 0, 16]}]}).encode()
    read = served_list.post("/schema", coco_classes).json()
    assert [rule["color"] for rule in read] == ["", "#ff0010"]
    assert served_list.post("/rules", {"classes": read}, "Lea").status_code == 200
    assert [rule["name"] for rule in served_list.get("/rules").json()["classes"]] == ["dog", "cat"]
    assert "color" not in json.loads(served_list.get("/schema/cvat").content)[0]


def test_hotkeys_of_label_studio_are_single_keys():
    labels = [("a", "shift+1"), ("b", "ctrl+b"), ("c", "d"), ("a", "x")]
    tags = "".join(f'<Label value="{name}" hotkey="{key}"/>' for name, key in labels)
    classes = read_schema(f'<View><BrushLabels name="l" toName="i">{tags}</BrushLabels></View>'.encode()).classes
    assert [(rule.name, rule.key) for rule in classes] == [("a", ""), ("b", ""), ("c", "d")]


@needs_browser
def test_lead_loads_a_schema_and_the_page_follows_it(context, served_list, batch, tmp_path):
    file = tmp_path / "labels.json"
    file.write_text(SCHEMA_WRITERS["cvat"][1](CLASSES))
    tab = context.new_page()
    tab.goto(served_list.url)
    tab.fill("#person", "Ann")
    tab.keyboard.press("Enter")
    tab.click("#rules")
    tab.set_input_files("dialog[open] [type=file]", file)
    first = tab.locator("dialog[open] .schema section >> nth=0")
    first.locator("[aria-label=Key]").fill("d")
    rows = first.locator(".row:has([aria-label=Kind])")
    assert rows.nth(1).locator("textarea").input_value() == "sitting\nstanding"
    assert rows.nth(0).get_by_label("mandatory").is_checked()
    rows.nth(0).locator("textarea").fill("")
    assert find_violations(tab) == []
    tab.click("dialog[open] button[value=store]")
    tab.wait_for_selector("dialog[open] .problem >> text=class dog: attribute sex has no values to choose from")
    assert first.locator("[aria-label=Key]").input_value() == "d"
    rows.nth(0).locator("textarea").fill("male\n\nfemale")
    tab.click("dialog[open] button[value=store]")
    tab.wait_for_selector("#status >> text=Rules stored.")
    assert RulesFile(batch.folder).current.classes[0].attributes[:2] == [SEX, POSE]
    labels = json.loads(served_list.get("/schema/cvat").content)
    assert [label["name"] for label in labels] == ["dog", "person"]
    tab.click("#clips th a >> text=c")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.click("#objects .select >> nth=0")
    tab.keyboard.press("Alt+d")
    tab.wait_for_selector("#objects [type=color] >> nth=0")
    tab.wait_for_function("() => document.querySelector('#objects [type=color]').value === '#ff0000'")
    tab.click("#objects .select >> nth=1")
    tab.keyboard.press("Alt+d")
    wait_until(lambda: tab.input_value("#objects li:nth-child(2) [type=color]") == list_shades("#ff0000")[1])
    tab.keyboard.press("Control+z")
    tab.click("#objects .select >> nth=0")
    tab.select_option("#attribute-fields select >> nth=0", "male")
    tab.fill("#frame", "4")
    tab.press("#frame", "Enter")
    tab.wait_for_selector("#strips[aria-valuenow='4']")
    tab.select_option("#attribute-fields select >> nth=1", "standing")
    wait_until(lambda: find_clip(batch, "c").violations == ["object 2: class is missing"])
    with batch.use("c", "Bob") as session:
        document, attributes = session.document, {"sex": {0: "male"}, "pose": {4: "standing"}}
        wait_until(lambda: document.snapshot.state.attributes == {1: attributes})
        tab.fill("#frame", "6")
        tab.press("#frame", "Enter")
        tab.wait_for_selector("#attribute-fields >> text=pose (from frame 4 on)")
        tab.select_option("#attribute-fields select >> nth=1", "")  # removes the value that holds
        wait_until(lambda: document.snapshot.state.attributes == {1: {"sex": {0: "male"}}})
        editing.set_attribute(document, 1, "tail", "long")  # as a file does
        tab.click("#attribute-fields [title='Remove tail']")
        wait_until(lambda: document.snapshot.state.attributes == {1: {"sex": {0: "male"}}})
    tab.fill("#class", "cat")
    tab.press("#class", "Enter")
    tab.wait_for_selector("#object-fields .problem >> text=classes are dog, person; choose one")
    assert find_violations(tab) == []
    tab.close()
