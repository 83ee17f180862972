"""The page in a browser: keyboard and focus."""

from __future__ import annotations

import pytest

from aotlab_studio.document import editing
from aotlab_studio.document.events import FrameEvent
from aotlab_studio.review.checks import Check
from aotlab_studio.session.actions import Describe
from aotlab_testing.browser import iou, needs_browser
from aotlab_testing.marks import slow
from studio.tests.annotation.clips import LENGTH, truth
from studio.tests.annotation.sessions import draw, draw_and_track, refresh_review

pytestmark = needs_browser


WHEEL = """(deltaY) => {
    for (let index = 0; index < 50; index += 1) {
        document.getElementById('view').dispatchEvent(new WheelEvent('wheel', { deltaY, cancelable: true }));
    }
}"""
"""Turns the wheel over the frame 50 times."""
HAS_WHITE = """(() => {
    const view = document.getElementById('view');
    const { data } = view.getContext('2d').getImageData(0, 0, view.width, view.height);
    return new Uint32Array(data.buffer).includes(0xffffffff);
})()"""
"""Whether the frame shows a white pixel; the video has none, but the cursor has."""


def press(page, code, key, **how):
    """Press a key; return whether the page leaves it to the browser."""
    return page.tab.evaluate(
        """([code, key, how]) => document.getElementById('view').dispatchEvent(
            new KeyboardEvent('keydown', { code, key, bubbles: true, cancelable: true, ...how }))""",
        [code, key, how],
    )


def test_page_works_with_the_keyboard_only(page):
    page.tab.focus("#view")
    page.key("x", "w")
    page.move_cursor(2, 2)
    page.key("Enter")
    page.move_cursor(18, 18)
    page.key_done("Enter")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9
    page.track("t", last=4)
    assert (page.labels(4) == 1).any()
    page.key("?")
    assert page.tab.is_visible("#help-dialog")
    page.key("Escape", "End")
    page.wait_frame(LENGTH - 1)
    page.key("Home", "ArrowRight")
    page.wait_status("Frame 1; object 1 tracked")
    page.key_done("m")
    assert not (page.labels(1) == 1).any()
    page.key_done("Control+z")
    assert (page.labels(1) == 1).any()


@pytest.mark.parametrize("field", ["last", *slow("frame")])
def test_escape_discards_typed_text(page, session, field):
    before = page.tab.input_value(f"#{field}")
    page.tab.focus(f"#{field}")
    page.key("7", "Escape")
    page.key_done("n")
    assert page.tab.input_value(f"#{field}") == before
    assert session.document.snapshot.state.ranges == {}
    page.wait_frame(0)


@pytest.mark.slow
def test_backspace_removes_corners_before_objects(page):
    page.drag((10, 10), (14, 10))
    page.key("p")
    page.click((20, 20), (40, 20), (40, 35), (20, 35))
    page.key("Backspace", "Control+z")
    page.wait_objects(1)
    assert (page.labels(0) == 1).any()
    page.key("Backspace", "Backspace", "Backspace", "Backspace")
    with page.done():
        page.key("f")
    page.wait_objects(1)
    page.key_done("Delete")
    page.wait_objects(0)


@pytest.mark.parametrize("key", ["Shift+Delete", *slow("Shift+Backspace")])
def test_both_delete_keys_clear_tracking(page, session, document, key):
    draw_and_track(session, 1)
    assert document.snapshot.labels(5).any()
    page.seek(5)
    page.key_done(key)
    assert not document.snapshot.labels(5).any()


def test_keys_act_on_the_frame_after_a_slider_was_used(idle_page):
    idle_page.tab.click("#opacity")
    idle_page.key("ArrowRight")
    idle_page.wait_frame(1)


@pytest.mark.slow
def test_control_that_is_changed_by_key_keeps_the_focus(page):
    for control, key in (("opacity", "ArrowDown"), ("fill", "Space")):
        page.tab.focus(f"#{control}")
        page.key(key)
        page.settle()
        assert page.tab.evaluate("document.activeElement.id") == control


