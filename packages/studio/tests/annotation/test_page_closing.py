"""The page in a browser: what is stored when a page closes or is hidden."""

from __future__ import annotations

import functools
import json
import threading

import numpy as np
import pytest
from PIL import Image

from aotlab_studio.document.editing import Paint
from aotlab_studio.document.snapshot import Snapshot
from aotlab_testing.browser import needs_browser
from aotlab_testing.marks import slow
from aotlab_testing.processes import wait_for_event, wait_until
from studio.tests.annotation.browser import Page, Wire
from studio.tests.annotation.clips import truth
from studio.tests.annotation.sessions import draw, list_titles, run_job

pytestmark = needs_browser

LATE_CLOSE = """() => Object.defineProperty(HTMLDialogElement.prototype, 'onclose', {
    set(run) { this.addEventListener('close', (event) => setTimeout(run, 2000, event)); }
})"""
"""Lets dialogs say late that they are closed, as on a busy machine."""


MOVE = """([x, y]) => {
    for (let step = 0; step < 3000; step += 1) {
        const values = { pointerId: 1, clientX: x + 100.37 * (step % 2), clientY: y };
        document.getElementById('view').dispatchEvent(new PointerEvent('pointermove', values));
    }
}"""
"""Moves the mouse to and fro 3000 times; the mouse of the browser would take a minute."""


def test_unacknowledged_stroke_asks_before_the_tab_closes(new_page):
    wire = Wire(new_page, "paint")
    for field in ("#last", "#frame", "#view"):  # nothing is typed
        new_page.tab.evaluate("field => document.querySelector(field).focus()", field)
        assert new_page.may_leave()
    new_page.stroke((10, 10), (20, 10))
    wire.wait_held()
    assert not new_page.may_leave()
    new_page.tab.wait_for_selector("main >> text=Saving…")
    with new_page.done():
        wire.release()
    assert new_page.may_leave()
    assert not new_page.tab.is_visible("main >> text=Saving…")


