"""The page while answers of the server are late, out of order or missing."""

from __future__ import annotations

import functools
import json
import re
import threading
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.events import DocumentEvent, FrameEvent
from aotlab_studio.files import encode_json
from aotlab_studio.review.checks import Check
from aotlab_studio.session import actions
from studio.tests.annotation.browser import Page, Wire, choose_status, hold_first_answer, needs_browser
from studio.tests.annotation.clips import (
    draw,
    hold,
    hold_review,
    list_titles,
    refresh_review,
    set_mask,
    start_job,
    truth,
    wait_until,
)
from tests.marks import slow

pytestmark = needs_browser

JOB = {
    "background": False, "status": "running", "frame": 3, "done": 3, "total": 10, "speed": 5.0, "remaining": 1.0,
    "overwritten_pixels": 0, "problem": None,
}  # fmt: skip
LATE_CLOSE = """() => Object.defineProperty(HTMLDialogElement.prototype, 'onclose', {
    set(run) { this.addEventListener('close', (event) => setTimeout(run, 2000, event)); }
})"""
"""Lets dialogs say late that they are closed, as on a busy machine."""


def test_stroke_begun_before_the_followed_frame_is_kept(page, session):
    draw(session, 0, 1)
    tracker, held = hold(session, 4), []
    page.objects(1)
    page.answer(re.compile(r"/frame/4\?video=[0-9a-f]+$"), lambda route: held.append(route))
    job = start_job(session, 0)
    page.wait_frame(3)
    tracker.allow(1)
    page.until(lambda: held)
    page.tab.mouse.move(*page.at(40, 5))
    page.tab.mouse.down()
    for route in held:
        route.continue_()
    page.tab.wait_for_function(
        "() => performance.getEntriesByType('resource').some(({ name }) => /frame.4.video=[^&]*$/.test(name))"
    )
    page.settle()
    with page.done():
        page.tab.mouse.move(*page.at(50, 5), steps=3)
        page.tab.mouse.up()
    job.stop()
    tracker.allow()
    assert [page.labels(frame)[5, 45] for frame in (3, 4)] == [1, 0]


def test_stroke_right_after_undo_is_kept(page):
    held = []
    page.key("b")
    page.drag((40, 5), (50, 5))
    page.answer(re.compile(r"/labels/0\?"), lambda route: held.append(route))
    with page.done():
        page.key("Control+z")
        page.until(lambda: held)
        held.pop().continue_()
    page.stroke((10, 35), (20, 35))
    page.until(lambda: held)
    with page.done():
        held.pop().continue_()
    assert [bool(page.labels(0)[y, x]) for x, y in ((45, 5), (15, 35))] == [False, True]


def test_masks_that_change_while_they_load_are_loaded_again(page, session):
    held, answer = hold_first_answer()
    page.answer(re.compile(r"/labels/0\?"), answer)
    draw(session, 0, 1)
    page.until(lambda: held)
    draw(session, 0, 2)
    page.objects(2)
    route, response = held[0]
    route.fulfill(response=response)
    page.shows("object 1", "object 2")


def test_refused_polygon_can_be_sent_again(page, session):
    draw(session, 0, 1)
    editing.change_object(session.document, 1, locked=True)
    page.tab.wait_for_selector("[aria-label='Lock object 1'][aria-pressed=true]")
    page.key("p")
    page.click((10, 10), (30, 10), (30, 30))
    page.key_done("Enter")
    page.status("locked")
    page.key_done("j")
    page.key_done("Enter")
    assert (page.labels(0) == 1)[14, 20:28].all()


def test_pending_polygon_is_sent_once(new_page):
    wire = Wire(new_page, "fill_polygon")
    new_page.key("p")
    new_page.click((10, 10), (30, 10), (30, 30))
    new_page.key("Enter")
    new_page.until(lambda: wire.held)
    new_page.key("Enter")
    new_page.tab.mouse.click(*new_page.at(50, 30))
    with new_page.done():
        wire.release()
    new_page.tab.mouse.click(*new_page.at(50, 35))
    new_page.tab.mouse.click(*new_page.at(40, 35))
    with new_page.done():
        new_page.key("Enter")
        new_page.until(lambda: wire.held)
        wire.release()
    assert [len(message["points"]) for message in wire.list_sent("fill_polygon")] == [3, 3]
    assert new_page.labels(0)[33, 48] == 1