def test_letters_follow_the_label_and_brackets_the_position(idle_page):
    press(idle_page, "KeyZ", "w")
    idle_page.wait_status("Cursor at 30, 12")
    press(idle_page, "KeyQ", "a")
    idle_page.wait_status("Cursor at 22, 12")
    radius = idle_page.radius()
    press(idle_page, "BracketRight", "*")
    press(idle_page, "BracketLeft", "ü")
    press(idle_page, "BracketLeft", "^")
    assert idle_page.radius() < radius
    radius = idle_page.radius()
    for delta in (-2, 2):  # a touchpad
        idle_page.tab.evaluate(WHEEL, delta)
    assert abs(idle_page.radius() - radius) <= 1
    zoom = idle_page.place()[2]
    press(idle_page, "BracketRight", "+")
    idle_page.wait_until(lambda: idle_page.place()[2] > zoom)
    with idle_page.done():
        press(idle_page, "KeyW", "z", ctrlKey=True)  # undo goes by what is printed


def test_typed_shortcut_wins_over_the_position_of_a_bracket(idle_page):
    radius = idle_page.radius()
    press(idle_page, "BracketRight", "w")
    idle_page.wait_status("Cursor at")
    press(idle_page, "BracketLeft", "z")
    assert idle_page.tool() == "scribble"
    press(idle_page, "BracketLeft", "?", shiftKey=True)
    assert idle_page.tab.is_visible("#help-dialog")
    idle_page.key("Escape", "b")
    assert idle_page.radius() == radius


def test_letters_follow_their_place_without_latin_letters(idle_page):
    press(idle_page, "KeyX", "x")
    assert press(idle_page, "KeyU", ";")  # as of a French or Dvorak layout
    press(idle_page, "KeyB", "и")
    assert idle_page.tool() == "brush"
    press(idle_page, "KeyX", "ч")
    assert idle_page.tool() == "box"


def test_wheel_pans_sideways(idle_page):
    before, radius = idle_page.place()[-1], idle_page.radius()
    for values in ({"deltaX": -40, "deltaY": -20}, {"deltaY": -30, "shiftKey": True}):
        idle_page.tab.dispatch_event("#view", "wheel", values)
    idle_page.move(30, 20)
    assert idle_page.place() == pytest.approx([30 - 7000 / before, 20 - 2000 / before, before], abs=1)
    assert idle_page.radius() == radius


def test_keys_zoom_at_the_cursor_and_pan(idle_page):
    assert idle_page.tab.get_attribute("#readout", "aria-live") == "off"  # not read out with each move
    idle_page.tab.focus("#view")
    idle_page.key("w", "a")
    idle_page.wait_until(lambda: idle_page.place()[:2] == [22, 12])
    before = idle_page.place()[2]
    idle_page.key("+", "PageUp")
    idle_page.settle()
    assert idle_page.place()[2] > 1.5 * before
    zoom = idle_page.place()[2]
    assert idle_page.place()[:2] == [22, 12]
    idle_page.key("Control+ArrowRight", "Control+ArrowUp")
    idle_page.wait_until(lambda: idle_page.place()[1] != 12)
    assert idle_page.place() == pytest.approx([22 + 8000 / zoom, 12 - 8000 / zoom, zoom], abs=1)
    idle_page.key("+", "+", "+")
    idle_page.move_cursor(58, 38)
    idle_page.settle()
    assert idle_page.tab.evaluate(HAS_WHITE)  # the cursor stays in view