@pytest.mark.slow
def test_running_upload_asks_before_the_tab_closes(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    held = page.hold_requests("/masks/")
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.wait_until(lambda: held)
    assert not page.may_leave()
    with page.done():
        held[0].continue_()
    page.wait_status("Masks loaded on frame 0")


def test_edits_before_a_close_are_stored_once(context, served, monkeypatch):
    paint, closed = Paint.run, threading.Event()

    @functools.wraps(paint)
    def slow(action, document):
        wait_for_event(closed)
        return paint(action, document)

    monkeypatch.setattr(Paint, "run", slow)
    page = Page(context, served.url)
    page.tab.evaluate(LATE_CLOSE)
    page.key("b")
    for column in range(8, 56, 8):
        page.stroke((column, 10), (column, 30))
    page.key("m")
    page.leave()
    closed.set()
    document = served.session.document
    wait_until(lambda: document.snapshot.drawn_masks(0) == {1: ""})
    served.close()  # after all requests
    assert document.snapshot.drawn_masks(0) == {1: ""}
    assert (len(document.log.steps), [*document.snapshot.objects]) == (7, [1])
    before = Snapshot(document.log, 6, document.log.state(6), document.masks, document.tracked_masks)
    np.testing.assert_array_equal(before.labels(0)[20, 8:56:8], 1)


@pytest.mark.parametrize("field", ["class", *slow("name")])
def test_text_typed_before_a_close_is_stored(context, served, field):
    document = served.session.document
    draw(served.session, 0, 1)
    page = Page(context, served.url)
    page.wait_objects(1)
    if field == "name":
        page.key("F2")
        page.tab.keyboard.type("fish")
    else:
        page.tab.focus(f"#{field}")
        page.tab.keyboard.type("fish")
    page.leave()

    def is_stored():
        item = document.snapshot.objects[1]
        return (item.name if field == "name" else item.class_name) == "fish"

    wait_until(is_stored)


def test_stroke_on_the_object_of_a_box_waits_for_it_at_a_close(context, served):
    session, begun, released = served.session, threading.Event(), threading.Event()
    segment, document = session.prompter.segmenter, session.document

    def wait_and_segment(*values):
        begun.set()
        wait_for_event(released)
        return segment(*values)

    session.prompter.segmenter = wait_and_segment
    page = Page(context, served.url)
    rows, columns = np.nonzero(truth(0) == 1)
    page.key("x")
    page.stroke((columns.min() - 1, rows.min() - 1), (columns.max() + 2, rows.max() + 2))
    page.wait_until(begun.is_set)
    page.key("b")
    page.stroke((5, 38), (15, 38))
    page.leave()
    released.set()
    wait_until(lambda: document.snapshot.labels(0)[38, 10])
    served.close()  # after all requests
    assert [*document.snapshot.objects] == [1]
    np.testing.assert_array_equal(document.snapshot.labels(0)[[10, 38], [10, 10]], 1)


@pytest.mark.parametrize(("key", "title"), [("Shift+Delete", "clear tracking"), *slow(("q", "mark as checked"))])
def test_command_after_a_stroke_is_stored_at_a_close(context, served, key, title):
    document = served.session.document
    draw(served.session, 0, 1)
    run_job(served.session, 0)
    page = Page(context, served.url, opened=False)
    wire = Wire(page, "paint")
    page.seek(4)
    page.stroke((35, 35), (40, 35))
    wire.wait_held()
    page.key(key)
    page.leave()
    wait_until(lambda: list_titles(document)[0] == title)


def test_hidden_page_sends_strokes_on_their_way(new_page, document):
    wire = Wire(new_page)
    wire.send = lambda server, text: None
    new_page.stroke((40, 10), (40, 30))
    new_page.tab.focus("#frame")
    change = """(hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    new_page.tab.evaluate(change, True)
    new_page.wait_until(lambda: len(document.log.steps) == 1)
    assert document.snapshot.labels(0)[20, 40] == 1
    new_page.tab.evaluate(change, False)
    assert new_page.tab.evaluate("document.activeElement.id") == "frame"


@pytest.mark.slow
def test_undo_overtaken_by_a_stroke_at_a_close_is_refused(new_page):
    wire = Wire(new_page)
    new_page.drag((10, 10), (20, 10))
    wire.hold_sent("undo")
    new_page.key("Control+z")
    wire.wait_unsent()
    new_page.stroke((10, 30), (20, 30))
    with new_page.tab.expect_response("**/edits?*"):
        new_page.tab.evaluate("dispatchEvent(new Event('pagehide'))")
    wire.send_held()
    new_page.wait_status("something else was done since")
    new_page.wait_idle()
    assert [bool(new_page.labels(0)[y, 15]) for y in (10, 30)] == [True, True]


@pytest.mark.slow
def test_long_stroke_gets_coarser(new_page, document):
    wire = Wire(new_page)
    new_page.press(10, 10)
    for _ in range(7):
        new_page.tab.evaluate(MOVE, new_page.at(10, 10))
    new_page.lift(10, 40)
    new_page.wait_until(lambda: len(document.log.steps) == 1)
    assert len(json.dumps(wire.list_sent("paint")[0])) < 30000  # two, on a new object, outlive a close
    np.testing.assert_array_equal(document.snapshot.labels(0)[20:40, 10], 1)


@pytest.mark.slow
def test_oldest_strokes_of_a_new_object_outlive_a_close(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((10, 30), (20, 30))
    wire.wait_held()
    for _ in range(5):
        new_page.press(10, 10)
        new_page.tab.evaluate(MOVE, new_page.at(10, 10))
        new_page.tab.mouse.up()
    new_page.tab.evaluate("""() => {
        window.parts = [];
        window.fetch = (_, { body, keepalive }) => {
            parts.push([JSON.parse(body), body.length, keepalive]);
            return new Promise(() => {});
        };
    }""")
    assert not new_page.may_leave()
    new_page.tab.evaluate("dispatchEvent(new Event('pagehide'))")
    parts = new_page.tab.evaluate("parts")
    assert [keepalive for *_, keepalive in parts] == [False, True, False]  # the limit is left to the second request
    before, kept, everything = (messages for messages, *_ in parts)
    assert before == everything
    assert len(everything) == 6
    assert kept == everything[: len(kept)]
    assert len(kept) > 1
    assert parts[1][1] < 60000 < 65536 < parts[2][1]


@pytest.mark.slow
def test_strokes_in_both_requests_of_a_close_are_stored_once(new_page, document):
    wire = Wire(new_page)
    wire.hold_sent("paint")
    for row in range(5, 35, 5):
        new_page.press(10, row)
        new_page.tab.evaluate(MOVE, new_page.at(10, row))
        new_page.tab.mouse.up()
    wire.wait_unsent()
    with new_page.tab.expect_response(lambda answer: len(answer.request.post_data or "") > 65536):
        new_page.tab.evaluate("dispatchEvent(new Event('pagehide'))")
    assert [step.title for step in document.log.steps.values()] == ["brush object 1"] * 6
    assert [*document.snapshot.objects] == [1]


@pytest.mark.slow
def test_long_strokes_after_a_removed_object_outlive_a_close(new_page, session):
    draw(session, 0, 1)
    wire, document = Wire(new_page), session.document
    new_page.wait_objects(1)
    wire.hold_sent("mark_absent")
    new_page.key("m")
    wire.wait_unsent()
    for key in ("Delete", "n"):
        new_page.press(10, 10)
        new_page.tab.evaluate(MOVE, new_page.at(10, 10))
        new_page.tab.mouse.up()
        new_page.key(key)
    new_page.stroke((5, 35), (20, 35))
    with new_page.tab.expect_response("**/edits?*"):
        new_page.tab.evaluate("dispatchEvent(new Event('pagehide'))")
    wait_until(lambda: [step.action for step in document.log.steps.values()].count("paint") == 3)
    assert [*document.snapshot.objects] == [2, 3]


@pytest.mark.parametrize(("buttons", "object_id"), [(["#delete"], 3), *slow((["#merge", "dialog[open] .main"], 2))])
def test_stroke_after_a_removed_object_is_stored_at_a_close(context, served, buttons, object_id):
    draw(served.session, 0, 1)
    document, page = served.session.document, Page(context, served.url, opened=False)
    wire = Wire(page, "add_object")
    page.key("n")
    wire.wait_held()
    page.wait_objects(2)
    page.stroke((5, 5), (20, 5))
    page.key("1")
    page.wait_selected("object 1")
    for button in buttons:
        page.tab.click(button)
    page.stroke((5, 35), (20, 35))
    page.leave()
    wait_until(lambda: document.snapshot.labels(0)[35, 15])
    assert document.snapshot.labels(0)[5, 15] == 2
    assert document.snapshot.labels(0)[35, 15] == object_id
    assert 1 not in document.snapshot.objects
