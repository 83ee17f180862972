"""The page in a browser: edits in order while answers are late, refused or missing."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from PIL import Image

from aotlab_studio.document import editing
from aotlab_studio.review.checks import Check
from aotlab_testing.browser import needs_browser
from aotlab_testing.marks import slow
from studio.tests.annotation.browser import Wire
from studio.tests.annotation.clips import truth
from studio.tests.annotation.sessions import draw, hold, list_titles, refresh_review, start_job, wait_for

pytestmark = needs_browser


def test_stroke_begun_before_the_followed_frame_is_kept(page, session):
    draw(session, 0, 1)
    tracker = hold(session, 4)
    page.wait_objects(1)
    held = page.hold_requests(r"/frame/4\?video=[0-9a-f]+$")
    page.key("t")
    page.wait_frame(3)
    job = session.runner.job
    tracker.release_frames(1)
    page.wait_until(lambda: held)
    page.press(40, 5)
    for route in held:
        route.continue_()
    page.tab.wait_for_function(
        "() => performance.getEntriesByType('resource').some(({ name }) => /frame.4.video=[^&]*$/.test(name))"
    )
    page.settle()
    with page.done():
        page.lift(50, 5)
    job.stop()
    tracker.release_frames()
    assert [page.labels(frame)[5, 45] for frame in (3, 4)] == [1, 0]


def test_stroke_right_after_undo_is_kept(page):
    page.key("b")
    page.drag((40, 5), (50, 5))
    held = page.hold_requests(r"/labels/0\?")
    with page.done():
        page.key("Control+z")
        page.wait_until(lambda: held)
        held.pop().continue_()
    page.stroke((10, 35), (20, 35))
    page.wait_until(lambda: held)
    with page.done():
        held.pop().continue_()
    assert [bool(page.labels(0)[y, x]) for x, y in ((45, 5), (15, 35))] == [False, True]


def test_refused_polygon_can_be_sent_again(page, session):
    draw(session, 0, 1)
    editing.ChangeObject(1, locked=True).run(session.document)
    page.tab.wait_for_selector("[aria-label='Lock object 1'][aria-pressed=true]")
    page.key("p")
    page.click((10, 10), (30, 10), (30, 30))
    page.key_done("Enter")
    page.wait_status("locked")
    page.key_done("j")
    page.key_done("Enter")
    assert (page.labels(0) == 1)[14, 20:28].all()


def test_waiting_polygon_has_no_corner_at_the_mouse(page, one_object):
    held = page.hold_requests(r"/frame/4\?video=[0-9a-f]+$")
    page.key("b")
    page.tab.fill("#frame", "4")
    page.tab.press("#frame", "Enter")
    page.key("Backspace", "p")  # wait for the frame: the brush still is under the mouse
    page.click((10, 10), (30, 10), (30, 30))
    page.key("Enter", "b")
    page.stroke((56, 38), (56, 39))
    page.wait_until(lambda: held)
    held[0].continue_()
    page.wait_frame(4)
    page.wait_idle()
    labels = page.labels(4)
    assert [bool(labels[y, x]) for x, y in ((25, 14), (56, 38), (40, 30))] == [True, True, False]


@pytest.mark.slow
def test_pending_polygon_is_sent_once(new_page):
    wire = Wire(new_page, "fill_polygon")
    new_page.key("p")
    new_page.click((10, 10), (30, 10), (30, 30))
    new_page.key("Enter")
    wire.wait_held()
    new_page.key("Enter")
    new_page.click((50, 30))
    with new_page.done():
        wire.release()
    new_page.click((50, 35))
    new_page.click((40, 35))
    with new_page.done():
        new_page.key("Enter")
        wire.release()
    assert [len(message["points"]) for message in wire.list_sent("fill_polygon")] == [3, 3]
    assert new_page.labels(0)[33, 48] == 1


@pytest.mark.slow
def test_tracking_starts_at_the_frame_of_the_key(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((8, 8), (12, 12))
    new_page.key("t")
    new_page.seek(3)
    wire.release()
    new_page.wait_until(lambda: wire.list_sent("track"))
    assert wire.list_sent("track")[0]["frame"] == 0


@pytest.fixture(params=["Control+z", *slow("Control+y", "q")])
def held_answer(request, new_page, session, checks):
    """The answer to a key, which would show another frame, is held back on frame 3."""
    checks.extend([Check(frame, 1, "lost", 1.0) for frame in (3, 7)])
    wire = Wire(new_page, "undo", "redo", "set_checked")
    draw(session, 0, 1, 2)  # in this visit, so that undo does not ask
    session.document.undo()
    new_page.tab.wait_for_selector("#review li")
    new_page.seek(3)
    new_page.key(request.param)
    wire.wait_held()
    return wire


def test_late_answer_does_not_change_the_frame(new_page, held_answer):
    new_page.seek(5)
    with new_page.done():
        held_answer.release()
    new_page.settle()
    new_page.wait_frame(5)


@pytest.mark.slow
def test_late_answer_does_not_move_a_stroke(new_page, held_answer):
    new_page.press(40, 5)
    held_answer.release()
    new_page.wait_idle()
    with new_page.done():
        new_page.lift(50, 5)
    assert new_page.labels(3)[5, 45]
    new_page.settle()
    new_page.wait_frame(3)


@pytest.mark.slow
def test_masks_load_on_the_frame_and_object_of_the_choice(new_page, session, tmp_path):
    mask = (truth(0) == 1).astype(np.uint8) * 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    wire = Wire(new_page, "paint")
    new_page.stroke((40, 30), (45, 30))
    wire.wait_held()
    new_page.tab.set_input_files("#load", tmp_path / "mask.png")
    draw(session, 6, 2)
    new_page.wait_objects(2)
    new_page.key("2")
    new_page.wait_selected("object 2")
    new_page.seek(4)
    wire.release()
    new_page.wait_status("Masks loaded on frame 0")
    new_page.settle()
    new_page.wait_frame(4)
    np.testing.assert_array_equal(new_page.labels(0), truth(0) == 1)


def test_undo_before_a_canceled_close_removes_its_stroke(new_page):
    wire = Wire(new_page, "paint")
    new_page.stroke((10, 10), (20, 10))
    wire.wait_held()
    new_page.key("Control+z")
    new_page.stroke((10, 30), (20, 30))
    with new_page.tab.expect_response("**/edits?*"):
        assert not new_page.may_leave()
    wire.actions = ()
    wire.release()
    new_page.wait_until(lambda: len(wire.list_sent("paint")) == 2 and len(wire.answers) == len(wire.sent))
    new_page.wait_idle()
    assert [bool(new_page.labels(0)[y, 15]) for y in (10, 30)] == [False, True]


def test_input_after_unanswered_boxes_is_for_the_last_one(new_page, session):
    draw(session, 0, 1)
    session.prompter.segmenter = lambda image, prompts: fill_box(image, prompts[1].box)
    editing.AddObject().run(session.document)
    wire = Wire(new_page, "segment")
    new_page.key("1", "x")
    new_page.tab.click("[name=select2]", modifiers=["Control"])
    boxes = [(25, 2), (45, 2), (45, 30)]
    for x, y in boxes:
        new_page.stroke((x, y), (x + 6, y + 5))
    new_page.key("b")
    new_page.stroke((5, 36), (8, 36))
    new_page.key("Shift+N")
    wire.actions = ()
    wire.release()
    new_page.wait_until(lambda: len(wire.list_sent("paste_masks")) == 1 and len(wire.answers) == len(wire.sent))
    new_page.wait_selected("object 5")
    assert new_page.tab.locator("#objects .selected").count() == 1
    assert [new_page.labels(0)[y, x] for x, y in ((28, 4), (48, 4), (48, 32), (6, 36))] == [3, 4, 5, 5]
    assert {*np.unique(new_page.labels(1))} == {0, 5}


def fill_box(image, box):
    """Return the ids of a segmenter that marks the whole box as object 1."""
    labels = np.zeros(image.shape[:2], np.uint8)
    x, y, width, height = (round(value) for value in box)
    labels[y : y + height, x : x + width] = 1
    return labels


@pytest.mark.slow
def test_edit_without_an_object_during_an_undo_is_refused(new_page, session):
    wire = Wire(new_page, "undo")
    editing.AddObject().run(session.document)  # in this visit, so that undo does not ask
    new_page.wait_until(lambda: new_page.tab.locator("#undo").is_enabled())
    new_page.key("Control+z")
    wire.wait_held()
    new_page.key("f")
    wire.release()
    new_page.wait_status("Select an object first")


@pytest.mark.slow
def test_refused_polygon_does_not_change_the_tool(new_page, session):
    wire = Wire(new_page, "fill_polygon")
    draw(session, 0, 1)  # in this visit, so that undo does not ask
    editing.ChangeObject(1, locked=True).run(session.document)
    new_page.tab.wait_for_selector("[aria-label='Lock object 1'][aria-pressed=true]")
    new_page.key("p")
    new_page.click((10, 10), (30, 10), (30, 30))
    new_page.key("Enter")
    wire.wait_held()
    new_page.key("b")
    with new_page.done():
        wire.release()
    new_page.key("Control+z")
    new_page.wait_until(lambda: wire.list_sent("undo"))


def test_strokes_before_the_first_answer_share_an_object(new_page, session):
    wire = Wire(new_page, "paint")
    draw(session, 0, 1, 2)
    new_page.wait_objects(2)
    new_page.key("2")
    new_page.key_done("Delete")  # none is selected
    new_page.wait_objects(1)
    for y in (10, 20):
        new_page.stroke((10, y), (20, y))
    wire.wait_held()
    new_page.press(10, 30)
    wire.release()
    wire.wait_held()
    new_page.lift(20, 30)
    wire.release()
    wire.wait_held()
    with new_page.done():
        wire.release()
    assert [new_page.labels(0)[y, 15] for y in (10, 20, 30)] == [3, 3, 3]
    new_page.wait_objects(2)


@pytest.mark.slow
def test_message_undoes_its_own_step_only(new_page, session):
    draw(session, 0, 1, 2)
    Wire(new_page)
    held, released = [], threading.Event()
    new_page.key("2")
    new_page.answer(
        re.compile(r"/labels/0\?"), lambda route: route.continue_() if released.is_set() else held.append(route)
    )
    new_page.key("Delete")
    new_page.wait_until(lambda: held)
    editing.AddObject().run(session.document)
    refresh_review(session)
    new_page.tab.wait_for_selector("#objects [name=select3]", state="attached")
    new_page.settle()
    released.set()
    for route in held:
        route.continue_()
    new_page.tab.click(".toast >> text=Undo")
    new_page.wait_status("something else was done since")


def test_pending_strokes_and_choices_keep_their_objects(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "add_object", "paint")
    new_page.key("n")
    for y in (20, 30):
        new_page.stroke((30, y), (36, y))
    new_page.key("1")
    new_page.wait_selected("object 1")
    for _ in range(3):
        wire.release()
    new_page.wait_idle()
    assert [new_page.labels(0)[y, 33] for y in (20, 30)] == [2, 2]
    new_page.wait_selected("object 1")


def test_unsent_stroke_comes_before_loaded_masks(new_page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    wire = Wire(new_page, "paint")
    new_page.stroke((5, 5), (20, 5))
    wire.wait_held()
    new_page.stroke((5, 30), (20, 30))
    new_page.tab.set_input_files("#load", tmp_path / "masks.png")
    new_page.settle()
    wire.actions = ()
    wire.release()
    new_page.wait_status("Masks loaded on frame 0")
    new_page.wait_idle()
    np.testing.assert_array_equal(new_page.labels(0), truth(0))


@pytest.mark.slow
def test_second_undo_shows_its_frame_too(new_page):
    wire = Wire(new_page, "undo")
    for frame in (0, 5):
        new_page.seek(frame)
        new_page.drag((8, 10), (12, 10))
    new_page.seek(8)
    new_page.key("Control+z", "Control+z")
    for _ in range(2):
        wire.release()
    new_page.tab.wait_for_selector("#strips[aria-valuenow='0']")


@pytest.fixture
def held_merge(new_page, session):
    """The answer to the merge of object 2 into object 1, beside object 3, is held back."""
    draw(session, 0, 1, 2)
    editing.AddObject().run(session.document)
    wire = Wire(new_page, "merge_objects")
    new_page.wait_objects(3)
    new_page.key("2")
    new_page.tab.click("#merge")
    new_page.tab.click("dialog[open] .main")
    wire.wait_held()
    return wire


@pytest.mark.slow
def test_stroke_during_a_merge_goes_to_the_merged_object(new_page, held_merge):
    new_page.stroke((5, 5), (20, 5))
    held_merge.release()
    new_page.wait_until(lambda: new_page.labels(0)[5, 15])
    assert new_page.labels(0)[5, 15] == 1
    new_page.wait_selected("object 1")


@pytest.mark.slow
def test_late_merge_keeps_the_selection_and_the_stroke(new_page, held_merge):
    new_page.tab.click("#objects [name=select3]")
    new_page.press(5, 36)
    held_merge.release()
    new_page.wait_idle()
    with new_page.done():
        new_page.lift(35, 36)
    assert new_page.labels(0)[36, 30] == 3
    new_page.wait_selected("object 3")


@pytest.mark.slow
def test_pause_overtakes_a_box(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "segment")
    tracker = hold(session, 2)
    start_job(session, 0)
    new_page.tab.wait_for_selector("#job-text >> text=running")
    new_page.key("x")
    new_page.stroke((37, 22), (53, 38))
    wire.wait_held()
    new_page.key("k")
    new_page.wait_until(lambda: wire.list_sent("pause"))
    wire.release()
    new_page.key("Escape")
    tracker.release_frames()


def test_delete_removes_the_object_of_an_unsent_stroke(new_page, session):
    wire = Wire(new_page, "paint")
    new_page.press(5, 5)
    new_page.move(20, 5)
    new_page.key("Delete")  # finishes the stroke
    new_page.tab.mouse.up()
    new_page.stroke((5, 35), (20, 35))
    for _ in range(2):
        wire.release()
    new_page.wait_until(lambda: new_page.tab.get_attribute("#view", "aria-busy") == "false")
    assert [*session.document.snapshot.objects] == [2]
    assert not new_page.labels(0)[5].any()
    assert new_page.labels(0)[35, 15] == 2


@pytest.mark.parametrize("later", ["n", "Control+z", "t", "q"])
@pytest.mark.slow
def test_refusal_stays_after_the_next_answer(new_page, session, checks, later):
    wire = Wire(new_page, "paint")
    draw(session, 0, 1, 2)  # in this visit, so that undo does not ask
    editing.ChangeObject(1, locked=True).run(session.document)
    new_page.wait_objects(2)
    new_page.tab.wait_for_selector("[aria-label='Lock object 1'][aria-pressed=true]")
    new_page.key("1")
    new_page.stroke((10, 10), (20, 10))
    wire.wait_held()
    new_page.key(later)
    wire.release()
    new_page.wait_status("locked")
    action = {"n": "add_object", "Control+z": "undo", "t": "track", "q": "set_checked"}[later]
    new_page.wait_until(lambda: wire.list_sent(action) and len(wire.answers) == len(wire.sent))
    new_page.wait_idle()
    new_page.settle()
    assert "locked" in new_page.tab.inner_text("#status.error")


def test_undo_waits_for_loaded_masks(page, session, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    page.drag((10, 30), (20, 30))
    held = page.hold_requests("/masks/")
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.wait_until(lambda: held)
    page.key("Control+z")
    page.settle()
    held.pop().continue_()
    page.wait_status("undone")
    page.wait_idle()
    assert page.labels(0)[30, 15] == 1
    assert list_titles(session.document)[0] == "brush object 1"


@pytest.mark.parametrize("key", ["e", *slow("ArrowRight", "n", "t")])
def test_key_during_a_stroke_finishes_it(page, key):
    page.press(10, 10)
    page.move(20, 10)
    with page.done():
        page.key(key)
        page.lift(20, 30)
    page.wait_until(lambda: page.labels(0)[10, 15] == 1)
    assert not page.labels(0)[30].any()


@pytest.mark.slow
def test_cursor_keys_leave_a_stroke_of_the_mouse(page):
    page.press(10, 10)
    page.move(20, 10)
    page.key("d", "d", "s", "Shift+D")
    assert "Drawing" not in page.tab.inner_text("#status")
    with page.done():
        page.tab.mouse.up()
    assert not page.labels(0)[:, 40:].any()


@pytest.mark.slow
def test_pointer_finishes_a_stroke_of_the_keyboard(page):
    page.tab.focus("#view")
    page.key("w", "Enter", "d")
    page.move(5, 5)  # draws nothing
    page.key("d")
    page.wait_status("Drawing at 46, 12")
    page.drag((5, 5), (12, 5))
    drawn = page.labels(0)
    assert [drawn[12, 40], drawn[5, 8]] == [1, 1]


def test_canceled_boxes_are_neither_kept_nor_sent(new_page, session):
    wire = Wire(new_page, "segment")
    new_page.key("x")
    new_page.stroke((37, 22), (53, 38))
    wire.wait_held()
    new_page.stroke((20, 2), (35, 15))  # not sent yet
    new_page.key("Escape")
    new_page.may_leave()
    wire.release()
    new_page.wait_until(lambda: not session.document.snapshot.objects)
    new_page.wait_idle()
    assert len(wire.list_sent("segment")) == 1
    assert not [url for url in new_page.requests if "/edits?" in url]


@pytest.mark.slow
def test_escape_cancels_a_sent_box(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "segment")
    tracker = hold(session, 2)
    job = start_job(session, 0)
    new_page.tab.wait_for_selector("#job-text >> text=running")
    new_page.key("x")
    new_page.stroke((37, 22), (53, 38))
    wire.wait_held()
    new_page.key("Escape")
    wire.release()
    new_page.wait_until(lambda: [*session.document.snapshot.objects] == [1])
    new_page.wait_idle()
    assert not job.stopped
    assert not new_page.tab.is_visible("#status.error")
    new_page.wait_objects(1)
    new_page.key("Escape")
    tracker.release_frames()
    wait_for(job)
    assert wire.list_sent("stop")