@pytest.mark.slow
def test_keys_without_ctrl_can_be_turned_off(page):
    page.drag((10, 10), (20, 10))
    page.key("?")
    page.tab.click("#single-keys")
    page.key("Escape", "e", "m", "?", "Space", "Delete", "Backspace", "Shift+Delete")
    page.tab.wait_for_selector("#play[aria-label=Play]")
    assert page.tool() == "brush"
    assert not page.tab.is_visible("#help-dialog")
    assert page.labels(0).any()
    page.key_done("Control+z")
    page.key("ArrowRight")
    page.wait_frame(1)


def test_delete_in_a_field_keeps_the_object(page, one_object):
    for field in ("#objects [type=color]", "#fill", "#opacity", "#frame"):
        page.tab.focus(field)
        page.key("Delete", "Backspace", "Shift+Delete")
    page.tab.focus("#view")
    page.key_done("n")
    page.wait_objects(2)


def test_held_key_acts_once_unless_it_moves(page):
    for _ in range(3):
        page.tab.keyboard.down("n")  # as while it is held
        page.tab.keyboard.down("ArrowRight")
    page.wait_frame(3)
    page.wait_objects(1)


@pytest.mark.slow
def test_enter_in_a_dialog_presses_its_main_button(page, one_object):
    page.key("Shift+E")
    page.tab.fill("#export-last", "3")
    page.tab.press("#export-last", "Enter")
    page.tab.wait_for_selector("#download:not([hidden])")


@pytest.mark.parametrize(("key", "code", "tool"), [("e", "KeyD", "eraser"), *slow(("o", "KeyS", "reassign"))])
def test_letters_of_dvorak_choose_tools(page, key, code, tool):
    page.tab.evaluate(
        "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true }))",
        [key, code],
    )
    assert page.tool() == tool


@pytest.mark.parametrize("source", ["#object-name"])
@pytest.mark.slow
def test_click_on_a_field_keeps_the_focus(page, source, one_object):
    page.tab.click(source)
    page.tab.keyboard.type("abc")
    with page.done():
        page.tab.click("#class")
    assert page.tab.evaluate("document.activeElement.id") == "class"


@pytest.mark.slow
def test_refresh_of_the_review_keeps_the_focus(page, session, checks):
    draw(session, 0, 1)
    checks.append(Check(7, 1, "lost", 1.0))
    refresh_review(session)
    page.tab.focus("#review button")
    checks.append(Check(3, 1, "unsure", 0.5))
    editing.AddObject().run(session.document)
    page.tab.wait_for_selector("#review li + li")
    assert page.tab.evaluate("document.activeElement.textContent").startswith("7")


@pytest.mark.slow
def test_press_in_a_list_survives_its_refresh(page, session, document, checks):
    draw(session, 0, 1)
    checks.append(Check(7, 1, "lost", 1.0))
    refresh_review(session)
    page.tab.hover("#review button")
    page.tab.mouse.down()
    checks.append(Check(3, 1, "unsure", 0.5))
    refresh_review(session)
    page.tab.wait_for_selector("#review li + li")
    revision = document.revision + 1
    document.emit(FrameEvent(7, revision, {1: "5"}))
    page.wait_until(lambda: page.tab.query_selector(f"#review img[src$='revision={revision}']"))
    page.tab.mouse.up()
    page.wait_frame(7)


def test_help_shows_all_keys_and_the_empty_review_its_purpose(idle_page):
    assert "after tracking" in idle_page.tab.inner_text("#review-summary")
    idle_page.key("?")
    inside = idle_page.tab.evaluate(
        """() => [...document.querySelectorAll('#keys li')].map((line) => line.getBoundingClientRect())
            .every((box) => box.height && box.top >= 0 && box.bottom <= innerHeight)"""
    )
    assert inside
    idle_page.key("Escape")


@pytest.mark.parametrize(("code", "typed"), [("KeyQ", "/"), ("KeyQ", "ב")])
@pytest.mark.slow
def test_hebrew_layout_uses_key_positions(page, session, one_object, code, typed):
    press(page, "KeyX", "ס")
    press(page, code, typed)
    page.wait_until(lambda: Describe().run(session).checked == [0])