def test_enter_in_a_dialog_presses_its_main_button(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.click("#open-versions")
    page.tab.fill("#version-title", "first")
    page.tab.press("#version-title", "Enter")
    page.tab.wait_for_selector("#versions li:has-text('first')")
    page.key("Escape", "Shift+E")
    page.tab.fill("#export-last", "3")
    page.tab.press("#export-last", "Enter")
    page.tab.wait_for_selector("#download:not([hidden])")


def test_name_goes_to_the_object_it_is_typed_for(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "suggest")
    new_page.key("1", "x")
    new_page.selected("object 1")
    new_page.stroke((37, 22), (53, 38))
    new_page.until(lambda: wire.held)
    new_page.key("F2")
    new_page.tab.keyboard.type("Rem")
    wire.release()
    new_page.tab.wait_for_selector(".toast >> text=Created object 2")
    new_page.key_done("Enter")
    assert [item.name for item in session.document.snapshot.objects.values()] == ["Rem", "object 2"]


def test_class_goes_to_the_object_it_is_typed_for(page, session):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.key("1")
    page.selected("object 1")
    page.tab.focus("#class")
    page.tab.keyboard.type("fish")
    box = page.tab.locator("#strips").bounding_box()
    page.tab.mouse.click(box["x"] + 50, box["y"] + 43)  # selects object 2 before the field loses the focus
    page.until(lambda: session.document.snapshot.objects[1].class_name == "fish")
    page.selected("object 2")
    assert session.document.snapshot.objects[2].class_name == ""
    assert page.tab.input_value("#class") == ""


def send_job(wire, **changes):
    wire.socket.send(json.dumps({"event": "job", "job": {**JOB, **changes}}))


def test_tracking_requests_no_files_of_the_page(new_page):
    wire = Wire(new_page)
    new_page.requests.clear()
    for done in range(1, 51):
        send_job(wire, done=done, total=60)
    new_page.tab.wait_for_selector("#job-text >> text=50 of 60")
    new_page.settle()
    assert not [url for url in new_page.requests if "/page/" in url]


def test_live_review_requests_checks_of_changed_frames_only(new_page, session, checks):
    draw(session, 0, 1)
    checks.append(Check(7, 1, "lost", 1.0))
    wire = Wire(new_page)
    new_page.tab.wait_for_function("() => document.querySelector('#review img')?.naturalWidth === 60")
    new_page.settle()
    new_page.requests.clear()
    strips, reviews = (len(wire.list_sent(action)) for action in ("timeline", "review"))

    def has_refreshed():
        send_job(wire)
        return len(wire.list_sent("review")) >= reviews + 2

    new_page.until(has_refreshed)
    new_page.settle()
    assert len(wire.list_sent("timeline")) == strips
    assert not [url for url in new_page.requests if "/frame/7?" in url]
    # in one call: a late review may replace the entry between two
    new_page.tab.evaluate("document.querySelector('#review li').scrollIntoView()")
    session.document.emit(FrameEvent(7, session.document.revision + 1, {1: "-"}))
    new_page.until(lambda: any("/frame/7?" in url for url in new_page.requests))


def test_review_grows_while_tracking_runs(new_page, session, checks):
    draw(session, 0, 1)
    wire = Wire(new_page)
    new_page.until(lambda: wire.list_sent("review") and len(wire.answers) == len(wire.sent))
    checks.append(Check(7, 1, "jump", 0.9))

    def is_listed():
        send_job(wire)
        return new_page.tab.query_selector("#review li")

    new_page.until(is_listed)
    assert new_page.tab.is_visible("#job")


def test_jitter_of_a_click_makes_no_box_when_zoomed_out(page, session):
    prompts = []
    session.segmenter = lambda frame, asked: (prompts.append(asked[1]), np.ones(frame.shape[:2], np.uint16))[
        1
    ]
    page.key("x")
    page.key(*["-"] * 20)
    x, y = page.at(30, 20)
    with page.done():
        page.tab.mouse.move(x, y)
        page.tab.mouse.down()
        page.tab.mouse.move(x + 2, y + 2)
        page.tab.mouse.up()
    assert [prompt.box for prompt in prompts] == [None]


def test_playback_stops_at_a_broken_frame(page):
    page.answer(re.compile("/frame/3"), lambda route: route.fulfill(status=404, body="broken"))
    page.key("Space")
    page.status("broken")
    page.tab.wait_for_selector("#play[aria-label=Play]")
    page.wait_frame(2)


def test_tracking_starts_at_the_frame_of_the_key(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((8, 8), (12, 12))
    new_page.key("t")
    new_page.seek(3)
    new_page.until(lambda: wire.held)
    wire.release()
    new_page.until(lambda: wire.list_sent("track"))
    assert wire.list_sent("track")[0]["frame"] == 0


def test_seek_stops_playback(idle_page):
    label = idle_page.tab.evaluate("""() => {
        document.getElementById('play').click();
        const field = document.getElementById('frame');
        field.value = '7';
        field.dispatchEvent(new Event('change'));
        return document.getElementById('play').ariaLabel;
    }""")
    assert label == "Play"
    idle_page.wait_frame(7)


@pytest.mark.parametrize("key", ["Control+z", *slow("Control+y", "q")])
@pytest.mark.parametrize("action", ["seek", "draw"])
def test_late_answer_moves_no_frame(new_page, session, checks, key, action):
    draw(session, 0, 1)
    if key == "Control+y":
        session.document.undo()
    checks.extend([Check(frame, 1, "lost", 1.0) for frame in (3, 7)])
    wire = Wire(new_page, "undo", "redo", "set_checked")
    new_page.tab.wait_for_selector("#review li")
    new_page.seek(3)
    new_page.key(key)
    new_page.until(lambda: wire.held)
    if action == "seek":
        new_page.seek(5)
        with new_page.done():
            wire.release()
    else:
        new_page.tab.mouse.move(*new_page.at(40, 5))
        new_page.tab.mouse.down()
        wire.release()
        new_page.wait_idle()
        with new_page.done():
            new_page.tab.mouse.move(*new_page.at(50, 5), steps=3)
            new_page.tab.mouse.up()
        assert new_page.labels(3)[5, 45]
    new_page.settle()
    new_page.wait_frame(5 if action == "seek" else 3)


def test_masks_load_on_the_frame_and_object_of_the_choice(new_page, session, tmp_path):
    mask = (truth(0) == 1).astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    wire = Wire(new_page, "paint")
    new_page.stroke((40, 30), (45, 30))
    new_page.until(lambda: wire.held)
    new_page.tab.set_input_files("#load", tmp_path / "mask.png")
    new_page.status("Loading masks")
    draw(session, 6, 2)
    new_page.objects(2)
    new_page.key("2")
    new_page.selected("object 2")
    new_page.seek(4)
    wire.release()
    new_page.status("Masks loaded on frame 0")
    new_page.settle()
    new_page.wait_frame(4)
    assert (new_page.labels(0) == (truth(0) == 1)).all()


def test_running_upload_asks_before_the_tab_closes(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    held = []
    page.answer(re.compile("/masks/"), lambda route: held.append(route))
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.until(lambda: held)
    assert not page.may_leave()
    with page.done():
        held[0].continue_()
    page.status("Masks loaded on frame 0")


def test_undo_removes_the_stroke_before_it(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((10, 10), (20, 10))
    new_page.until(lambda: wire.held)
    new_page.key("Control+z")
    new_page.stroke((10, 30), (20, 30))
    wire.actions = ()
    wire.release()
    new_page.until(lambda: len(wire.list_sent("paint")) == 2 and len(wire.answers) == len(wire.sent))
    new_page.wait_idle()
    assert [bool(new_page.labels(0)[y, 15]) for y in (10, 30)] == [False, True]


def test_backspace_removes_clicks_only(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "suggest")
    new_page.key("1", "c")
    new_page.tab.mouse.click(*new_page.at(45, 30))
    new_page.until(lambda: wire.held)
    new_page.key("Backspace", "Backspace")
    wire.actions = ("undo",)
    wire.release()
    new_page.until(lambda: wire.held)
    with new_page.done():
        wire.release()
    new_page.key_done("m")
    assert len(wire.list_sent("undo")) == 1
    assert [*session.document.snapshot.objects] == [1]


def test_edit_without_an_object_during_an_undo_says_so(new_page, session):
    editing.set_note(session.document, 0, "ear")
    wire = Wire(new_page, "undo")
    new_page.key("Control+z")
    new_page.until(lambda: wire.held)
    new_page.key("f")
    wire.release()
    new_page.status("select an object first")


def test_refused_polygon_leaves_another_tool(new_page, session):
    draw(session, 0, 1)
    editing.change_object(session.document, 1, locked=True)
    wire = Wire(new_page, "fill_polygon")
    new_page.tab.wait_for_selector("[aria-label='Lock object 1'][aria-pressed=true]")
    new_page.key("p")
    new_page.click((10, 10), (30, 10), (30, 30))
    new_page.key("Enter")
    new_page.until(lambda: wire.held)
    new_page.key("b")
    with new_page.done():
        wire.release()
    new_page.key("Control+z")
    new_page.until(lambda: wire.list_sent("undo"))


def test_second_play_does_not_double_the_rate(clock_context, served):
    page = Page(clock_context, served.url, opened=False)
    served.session.document.frames.rate = Fraction(1, 20)
    page.tab.clock.install()
    page.open()
    page.requests.clear()
    page.key("Space")
    page.wait_frame(1)
    page.key("Space", "Space")
    page.wait_frame(2)
    page.tab.clock.run_for(25_000)
    page.wait_frame(3)
    page.settle()
    assert page.tab.get_attribute("#strips", "aria-valuenow") == "3"


def test_pointer_fits_after_a_change_of_density(page):
    metrics = {"width": 1280, "height": 720, "deviceScaleFactor": 2, "mobile": False}
    page.devtools.send("Emulation.setDeviceMetricsOverride", metrics)
    page.tab.wait_for_function("devicePixelRatio === 2")
    page.settle()
    page.drag((10, 10), (20, 10))
    assert page.labels(0)[10, 15] == 1


def test_strokes_before_the_first_answer_share_an_object(new_page, session):
    wire = Wire(new_page, "paint")
    draw(session, 0, 1, 2)
    new_page.objects(2)
    new_page.key("2")
    new_page.key_done("Delete")  # none is selected
    new_page.objects(1)
    for y in (10, 20):
        new_page.stroke((10, y), (20, y))
    new_page.until(lambda: wire.held)
    new_page.tab.mouse.move(*new_page.at(10, 30))
    new_page.tab.mouse.down()
    wire.release()
    new_page.until(lambda: wire.held)
    new_page.tab.mouse.move(*new_page.at(20, 30), steps=3)
    new_page.tab.mouse.up()
    wire.release()
    new_page.until(lambda: wire.held)
    with new_page.done():
        wire.release()
    assert [new_page.labels(0)[y, 15] for y in (10, 20, 30)] == [3, 3, 3]
    new_page.objects(2)


def test_deleted_object_leaves_timeline_and_review(page, session, monkeypatch):
    draw(session, 0, 1, 2)
    draw(session, 9, 2)

    def find(*_):
        return [Check(7, 2, "lost", 1.0)] if 2 in session.document.snapshot.objects else []

    monkeypatch.setattr("aotlab_studio.review.checks.find_checks", find)
    refresh_review(session)
    page.tab.wait_for_selector("#review li")
    page.key("2")
    page.key_done("Delete")
    page.tab.wait_for_selector("#review li", state="detached")
    page.key("Shift+E")
    page.tab.click("#export-annotated")
    assert page.tab.input_value("#export-last") == "0"
    page.key("Escape", "Control+z")
    page.tab.wait_for_selector("#review li")


def test_refresh_keeps_changes_made_during_it(page, session, monkeypatch):
    draw(session, 0, 1)
    page.objects(1)
    begun, release = hold_review(monkeypatch)
    refresh_review(session)
    page.until(begun.is_set)
    draw(session, 5, 1)
    release.set()
    page.tab.wait_for_selector("#review li")
    page.key("Shift+E")
    page.tab.click("#export-annotated")
    assert page.tab.input_value("#export-last") == "5"


def test_message_undoes_its_own_step_only(new_page, session):
    draw(session, 0, 1, 2)
    wire, held, released = Wire(new_page), [], threading.Event()
    new_page.key("2")
    new_page.answer(
        re.compile(r"/labels/0\?"),
        lambda route: route.continue_() if released.is_set() else held.append(route),
    )
    new_page.key("Delete")
    new_page.until(lambda: held)
    editing.add_object(session.document)
    refresh_review(session)
    new_page.until(lambda: wire.answers[-1]["step"] == session.document.log.head)
    new_page.settle()
    released.set()
    for route in held:
        route.continue_()
    new_page.tab.click(".toast >> text=Undo")
    new_page.status("something else was done since")


def test_reconnected_page_shows_the_jobs_that_run(new_page):
    wire = Wire(new_page)
    wire.change = lambda result: result.update(job={**JOB, "background": True, "done": 4})
    wire.socket.send(json.dumps({"event": "job", "job": JOB}))
    new_page.tab.wait_for_selector("#job:not([hidden])")
    wire.socket.close()
    new_page.tab.wait_for_selector("#correction >> text=Correction: 4 of 10 frames")
    assert not new_page.tab.is_visible("#job")
    assert new_page.tab.is_enabled("#track")
    wire.change = lambda result: None
    wire.socket.close()
    new_page.tab.wait_for_selector("#correction:empty", state="attached")


def test_refused_choices_are_not_kept(page, session, monkeypatch):
    def refuse(*_):
        raise InputError("disk: full")

    monkeypatch.setattr(session.document, "set_status", refuse)
    choose_status(page.tab, "corrected")
    page.status("disk: full")
    assert page.tab.inner_text("#clip-status") == "open"


def test_refused_export_says_so_in_its_dialog(page):
    page.key("Shift+E")
    page.tab.fill("#export-first", "99")
    page.tab.click("#export-start")
    page.tab.wait_for_selector("#export-missing:has-text('99')")
    assert page.tab.inner_text("#status") == ""
    assert page.tab.is_visible("#export-dialog")
    assert page.tab.is_enabled("#export-start")
    page.tab.fill("#export-first", "-5")
    page.tab.click("#export-dialog [value=close]")
    page.tab.wait_for_selector("#export-dialog", state="hidden")


def test_places_of_several_projects_are_kept(page, session):
    page.tab.evaluate("localStorage.aotlabother = JSON.stringify({ frame: 3 })")
    page.open()
    keys = page.tab.evaluate("Object.keys(localStorage)")
    assert sorted(keys) == sorted(["aotlab", "aotlabother", f"aotlab{session.document.header.id}"])


def test_message_about_a_loss_ends_with_the_reconnection(new_page):
    wire, held = Wire(new_page), []
    new_page.answer(re.compile("page/main.js$"), lambda route: held.append(route))
    wire.socket.close()
    new_page.until(lambda: held and not new_page.tab.inner_text("#status"))  # connected again
    held[0].fulfill(body="")
    new_page.settle()
    assert new_page.tab.inner_text("#status") == ""
    wire.refuses = True
    wire.socket.close()
    new_page.until(lambda: held[1:])
    held[1].fulfill(status=409, body="clip: Ann has it open")
    new_page.status("Ann has it open")


def test_strokes_in_flight_survive_a_lost_connection(new_page, session):
    wire = Wire(new_page, "paint")
    send = wire.send
    new_page.key("b")

    new_page.stroke((10, 10), (10, 30))
    new_page.until(lambda: wire.held)  # stored; the answer is lost
    wire.actions = ()
    wire.socket.close()
    new_page.until(lambda: wire.list_sent("paint")[1:])
    new_page.shows("object 1")

    def lose(server, text):
        if json.loads(text)["do"] == "paint":
            wire.send = send
            wire.socket.close()
        else:
            send(server, text)

    wire.send = lose
    new_page.stroke((40, 10), (40, 30))  # never arrives
    new_page.until(lambda: len(session.document.log.entries) == 2)
    new_page.wait_idle()
    assert (new_page.labels(0)[20, [10, 40]] == 1).all()
    assert len(session.document.log.entries) == 2


def test_edits_before_a_close_are_stored_once(context, served, monkeypatch):
    paint = actions.ACTIONS["paint"]
    closed = threading.Event()

    @functools.wraps(paint)
    def slow(*args, **values):
        closed.wait(60)
        return paint(*args, **values)

    monkeypatch.setitem(actions.ACTIONS, "paint", slow)
    for name in ("EDITS", "DOCUMENT_ACTIONS"):
        monkeypatch.setattr(actions, name, [*getattr(actions, name), slow])
    page = Page(context, served.url)
    page.tab.evaluate(LATE_CLOSE)
    page.key("b")
    for column in range(8, 56, 8):
        page.stroke((column, 10), (column, 30))
    page.key("m")
    choose_status(page.tab, "rejected", note="ear missing")
    page.tab.wait_for_selector("dialog[open]", state="detached")
    page.leave()
    closed.set()
    document = served.session.document
    wait_until(lambda: document.status.note == "ear missing")
    served.close()  # after all requests
    assert (document.take_snapshot(6).labels(0)[20, 8:56:8] == 1).all()
    assert document.snapshot.keyframe(0) == {1: ""}
    assert (len(document.log.entries), [*document.snapshot.objects]) == (7, [1])
    assert document.status[:2] == ("rejected", "ear missing")


def test_pending_strokes_and_choices_keep_their_objects(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "add_object", "paint")
    new_page.key("n")
    for y in (20, 30):
        new_page.stroke((30, y), (36, y))
    new_page.key("1")
    new_page.selected("object 1")
    for _ in range(3):
        new_page.until(lambda: wire.held)
        wire.release()
    new_page.wait_idle()
    assert [new_page.labels(0)[y, 33] for y in (20, 30)] == [2, 2]
    new_page.selected("object 1")


def test_stroke_on_its_way_comes_before_loaded_masks(new_page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    wire = Wire(new_page, "paint")
    new_page.stroke((5, 5), (20, 5))
    new_page.until(lambda: wire.held)
    new_page.stroke((5, 30), (20, 30))
    new_page.tab.set_input_files("#load", tmp_path / "masks.png")
    new_page.status("Loading masks")
    new_page.settle()
    wire.actions = ()
    wire.release()
    new_page.status("Masks loaded on frame 0")
    new_page.wait_idle()
    assert (new_page.labels(0) == truth(0)).all()


@pytest.mark.parametrize("field", ["#note", *slow("#last", "#class")])
def test_late_events_keep_what_is_typed(page, session, field):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.click(field)
    page.tab.keyboard.type("1")
    editing.set_range(session.document, 1, 8)
    editing.set_note(session.document, 0, "other")
    editing.change_object(session.document, 1, class_name="cat")
    page.tab.wait_for_selector("#objects .class >> text=cat")
    page.settle()
    assert page.tab.evaluate("['#' + document.activeElement.id, document.activeElement.value]") == [
        field,
        "1",
    ]


@pytest.mark.parametrize("source", ["#note", *slow("#object-name")])
def test_click_on_a_field_keeps_the_focus(page, session, source):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.click(source)
    page.tab.keyboard.type("abc")
    with page.done():
        page.tab.click("#class")
    assert page.tab.evaluate("document.activeElement.id") == "class"


def test_late_prompt_leaves_a_typed_class(new_page, session):
    wire = Wire(new_page, "suggest")
    draw(session, 0, 1)
    new_page.objects(1)
    new_page.key("1", "x")
    new_page.stroke((37, 22), (53, 38))
    new_page.until(lambda: wire.held)
    new_page.tab.click("#class")
    new_page.tab.keyboard.type("cat")
    wire.release()
    new_page.selected("object 2")
    new_page.key_done("Enter")
    assert [item.class_name for item in session.document.snapshot.objects.values()] == ["cat", ""]


def test_refresh_of_the_review_keeps_the_focus(page, session, checks):
    draw(session, 0, 1)
    checks.append(Check(7, 1, "lost", 1.0))
    refresh_review(session)
    page.tab.focus("#review button")
    checks.append(Check(3, 1, "unsure", 0.5))
    editing.add_object(session.document)
    page.tab.wait_for_selector("#review li + li")
    assert page.tab.evaluate("document.activeElement.textContent").startswith("7")


def test_press_in_a_list_survives_its_refresh(page, session, checks):
    draw(session, 0, 1)
    checks.append(Check(7, 1, "lost", 1.0))
    refresh_review(session)
    page.tab.hover("#review button")
    page.tab.mouse.down()
    checks.append(Check(3, 1, "unsure", 0.5))
    refresh_review(session)
    page.tab.wait_for_selector("#review li + li")
    revision = session.document.revision + 1
    session.document.emit(FrameEvent(7, revision, {1: "5"}))
    page.until(lambda: page.tab.query_selector(f"#review img[src$='masks={revision}']"))
    page.tab.mouse.up()
    page.wait_frame(7)


def test_choices_of_an_export_survive_a_reconnection(new_page):
    wire = Wire(new_page)
    new_page.key("Shift+E")
    new_page.tab.check("#outputs input[name=cvat]")
    wire.socket.close()
    new_page.until(lambda: wire.list_sent("describe")[1:])
    new_page.until(lambda: wire.list_sent("review")[1:])
    new_page.settle()
    assert new_page.tab.is_checked("#outputs input[name=cvat]")


@pytest.mark.parametrize("field", ["note", *slow("class", "attributes", "name")])
def test_text_typed_before_a_close_is_stored(context, served, field):
    document = served.session.document
    draw(served.session, 0, 1)
    page = Page(context, served.url)
    page.objects(1)
    if field == "name":
        page.key("F2")
        page.tab.keyboard.type("fish")
    else:
        page.tab.focus(f"#{field}")
        page.tab.keyboard.type("fish")
    page.leave()

    def stored():
        item = document.snapshot.objects[1]
        found = {
            "note": document.snapshot.state.notes.get(0), "class": item.class_name, "name": item.name,
            "attributes": ",".join(item.attributes),
        }  # fmt: skip
        return found[field] == "fish"

    wait_until(stored)


@pytest.mark.parametrize("field", ["note", "class", *slow("name")])
def test_refused_text_stays_in_its_field(context, served, field):
    document = served.session.document
    draw(served.session, 0, 1)
    document.shared = True
    page = Page(context, served.url)
    page.objects(1)
    selector = "#object-name" if field == "name" else f"#{field}"
    page.tab.fill(selector, "fish")
    page.tab.press(selector, "Enter")
    page.status("type your name first")
    page.tab.wait_for_selector(".problem >> text=type your name first")
    page.tab.fill("#person", "Ann")
    page.tab.press("#person", "Enter")
    page.until(lambda: page.tab.inner_text("#status") == "")  # connected again
    page.seek(3)
    page.seek(0)
    assert page.tab.input_value(selector) == "fish"
    page.tab.focus(selector)
    page.tab.press(selector, "End")
    page.tab.keyboard.type("es")
    page.tab.press(selector, "Enter")

    def stored():
        return {
            "note": document.snapshot.state.notes.get(0), "name": document.snapshot.objects[1].name,
            "class": document.snapshot.objects[1].class_name,
        }[field]  # fmt: skip

    page.until(lambda: stored() == "fishes")
    page.tab.wait_for_selector(".problem:not(:empty)", state="detached")
    page.tab.close()


def test_second_undo_shows_its_frame_too(new_page):
    wire = Wire(new_page, "undo")
    for frame in (0, 5):
        new_page.seek(frame)
        new_page.drag((8, 10), (12, 10))
    new_page.seek(8)
    new_page.key("Control+z", "Control+z")
    for _ in range(2):
        new_page.until(lambda: wire.held)
        wire.release()
    new_page.tab.wait_for_selector("#strips[aria-valuenow='0']")


def test_object_that_takes_pixels_stays_selected(new_page, session):
    draw(session, 0, 1, 2)
    half = truth(0) == 2
    half[:, 45:] = False
    set_mask(session.document, 0, 2, half)
    new_page.open()
    new_page.key("1")
    new_page.key_done("Delete")
    new_page.objects(1)
    new_page.key("c")
    with new_page.done():
        new_page.tab.mouse.click(*new_page.at(48, 30))
    new_page.objects(2)
    with new_page.done():
        new_page.tab.click("text=Take them")
    new_page.objects(2)
    new_page.settle()
    assert "object 2" not in new_page.tab.inner_text("#objects [aria-pressed=true]")


def test_stroke_on_a_deleted_object_is_refused(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.mouse.move(*page.at(10, 10))
    page.tab.mouse.down()
    editing.delete_object(session.document, 1)
    page.objects(0)
    page.tab.mouse.move(*page.at(20, 10), steps=3)
    page.tab.mouse.up()
    page.status("object 1: no such object")
    assert not session.document.snapshot.objects
    page.drag((10, 30), (20, 30))
    assert page.labels(0)[30, 15] == 2


def test_stroke_during_a_merge_goes_to_the_merged_object(new_page, session):
    draw(session, 0, 1, 2)
    wire = Wire(new_page, "merge_objects")
    new_page.objects(2)
    new_page.key("2")
    new_page.tab.click("#merge")
    new_page.tab.click("dialog[open] .main")
    new_page.until(lambda: wire.held)
    new_page.stroke((5, 5), (20, 5))
    wire.release()
    new_page.until(lambda: new_page.labels(0)[5, 15])
    assert new_page.labels(0)[5, 15] == 1
    new_page.selected("object 1")


def test_undo_stops_playback(page, session):
    session.document.frames.rate = Fraction(1, 100)  # frame 1 shows until the test sees it
    draw(session, 0, 1)
    page.open()
    page.key("Space")
    page.wait_frame(1)
    page.key("Control+z")
    page.tab.wait_for_selector("#play[aria-label=Play]")
    page.wait_frame(0)
    page.shows()


def test_task_runs_again_after_a_failure(idle_page):
    runs = idle_page.tab.evaluate("""async () => {
        const { CoalescedTask } = await import('./page/dom.js');
        let runs = 0;
        const task = new CoalescedTask(async () => {
            runs += 1;
            if (runs === 1) throw new Error('broken');
        });
        await task.run().catch(() => {});
        await task.run();
        return runs;
    }""")
    assert runs == 2


@pytest.mark.parametrize("action", ["describe", "timeline"])
def test_late_answer_replaces_no_newer_marks(new_page, session, action):
    draw(session, 0, 1)
    wire = Wire(new_page)
    new_page.objects(1)
    new_page.settle()
    wire.actions = (action,)
    if action == "describe":
        wire.socket.close()
    else:
        refresh_review(session)
    new_page.until(lambda: wire.held)
    wire.actions = ()
    draw(session, 5, 1)
    new_page.settle()
    wire.release()
    editing.set_note(session.document, 0, "later")
    new_page.tab.wait_for_selector("#notes button >> text=later")
    new_page.settle()
    new_page.key("Shift+E")
    new_page.tab.click("#export-annotated")
    assert new_page.tab.input_value("#export-last") == "5"


def test_late_state_replaces_no_newer_one(new_page, session):
    wire = Wire(new_page)
    draw(session, 0, 1)
    late = encode_json(DocumentEvent(session.document.describe_state())).decode()
    draw(session, 0, 2)
    new_page.objects(2)
    wire.socket.send(late)
    wire.socket.send(json.dumps({"event": "export", "done": 1, "total": 2}))
    new_page.until(lambda: new_page.tab.evaluate("document.getElementById('export-progress').value") == 0.5)
    assert new_page.tab.locator("#objects li").count() == 2


def test_stroke_on_the_object_of_a_box_makes_no_other_at_a_close(context, served):
    session, begun, released = served.session, threading.Event(), threading.Event()
    segment, document = session.segmenter, session.document

    def wait_and_segment(*values):
        begun.set()
        released.wait(60)
        return segment(*values)

    session.segmenter = wait_and_segment
    page = Page(context, served.url)
    rows, columns = np.nonzero(truth(0) == 1)
    page.key("x")
    page.stroke((columns.min() - 1, rows.min() - 1), (columns.max() + 2, rows.max() + 2))
    page.until(begun.is_set)
    page.key("b")
    page.stroke((5, 38), (15, 38))
    page.tab.focus("#note")
    page.tab.keyboard.type("late")
    page.leave()
    wait_until(lambda: document.snapshot.state.notes)
    released.set()
    wait_until(lambda: document.snapshot.keyframes)
    served.close()  # after all requests
    assert [*document.snapshot.objects] == [1]


@pytest.mark.parametrize(("key", "title"), [("Shift+Delete", "clear tracking"), ("q", "mark as checked")])
def test_command_behind_a_stroke_is_stored_at_a_close(context, served, key, title):
    document = served.session.document
    draw(served.session, 0, 1)
    start_job(served.session, 0).wait()
    page = Page(context, served.url, opened=False)
    wire = Wire(page, "paint")
    page.seek(4)
    page.stroke((35, 35), (40, 35))
    page.until(lambda: wire.held)
    page.key(key)
    page.leave()
    wait_until(lambda: list_titles(document)[0] == title)
