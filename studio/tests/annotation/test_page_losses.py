"""Strokes, refusals, selections and answers that a slow connection or a closed page could lose."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from aotlab_studio.document import editing
from aotlab_studio.session import actions
from studio.tests.annotation.browser import Page, Wire, needs_browser
from studio.tests.annotation.clips import draw, list_titles, truth, wait_until
from tests.marks import slow

pytestmark = needs_browser

MOVE = """([x, y]) => {
    for (let step = 0; step < 3000; step += 1) {
        const values = { pointerId: 1, clientX: x + 100.37 * (step % 2), clientY: y };
        document.getElementById('view').dispatchEvent(new PointerEvent('pointermove', values));
    }
}"""
"""Moves the mouse to and fro 3000 times; the mouse of the browser would take a minute."""


def test_hidden_page_sends_strokes_that_did_not_arrive(new_page, session):
    wire = Wire(new_page)
    wire.send = lambda server, text: None
    new_page.stroke((40, 10), (40, 30))
    new_page.tab.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { value: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    new_page.until(lambda: len(session.document.log.entries) == 1)
    assert session.document.snapshot.labels(0)[20, 40] == 1


def test_undo_is_not_overtaken_if_the_user_stays(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((10, 10), (20, 10))
    new_page.until(lambda: wire.held)
    new_page.key("Control+z")
    new_page.stroke((10, 30), (20, 30))
    with new_page.tab.expect_response("**/edits"):
        assert not new_page.may_leave()
    wire.actions = ()
    wire.release()
    new_page.until(lambda: len(wire.list_sent("paint")) == 2 and len(wire.answers) == len(wire.sent))
    new_page.wait_idle()
    assert [bool(new_page.labels(0)[y, 15]) for y in (10, 30)] == [False, True]


def test_undo_overtaken_by_a_stroke_at_a_close_is_refused(new_page):
    wire = Wire(new_page)
    new_page.drag((10, 10), (20, 10))
    send, held = wire.send, []
    wire.send = lambda server, text: held.append((server, text)) if "undo" in text else send(server, text)
    new_page.key("Control+z")
    new_page.until(lambda: held)
    new_page.stroke((10, 30), (20, 30))
    with new_page.tab.expect_response("**/edits"):
        new_page.tab.evaluate("dispatchEvent(new Event('pagehide'))")
    send(*held.pop())
    new_page.status("something else was done since")
    new_page.wait_idle()
    assert [bool(new_page.labels(0)[y, 15]) for y in (10, 30)] == [True, True]


@pytest.mark.parametrize(("texts", "stored"), [(["first", ""], {}), (["first", "first"], {0: "first"})])
def test_text_typed_while_another_is_on_its_way_is_stored(new_page, session, texts, stored):
    wire = Wire(new_page)
    send, held = wire.send, []
    wire.send = lambda server, text: held.append((server, text)) if "set_note" in text else send(server, text)
    for text in texts:
        new_page.tab.fill("#note", text)
        new_page.tab.press("#note", "Enter")
    new_page.until(lambda: held)
    wire.send = send
    send(*held.pop())
    new_page.wait_idle()
    assert session.document.snapshot.state.notes == stored
    assert len(wire.list_sent("set_note")) == len({*texts})


def test_oldest_of_long_strokes_outlive_a_close(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "paint")
    new_page.key("1")
    new_page.selected("object 1")
    new_page.stroke((10, 30), (20, 30))
    new_page.until(lambda: wire.held)
    for _ in range(3):
        new_page.tab.mouse.move(*new_page.at(10, 10))
        new_page.tab.mouse.down()
        new_page.tab.evaluate(MOVE, new_page.at(10, 10))
        new_page.tab.mouse.up()
    new_page.tab.evaluate("""() => {
        window.parts = [];
        window.fetch = async (_, { body, keepalive }) => { parts.push([JSON.parse(body), body.length, keepalive]); };
        dispatchEvent(new Event('pagehide'));
    }""")
    parts = new_page.tab.evaluate("parts")
    assert sum(size for _, size, _ in parts) > 65536
    assert [keepalive for *_, keepalive in parts] == [True, False]
    assert len(parts[0][0]) > 1
    assert parts[0][1] < 60000
    ids = [message["id"] for messages, *_ in parts for message in messages]
    assert ids == sorted(ids)
    assert len(ids) == 4


def test_delete_removes_the_object_of_a_stroke_on_its_way(new_page, session):
    wire = Wire(new_page, "paint")
    new_page.stroke((5, 5), (20, 5))
    new_page.key("Delete")
    new_page.stroke((5, 35), (20, 35))
    for _ in range(2):
        new_page.until(lambda: wire.held)
        wire.release()
    new_page.until(lambda: new_page.tab.get_attribute("#view", "aria-busy") == "false")
    assert [*session.document.snapshot.objects] == [2]
    assert not new_page.labels(0)[5].any()
    assert new_page.labels(0)[35, 15] == 2


@pytest.mark.parametrize("action", ["delete", *slow("merge")])
def test_stroke_after_a_removed_object_is_stored_at_a_close(context, served, action):
    draw(served.session, 0, 1)
    document, page = served.session.document, Page(context, served.url, opened=False)
    wire = Wire(page, "add_object")
    page.key("n")
    page.until(lambda: wire.held)
    page.objects(2)
    page.stroke((5, 5), (20, 5))
    page.key("1")
    page.selected("object 1")
    page.tab.click(f"#{action}")
    if action == "merge":
        page.tab.click("dialog[open] .main")
    page.stroke((5, 35), (20, 35))
    page.leave()
    wait_until(lambda: document.snapshot.labels(0)[35, 15])
    assert document.snapshot.labels(0)[5, 15] == 2
    assert document.snapshot.labels(0)[35, 15] == (3 if action == "delete" else 2)
    assert 1 not in document.snapshot.objects


@pytest.mark.parametrize("later", ["n", *slow("Control+z", "t", "q")])
def test_refusal_stays_after_the_next_answer(new_page, session, checks, later):
    draw(session, 0, 1)
    editing.add_object(session.document)
    editing.change_object(session.document, 1, locked=True)
    wire = Wire(new_page, "paint")
    new_page.objects(2)
    new_page.key("1")
    new_page.stroke((10, 10), (20, 10))
    new_page.until(lambda: wire.held)
    new_page.key(later)
    wire.release()
    new_page.status("locked")
    action = {"n": "add_object", "Control+z": "undo", "t": "track", "q": "set_checked"}[later]
    new_page.until(lambda: wire.list_sent(action) and len(wire.answers) == len(wire.sent))
    new_page.wait_idle()
    new_page.settle()
    assert "locked" in new_page.tab.inner_text("#status.error")


def test_range_typed_before_a_close_is_stored(context, served):
    page = Page(context, served.url)
    page.tab.focus("#last")
    page.tab.keyboard.type("5")
    page.leave()
    wait_until(lambda: served.session.document.snapshot.state.ranges.get("track") == (0, 5))


def test_late_undo_leaves_a_frame_that_the_user_sought(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((8, 10), (12, 10))
    new_page.until(lambda: wire.held)
    new_page.key("Control+z")
    new_page.seek(8)
    wire.release()
    new_page.status("undone")
    new_page.wait_idle()
    new_page.settle()
    assert new_page.tab.get_attribute("#strips", "aria-valuenow") == "8"


def test_restored_polygon_of_a_new_object_selects_it(page):
    page.key("p")
    page.click((10, 10), (30, 10), (30, 30))
    page.key("b")
    page.tab.click(".toast >> text=Restore")
    page.settle()
    page.key_done("Control+Enter")
    page.objects(1)
    page.settle()
    assert page.tab.locator("#objects [aria-pressed=true].select").count() == 1


@pytest.mark.parametrize(("key", "code", "tool"), [("e", "KeyD", "eraser"), *slow(("o", "KeyS", "reassign"))])
def test_letters_of_dvorak_choose_tools(page, key, code, tool):
    page.tab.evaluate(
        "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true }))",
        [key, code],
    )
    assert page.tool() == tool


def test_fourth_message_leaves_the_one_that_restores(page):
    page.key("p")
    page.click((10, 10), (30, 10), (30, 30))
    page.key("b")
    page.tab.evaluate("""async () => {
        const { showToast } = await import('./page/dom.js');
        for (const text of ['one', 'two', 'three']) showToast(text);
    }""")
    assert page.tab.locator(".toast span").all_inner_texts() == ["Polygon dropped", "two", "three"]


def test_redo_selects_the_object_that_was_selected(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.key_done("n")
    page.selected("object 2")
    page.key_done("n")
    page.selected("object 3")
    for key, name in (("z", 2), ("z", 1), ("y", 2), ("y", 3)):
        page.key_done(f"Control+{key}")
        page.selected(f"object {name}")


def test_refused_version_says_so_in_its_dialog(page, session):
    draw(session, 0, 1)
    page.tab.click("#open-versions")
    page.tab.fill("#version-title", "first")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(actions.ACTIONS, "save_version")
        page.tab.press("#version-title", "Enter")
        page.tab.wait_for_selector("#versions-dialog [role=alert] >> text=no such action")
    assert page.tab.input_value("#version-title") == "first"
    page.tab.press("#version-title", "Enter")
    page.tab.wait_for_selector("#versions li >> text=first")
    assert not page.tab.inner_text("#versions-dialog [role=alert]")


def test_versions_that_cannot_be_listed_open_no_dialog(new_page, monkeypatch):
    wire = Wire(new_page)
    monkeypatch.delitem(actions.ACTIONS, "list_versions")
    new_page.tab.click("#open-versions")
    new_page.status("no such action")
    new_page.until(lambda: len(wire.answers) == len(wire.sent))
    new_page.settle()
    assert not new_page.tab.is_visible("#versions-dialog")


@pytest.mark.parametrize("way", ["double click", *slow("Enter")])
def test_equal_corners_make_no_polygon(page, way):
    page.key("p")
    page.tab.mouse.click(*page.at(10, 10))
    if way == "double click":
        page.tab.mouse.dblclick(*page.at(30, 10))
    else:
        page.tab.focus("#view")
        page.key("w", "Enter", "Enter")
    page.settle()
    assert not page.labels(0).any()
    page.tab.mouse.click(*page.at(30, 30))
    page.key_done("Control+Enter")
    assert (page.labels(0) == 1)[14, 22:28].all()


def test_polygon_refused_after_a_seek_can_be_restored(new_page, session):
    draw(session, 0, 1)
    editing.change_object(session.document, 1, locked=True)
    wire = Wire(new_page, "fill_polygon")
    new_page.objects(1)
    new_page.key("p")
    new_page.click((10, 10), (30, 10), (30, 30))
    new_page.key("Enter")
    new_page.until(lambda: wire.held)
    new_page.seek(3)
    wire.release()
    new_page.status("locked")
    wire.actions = ()
    new_page.key_done("j")
    new_page.tab.click(".toast >> text=Restore")
    new_page.wait_frame(0)
    new_page.key_done("Control+Enter")
    assert (new_page.labels(0) == 1)[14, 20:28].all()


def test_undo_waits_for_loaded_masks(page, session, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    page.drag((10, 30), (20, 30))
    held = []
    page.answer(re.compile("/masks/"), lambda route: held.append(route))
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.until(lambda: held)
    page.key("Control+z")
    page.settle()
    held.pop().continue_()
    page.status("undone")
    page.wait_idle()
    assert page.labels(0)[30, 15] == 1
    assert list_titles(session.document)[0] == "brush"


def test_sixty_seconds_are_a_minute(page, session):
    session.document.frames.rate = Fraction(1000, 59996)
    page.open()
    page.seek(1)
    assert "1:00.00" in page.tab.inner_text("#time")


def test_name_cancels_no_prompt(new_page, session):
    draw(session, 0, 1)
    session.document.shared = True
    wire = Wire(new_page, "suggest")
    new_page.objects(1)
    new_page.tab.fill("#person", "Ann")
    new_page.tab.press("#person", "Enter")
    new_page.until(lambda: wire.list_sent("describe")[1:])
    new_page.wait_idle()
    socket = wire.socket
    new_page.key("1", "x")
    new_page.selected("object 1")
    new_page.stroke((37, 22), (53, 38))
    new_page.until(lambda: wire.held)
    new_page.tab.fill("#person", "Bob")
    new_page.tab.press("#person", "Enter")
    new_page.until(lambda: wire.list_sent("describe")[2:])
    socket.send(wire.held.pop())
    new_page.selected("object 2")
    new_page.key_done("m")
    assert [entry.author for entry in session.document.log.entries.values()][-2:] == ["Ann", "Bob"]


def test_transport_of_a_low_window_shows_that_there_is_more(idle_page):
    idle_page.tab.set_viewport_size({"width": 640, "height": 345})
    style = "getComputedStyle(document.querySelector('.transport')).maskImage"
    assert "gradient" in idle_page.tab.evaluate(style)
    idle_page.tab.evaluate("document.querySelector('.transport').scrollLeft = 1e6")
    bar, last = (idle_page.tab.locator(name).bounding_box() for name in (".transport", "#zoom-out"))
    assert last["x"] + last["width"] <= bar["x"] + bar["width"] - 24
