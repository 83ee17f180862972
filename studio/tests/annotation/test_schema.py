"""Schema of a list: what it refuses, what is missing, files of other tools, fields of the page."""

import json

import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.rules import Rules, change_rules, read_rules
from aotlab_studio.document.schema import SCHEMA_WRITERS, AttributeRule, ClassRule, read_schema
from studio.tests.annotation.browser import find_violations, needs_browser
from studio.tests.annotation.results import find_clip, set_status
from studio.tests.annotation.sessions import draw
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
    return change_rules(batch.folder, Rules(classes=CLASSES), "Lea")


def test_class_and_values_outside_the_schema_refused(batch, schema):
    with batch.use("a", "Ann") as session:
        document = session.document
        for values, problem in (
            ({"class_name": "cat"}, "class cat: not in the lead's schema; choose one of dog, person"),
            ({"class_name": "dog", "attributes": {"tail": "long"}}, "attribute tail: not in the lead's schema"),
            ({"class_name": "dog", "attributes": {"sex": "x"}}, "attribute sex: 'x' is not allowed; give one of male"),
            ({"class_name": "dog", "attributes": {"age": "old"}}, "attribute age: 'old' is not allowed; give a number"),
            ({"class_name": "dog", "attributes": {"seen": "no"}}, "attribute seen: 'no' .* give true or false"),
        ):
            with pytest.raises(InputError, match=problem):
                editing.change_object(document, 1, **values)
        editing.change_object(document, 1, class_name="dog")
        with pytest.raises(InputError, match="attribute pose: 'lying' is not allowed"):
            editing.set_attribute(document, 3, 1, "pose", "lying")
        editing.change_object(document, 1, attributes={"sex": "male", "age": "3", "seen": True})
        assert session.describe().classes == ["dog", "person"]


def test_missing_class_and_attribute_refuse_acceptance(batch, schema):
    with batch.use("a", "Ann") as session:
        editing.change_object(session.document, 1, class_name="dog", name="Rex")
        editing.change_object(session.document, 2, class_name="person")
        draw(session, 0, 3)
    missing = ["Rex lacks sex", "object 3 has no class"]
    assert find_clip(batch, "a").missing == missing
    with pytest.raises(InputError, match="a: Rex lacks sex; object 3 has no class; add it, then accept the video"):
        set_status(batch, "a", "Bob", "accepted", if_unfinished="proceed")
    set_status(batch, "a", "Bob", "to review", if_unfinished="proceed")
    with batch.use("a", "Ann") as session:
        editing.change_object(session.document, 1, attributes={"sex": "male"})
        editing.change_object(session.document, 3, class_name="person")
    set_status(batch, "a", "Bob", "accepted", if_unfinished="proceed")


def test_attribute_of_a_frame_holds_until_its_next_change(session, document):
    draw(session, 0, 1)
    for frame, value in ((0, "sitting"), (8, "lying"), (4, "standing")):
        editing.set_attribute(document, frame, 1, "pose", value)
    attributes = document.snapshot.describe_objects()[1][1]
    assert {frame: values["pose"] for frame, values in attributes.items()} == {0: "sitting", 4: "standing", 8: "lying"}
    document.undo()
    assert sorted(document.snapshot.state.attributes[1]) == [0, 8]


@pytest.mark.parametrize("name", SCHEMA_WRITERS)
def test_schema_written_for_a_tool_is_read_again(name):
    text = SCHEMA_WRITERS[name][1](CLASSES)
    read = read_schema(text.encode())
    assert [(rule.name, rule.color) for rule in read] == [("dog", "#ff0000"), ("person", "#00ff00")]
    if name == "cvat":
        kinds = [(item.name, item.kind, item.values, item.per_frame) for item in read[0].attributes]
        assert kinds[:2] == [("sex", "choice", SEX.values, False), ("pose", "choice", POSE.values, True)]
        assert [kind for _, kind, _, _ in kinds[2:]] == ["number", "yes/no"]
    if name == "label_studio":
        assert read[0].key == "D"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"<View/>", b"<View", b'[{"name": 1}]', b'{"categories": [{"name": "a"}, {"name": "a"}]}'],
)
def test_unusable_schema_rejected(content):
    with pytest.raises(InputError, match=r"schema: .*give the labels of CVAT"):
        read_schema(content)


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
    tab.wait_for_selector("dialog[open] tbody tr:nth-child(2)")
    tab.fill("dialog[open] tbody tr:first-child [aria-label=Key]", "d")
    text = tab.input_value("dialog[open] tbody tr:first-child [aria-label=Attributes]")
    assert text == "sex: male | female; pose@: sitting | standing; age: number; seen: yes/no"
    tab.fill("dialog[open] tbody tr:first-child [aria-label=Attributes]", text.replace("sex", "sex*"))
    assert find_violations(tab) == []
    tab.click("dialog[open] button[value=store]")
    tab.wait_for_selector("#status >> text=Rules stored.")
    assert read_rules(batch.folder).classes[0].attributes[:2] == [SEX, POSE]
    labels = json.loads(served_list.get("/schema/cvat").content)
    assert [label["name"] for label in labels] == ["dog", "person"]
    tab.click("#clips th a >> text=c")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.click("#objects .select >> nth=0")
    tab.keyboard.press("Alt+d")
    tab.wait_for_selector("#objects [type=color] >> nth=0")
    tab.wait_for_function("document.querySelector('#objects [type=color]').value === '#ff0000'")
    tab.select_option("#schema-fields select >> nth=0", "male")
    tab.fill("#frame", "4")
    tab.press("#frame", "Enter")
    tab.wait_for_selector("#strips[aria-valuenow='4']")
    tab.select_option("#schema-fields select >> nth=1", "standing")
    wait_until(lambda: find_clip(batch, "c").missing == ["object 2 has no class"])
    with batch.use("c", "Bob") as session:
        wait_until(lambda: session.document.snapshot.state.attributes.get(1))
        snapshot = session.document.snapshot
        assert snapshot.objects[1].attributes == {"sex": "male"}
        assert snapshot.state.attributes[1][4] == {"pose": "standing"}
    tab.fill("#class", "cat")
    tab.press("#class", "Enter")
    tab.wait_for_selector("#status.error >> text=class cat: not in the lead's schema")
    assert find_violations(tab) == []
    tab.close()
