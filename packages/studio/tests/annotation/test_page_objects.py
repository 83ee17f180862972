"""The page in a browser: list of objects, their names and locks, deleting, merging, loaded masks."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.schema import ClassRule, Schema
from aotlab_testing.browser import needs_browser
from aotlab_testing.marks import slow
from studio.tests.annotation.browser import Page, Wire
from studio.tests.annotation.clips import truth
from studio.tests.annotation.sessions import draw

pytestmark = needs_browser


def test_masks_are_loaded_from_a_file(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.wait_status("Masks loaded on frame 0")
    np.testing.assert_array_equal(page.labels(0), truth(0))
    for name, content in (("$&.json", "{}"), ("x.png", "x"), ("y.zip", "PK")):
        (tmp_path / name).write_text(content)
        page.tab.set_input_files("#load", tmp_path / name)
        page.wait_status(f"{name}: not ")


def test_loaded_masks_name_the_drawn_ones_they_replace(page, document, tmp_path, two_objects):
    labels = truth(0).copy()
    labels[labels == 2] = 0
    labels[30, 30] = 2
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "masks.png")
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    toast = page.tab.locator(f".toast >> text=Drawn masks replaced: object 2 ({(truth(0) == 2).sum()} pixels)")
    toast.wait_for()
    page.tab.click(".toast button >> text=Undo")
    page.wait_until(lambda: (document.snapshot.labels(0) == truth(0)).all())


def test_class_key_waits_for_the_object_of_a_box(new_page, document):
    document.schema = Schema([ClassRule("dog", "#ff0000", "2")])
    draw_first = Wire(new_page, "segment")
    new_page.key("x")
    new_page.stroke((3, 3), (18, 18))
    draw_first.wait_held()
    new_page.key("Alt+2")
    draw_first.release()
    new_page.wait_until(lambda: document.snapshot.objects[1].class_name == "dog")
    new_page.stroke((37, 22), (53, 38))  # away from the selected object
    draw_first.wait_held()
    new_page.key("Alt+2")
    draw_first.release()
    new_page.wait_until(lambda: document.snapshot.objects[2].class_name == "dog")


def test_class_key_in_a_field_is_typed(page, document, one_object):
    document.schema = Schema([ClassRule("dog", "#ff0000", "d")])
    document.emit_page_state()
    page.tab.wait_for_selector("#classes option[value=dog]", state="attached")
    press = "target => !target.dispatchEvent(new KeyboardEvent('keydown', KEY))".replace(
        "KEY", "{ key: '∂', code: 'KeyD', altKey: true, bubbles: true, cancelable: true }"
    )
    assert not page.tab.locator("#object-name").evaluate(press)
    assert document.snapshot.objects[1].class_name == ""
    assert page.tab.locator("#view").evaluate(press)  # the browser's own action does not follow
    page.wait_until(lambda: document.snapshot.objects[1].class_name == "dog")


@pytest.mark.slow
def test_frame_stays_in_place_when_objects_are_added(page):
    places = []
    for _ in range(3):
        page.key_done("n")
        places.append(page.at(30, 20))
    assert places[0] == places[1] == places[2]


@pytest.mark.slow
def test_undo_of_a_new_object_selects_the_one_before(page, one_object):
    for tool in ("n", "x", "g"):
        if tool == "g":
            page.key("b")
            page.drag((30, 5), (34, 5))
        page.key(tool)
        if tool == "x":
            page.drag((37, 22), (53, 38))
        elif tool == "g":
            page.click_done(32, 5)
        page.wait_objects(2)
        page.tab.wait_for_selector("#objects li:last-child.selected")
        page.key_done("Control+z")
        page.wait_objects(1)
        page.wait_selected("object 1")
        assert not page.tab.is_visible("#empty")
    page.key("b")
    page.drag((10, 10), (20, 10))
    page.wait_objects(1)


@pytest.mark.slow
def test_page_reports_that_a_stroke_starts_an_object(page, session):
    assert "a new object" in page.tab.inner_text("#empty")
    page.drag((10, 10), (20, 10))
    assert not page.tab.is_visible("#empty")
    page.key_done("Control+z")
    page.wait_objects(0)
    assert page.tab.is_visible("#empty")
    for _ in range(2):
        editing.AddObject().run(session.document)
    page.wait_objects(2)
    page.key_done("Delete")
    page.wait_objects(1)
    assert not page.tab.is_visible("#empty")


@pytest.mark.slow
def test_list_updates_while_a_color_has_the_focus(page, document, one_object):
    page.tab.focus("#objects [type=color]")
    editing.AddObject().run(document)
    editing.ChangeObject(1, name="fish", color="#123456").run(document)
    page.wait_objects(2)
    page.tab.wait_for_selector("#objects .name >> text=fish")
    swatch = page.tab.locator("#objects [type=color]:focus")
    assert swatch.input_value() == "#123456"
    assert swatch.get_attribute("aria-label") == "Color of fish"
    editing.DeleteObject(1).run(document)
    page.wait_objects(1)


@pytest.mark.slow
def test_message_offers_undo_of_the_last_step_only(page, document, one_object):
    page.key_done("Delete")
    page.tab.focus(".toast >> text=Undo")
    page.key_done("Enter")
    page.tab.wait_for_selector("#view:focus")
    assert [*document.snapshot.objects] == [1]
    page.key_done("Delete")
    page.tab.wait_for_selector(".toast")
    editing.AddObject().run(document)
    page.tab.wait_for_selector(".toast", state="detached")


@pytest.mark.parametrize(("clicks", "keys"), [(1, ["F2"]), *slow((2, []))])
def test_typing_a_name_does_not_change_masks(page, document, clicks, keys, two_objects):
    page.tab.click("#objects .name >> text='object 1'", click_count=clicks)
    page.key(*keys)
    page.tab.wait_for_selector("#object-name:focus")
    editing.ChangeObject(2, color="#123456").run(document)  # as by another window
    page.wait_until(lambda: page.tab.input_value("#objects li:last-child [type=color]") == "#123456")
    page.tab.keyboard.type("Rem")
    page.key_done("Enter")
    assert document.snapshot.objects[1].name == "Rem"
    np.testing.assert_array_equal(page.labels(0), truth(0))
    page.key("F2")
    page.tab.keyboard.type("mistake")
    page.key("Escape")
    assert page.tab.input_value("#object-name") == "Rem"


def test_second_delete_keeps_the_other_objects(page, session, two_objects):
    page.key_done("Delete")
    page.wait_objects(1)
    page.key("Delete")
    assert page.tab.is_disabled("#delete")
    page.key("n")
    page.wait_objects(2)
    assert [*session.document.snapshot.objects] == [2, 3]


@pytest.mark.slow
def test_loaded_masks_name_who_lost_pixels(page, session, document, tmp_path):
    draw(session, 0, 1)
    editing.edit_mask(document, 0, 1, lambda mask: mask | (truth(0) == 2), "draw")
    before = page.labels(0)
    page.wait_objects(1)
    Image.fromarray(2 * (truth(0) == 2).astype(np.uint8)).save(tmp_path / "mask.png")
    page.tab.set_input_files("#load", tmp_path / "mask.png")
    count = (truth(0) == 2).sum()
    page.tab.wait_for_selector(f".toast >> text=The loaded masks took {count} pixels from object 1")
    np.testing.assert_array_equal(page.labels(0), truth(0))
    with page.done():
        page.tab.click(".toast:has-text('The loaded masks took') >> text=Undo")
    np.testing.assert_array_equal(page.labels(0), before)


def test_commands_entered_before_a_merge_dialog_are_dropped(page, two_objects):
    held = page.hold_requests(r"/frame/4\?video=[0-9a-f]+$")
    page.tab.fill("#frame", "4")
    page.tab.press("#frame", "Enter")
    for _ in range(2):
        page.tab.click("#merge")
    page.key("Delete")
    page.wait_until(lambda: held)
    held[0].continue_()
    page.tab.wait_for_selector("dialog[open]")
    page.wait_idle()
    page.settle()
    assert page.tab.locator("dialog[open]").count() == 1
    assert page.tab.locator("#objects li").count() == 2


def test_class_is_typed_for_the_object(page, document, one_object):
    page.tab.fill("#class", "fish")
    page.tab.press("#class", "Enter")
    page.wait_until(lambda: document.snapshot.state.classes == {"fish": 1})
    page.tab.wait_for_selector("#objects .class >> text=fish")
    assert page.tab.get_attribute("#classes option", "value") == "fish"


@pytest.mark.slow
def test_click_on_an_invisible_mask_keeps_the_selection(page, session, two_objects):
    page.key("1")
    page.tab.click("[name=hidden2]")
    page.wait_shown("object 1")
    page.key("c")
    page.tab.mouse.dblclick(*page.at(45, 30))
    page.wait_idle()
    assert page.tab.get_attribute("#objects [name=select2]", "aria-pressed") == "false"
    page.tab.focus("#view")
    page.key("w")
    page.move_cursor(45, 30)
    assert "object 2" not in page.tab.inner_text("#status")


@pytest.mark.slow
def test_delete_removes_the_object_of_the_focused_row(page, document, two_objects):
    page.key("1")
    page.tab.focus("#objects [name=select2]")
    page.key_done("Delete")
    assert [*document.snapshot.objects] == [1]
    page.tab.wait_for_selector("#objects [name=select1]:focus")
    page.key_done("Meta+Backspace")
    assert not document.snapshot.objects
    page.tab.wait_for_selector("#view:focus")
    page.key_done("n")
    page.tab.focus("#delete")
    page.key_done("Enter")
    page.tab.wait_for_selector("#view:focus")  # the button is disabled
    page.tab.set_viewport_size({"width": 800, "height": 690})
    page.tab.click("#panels")
    page.tab.focus("#add")
    page.key("Escape")
    page.tab.wait_for_selector("#view:focus")


@pytest.mark.slow
def test_redo_selects_the_object_that_was_selected(page, one_object):
    page.key_done("n")
    page.wait_selected("object 2")
    page.key_done("n")
    page.wait_selected("object 3")
    for key, name in (("z", 2), ("z", 1), ("y", 2), ("y", 3)):
        page.key_done(f"Control+{key}")
        page.wait_selected(f"object {name}")


def test_stroke_on_a_deleted_object_is_refused(page, document, one_object):
    page.press(10, 10)
    editing.DeleteObject(1).run(document)
    page.wait_objects(0)
    page.lift(20, 10)
    page.wait_status("object 1: no such object")
    assert not document.snapshot.objects
    page.drag((10, 30), (20, 30))
    assert page.labels(0)[30, 15] == 2


def test_name_goes_to_the_object_it_is_typed_for(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "segment")
    new_page.key("1", "x")
    new_page.wait_selected("object 1")
    new_page.stroke((37, 22), (53, 38))
    wire.wait_held()
    new_page.key("F2")
    new_page.tab.keyboard.type("Rem")
    wire.release()
    new_page.tab.wait_for_selector(".toast >> text=Created object 2")
    new_page.key_done("Enter")
    assert [item.name for item in session.document.snapshot.objects.values()] == ["Rem", "object 2"]


@pytest.mark.slow
def test_class_goes_to_the_object_it_is_typed_for(page, document, two_objects):
    page.key("1")
    page.wait_selected("object 1")
    page.tab.focus("#class")
    page.tab.keyboard.type("fish")
    box = page.tab.locator("#strips").bounding_box()
    page.tab.mouse.click(box["x"] + 50, box["y"] + 43)  # selects object 2 before the field loses the focus
    page.wait_until(lambda: document.snapshot.objects[1].class_name == "fish")
    page.wait_selected("object 2")
    assert document.snapshot.objects[2].class_name == ""
    assert page.tab.input_value("#class") == ""


def test_class_goes_to_all_objects_that_are_selected(page, document, two_objects):
    editing.AddObject().run(document)
    page.wait_objects(3)
    page.key("1")
    page.wait_selected("object 1")
    page.tab.click("[name=select3]", modifiers=["Control"])
    assert page.tab.locator("#objects .selected").count() == 2
    page.tab.fill("#class", "fish")
    page.tab.press("#class", "Enter")
    page.wait_until(lambda: document.snapshot.objects[3].class_name == "fish")
    assert [item.class_name for item in document.snapshot.objects.values()] == ["fish", "", "fish"]
    page.key("2")
    page.wait_selected("object 2")
    assert page.tab.locator("#objects .selected").count() == 1


@pytest.mark.parametrize("field", ["class", *slow("name")])
def test_refused_text_stays_in_its_field(context, served, field, monkeypatch):
    document = served.session.document
    draw(served.session, 0, 1)
    monkeypatch.setattr(Document, "append", Mock(side_effect=InputError("the disk is full")))
    page = Page(context, served.url)
    page.wait_objects(1)
    selector = "#object-name" if field == "name" else f"#{field}"
    page.tab.fill(selector, "fish")
    page.tab.press(selector, "Enter")
    page.wait_status("the disk is full")
    page.tab.wait_for_selector(".problem >> text=the disk is full")
    page.wait_idle()
    assert not page.may_leave()
    swatch = page.tab.locator("#objects [type=color]")
    color = swatch.input_value()
    swatch.fill("#123456")
    page.wait_until(lambda: swatch.input_value() == color)
    monkeypatch.undo()
    page.seek(3)
    page.seek(0)
    assert page.tab.input_value(selector) == "fish"
    page.tab.focus(selector)
    page.tab.press(selector, "End")
    page.tab.keyboard.type("es")
    page.tab.press(selector, "Enter")

    def read_field():
        item = document.snapshot.objects[1]
        return item.name if field == "name" else item.class_name

    page.wait_until(lambda: read_field() == "fishes")
    page.tab.wait_for_selector(".problem:not(:empty)", state="detached")
    page.tab.close()


@pytest.mark.parametrize(("texts", "stored"), [(["first", ""], ""), *slow((["first", "first"], "first"))])
def test_text_typed_before_the_last_is_stored_is_stored_too(new_page, session, texts, stored):
    draw(session, 0, 1)
    wire = Wire(new_page)
    new_page.wait_objects(1)
    wire.hold_sent("change_object")
    for text in texts:
        new_page.tab.fill("#class", text)
        new_page.tab.press("#class", "Enter")
    wire.send_held()
    new_page.wait_idle()
    assert session.document.snapshot.objects[1].class_name == stored
    assert len(wire.list_sent("change_object")) == len({*texts})


@pytest.mark.slow
def test_dropped_file_of_masks_is_loaded(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    content = [*(tmp_path / "masks.png").read_bytes()]
    for count, status in ((2, "one file"), (1, "Masks loaded on frame 0")):
        canceled = page.tab.evaluate(
            """([content, count]) => {
                const dataTransfer = new DataTransfer();
                for (let file = 0; file < count; file += 1) {
                    dataTransfer.items.add(new File([new Uint8Array(content)], `masks${file}.png`));
                }
                return ['dragover', 'drop'].map((kind) => !document.getElementById('view').dispatchEvent(
                    new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true })));
            }""",
            [content, count],
        )
        assert canceled == [True, True]
        page.wait_status(status)
    assert page.tab.evaluate(
        """() => document.getElementById('class').dispatchEvent(
            new DragEvent('drop', { dataTransfer: new DataTransfer(), bubbles: true, cancelable: true }))"""
    ), "the field gets a dropped text"
    np.testing.assert_array_equal(page.labels(0), truth(0))


@pytest.mark.slow
def test_file_cannot_be_dropped_behind_a_dialog(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    data = {"items": [], "files": [str(tmp_path / "masks.png")], "dragOperationsMask": 1}
    page.tab.evaluate("window.drops = 0; document.addEventListener('drop', () => { drops += 1; })")

    def drop():
        x, y = page.at(10, 10)
        for kind in ("dragEnter", "dragOver", "drop"):
            page.devtools.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
        return page.tab.evaluate("drops")

    page.key("?")
    assert drop() == 0
    page.key("Escape")
    assert drop() == 1
    page.wait_status("Masks loaded on frame 0")


@pytest.mark.slow
def test_keys_act_on_an_object_before_it_is_stored(new_page, document):
    wire = Wire(new_page, "paint")
    new_page.stroke((10, 10), (20, 10))
    wire.wait_held()
    document.listeners.clear()  # the page learns of the object by the answer
    new_page.key("j", "i", "F2")
    new_page.wait_status("The new object is being saved")
    with new_page.done():
        wire.release()
    new_page.wait_until(lambda: document.snapshot.objects[1].locked)
    new_page.tab.wait_for_selector("[name=hidden1][aria-pressed=true]")


@pytest.mark.slow
def test_second_j_before_the_answer_unlocks_again(new_page, session, document):
    draw(session, 0, 1)
    wire = Wire(new_page, "change_object")
    document.listeners.clear()  # the page learns of changes by answers
    new_page.key("1", "j", "j")
    new_page.tab.wait_for_selector("#objects [name=locked1][aria-pressed=false]")
    for _ in range(2):
        wire.release()
    new_page.wait_idle()
    assert [message["locked"] for message in wire.list_sent("change_object")] == [True, False]
    assert not document.snapshot.objects[1].locked
