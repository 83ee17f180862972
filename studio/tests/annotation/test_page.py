"""The page in a real browser on a drawn video: mouse, keyboard, pen, fingers, tabs, objects, look, accessibility."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from PIL import Image

from aotlab import TrackerOptions
from aotlab_studio.document import editing
from aotlab_studio.opening import open_document
from aotlab_studio.session.session import Session
from aotlab_studio.tracking.models import TrackerLoader
from studio.tests.annotation.browser import (
    VIEWPORT,
    Page,
    Wire,
    choose_status,
    find_violations,
    iou,
    needs_browser,
)
from studio.tests.annotation.clips import (
    LENGTH,
    TruthTracker,
    draw,
    draw_folder,
    hold,
    open_session,
    start_job,
    truth,
)
from studio.tests.annotation.served import TOKEN, Served
from tests.marks import slow

pytestmark = needs_browser


def test_page_works_with_the_keyboard_only(page):
    page.tab.focus("#view")
    page.key("x", "w")
    move_cursor(page, 2, 2)
    page.key("Enter")
    move_cursor(page, 18, 18)
    page.key_done("Enter")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9
    page.track("t", last=4)
    assert (page.labels(4) == 1).any()
    page.key("?")
    assert page.tab.is_visible("#help-dialog")
    page.key("Escape", "End")
    page.wait_frame(LENGTH - 1)
    page.key("Home", "ArrowRight")
    page.status("Frame 1; object 1 tracked")
    page.key_done("m")
    assert not (page.labels(1) == 1).any()
    page.key_done("Control+z")
    assert (page.labels(1) == 1).any()


def move_cursor(page, x, y):
    """Move the keyboard's cursor to a pixel."""
    for _ in range(1000):
        at = re.findall(r"\d+", page.tab.inner_text("#status"))
        dx, dy = x - int(at[0]), y - int(at[1])
        if dx == dy == 0:
            return
        key, distance = ("d" if dx > 0 else "a", abs(dx)) if dx else ("s" if dy > 0 else "w", abs(dy))
        page.key(key if distance >= 8 else f"Shift+{key}")
    pytest.fail("the cursor did not arrive")


def test_two_tabs_share_changes_and_ask_no_other_host(page, served):
    other = Page(page.tab.context, served.url)
    page.drag((15, 10), (20, 12))
    other.shows("object 1")
    other.key_done("Control+z")
    other.status("made in another window")
    page.key_done("Control+z")
    other.shows()
    assert all(url.startswith((served.address, "data:", "blob:")) for url in page.requests + other.requests)
    assert other.problems == []


def send_touch(page, kind, *points):
    """Put fingers on pixels of the frame, move or lift them."""
    places = [dict(zip(("x", "y"), page.at(*point), strict=True)) for point in points]
    points = [{**place, "id": number} for number, place in enumerate(places)]
    page.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_one_finger_draws_and_two_pan_and_zoom(page):
    with page.done():
        send_touch(page, "touchStart", (10, 10))
        send_touch(page, "touchMove", (16, 12))
        send_touch(page, "touchMove", (22, 14))
        send_touch(page, "touchEnd")
    drawn = page.labels(0)
    assert drawn[12, 16] == 1
    before = page.place()
    send_touch(page, "touchStart", (20, 20))
    send_touch(page, "touchStart", (20, 20), (40, 20))
    send_touch(page, "touchMove", (15, 22), (45, 22))
    send_touch(page, "touchMove", (10, 24), (50, 24))
    send_touch(page, "touchEnd")
    page.until(lambda: page.place()[-1] > 1.2 * before[-1])
    assert (page.labels(0) == drawn).all()


def test_tap_clicks_and_two_fingers_do_not(page):
    page.key("c")
    send_touch(page, "touchStart", (20, 20))
    send_touch(page, "touchStart", (20, 20), (40, 20))
    send_touch(page, "touchMove", (18, 20), (42, 20))
    send_touch(page, "touchEnd")
    assert not page.labels(0).any()
    page.key("0")
    with page.done():
        send_touch(page, "touchStart", (10, 10))
        send_touch(page, "touchEnd")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9


def pen(page, kind, point, **values):
    x, y = page.at(*point)
    pressed = {"button": "left", "buttons": 1, "pointerType": "pen", "force": 0.5, "clickCount": 1} | values
    page.devtools.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **pressed})


def test_pen_draws_and_its_second_button_erases(page):
    page.tab.evaluate(
        """window.kinds = new Set();
        document.addEventListener('pointerdown', (event) => kinds.add(event.pointerType));"""
    )
    for button, left in (({}, True), ({"button": "right", "buttons": 2}, False)):
        with page.done():
            pen(page, "mousePressed", (15, 10), **button)
            pen(page, "mouseMoved", (20, 12), **button)
            pen(page, "mouseReleased", (20, 12), **button)
        assert (page.labels(0) == 1).any() == left
    assert page.tab.evaluate("[...kinds]") == ["pen"]


def test_back_button_of_the_mouse_draws_nothing(page):
    before = page.pixel(17, 10)
    for kind, x in (("mousePressed", 15), ("mouseMoved", 20)):  # its release goes back
        pen(page, kind, (x, 10), button="back", buttons=8, pointerType="mouse")
    page.settle()
    assert page.pixel(17, 10) == before


def test_palm_beside_the_pen_draws_nothing(page):
    with page.done():
        pen(page, "mousePressed", (10, 10))
        pen(page, "mouseMoved", (15, 10))
        send_touch(page, "touchStart", (40, 30))
        send_touch(page, "touchMove", (42, 30))
        pen(page, "mouseMoved", (20, 10))
        send_touch(page, "touchEnd")
        pen(page, "mouseReleased", (20, 10))
    drawn = page.labels(0)
    assert [drawn[10, 12], drawn[10, 18]] == [1, 1]
    assert not drawn[25:].any()


def test_third_finger_does_not_draw(idle_page):
    fingers = (10, 10), (20, 10), (30, 30)
    before = idle_page.pixel(30, 30)
    for count in (1, 2, 3):
        send_touch(idle_page, "touchStart", *fingers[:count])
    send_touch(idle_page, "touchEnd")
    idle_page.tab.mouse.move(*idle_page.at(5, 35))
    idle_page.settle()
    assert idle_page.pixel(30, 30) == before


def test_lifted_finger_does_not_move_the_view(idle_page):
    idle_page.tab.evaluate(
        "document.addEventListener('pointerdown', ({ pointerId }) => { window.newest = pointerId; })"
    )
    send_touch(idle_page, "touchStart", (10, 10))
    send_touch(idle_page, "touchStart", (10, 10), (40, 10))
    send_touch(idle_page, "touchMove", (11, 10), (41, 10))
    # the protocol lifts all fingers at once only
    idle_page.tab.evaluate(
        "document.getElementById('view').dispatchEvent(new PointerEvent('pointerup', { pointerId: newest }))"
    )
    send_touch(idle_page, "touchMove", (12, 10), (41, 10))
    send_touch(idle_page, "touchEnd")
    idle_page.tab.mouse.move(*idle_page.at(30, 20))
    idle_page.until(lambda: len(idle_page.place()) == 3)
    assert idle_page.place()[:2] == pytest.approx([28, 20], abs=1)


def test_subtract_button_erases(page):
    page.drag((15, 10), (20, 12))
    page.tab.click("#subtract")
    page.drag((15, 10), (20, 12))
    assert not page.labels(0).any()


def test_box_removes_nothing_and_says_so(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.click("#subtract")
    page.key("x")
    page.stroke((5, 5), (30, 30))
    page.status("A box only adds")
    assert (page.labels(0) == truth(0) * (truth(0) == 1)).all()


@pytest.mark.parametrize("tool", ["x", "c"])
def test_double_click_beside_the_objects_makes_one_object(page, session, tool):
    draw(session, 0, 1)
    page.objects(1)
    rows = iter((4, 20, 36))

    def segment(frame, prompts):  # each time another mask, not at the click
        labels = np.zeros(frame.shape[:2], np.uint8)
        labels[next(rows) :][:3, 50:58] = max(prompts)
        return labels

    session.segmenter = segment
    page.key(tool)
    with page.done():
        page.tab.mouse.dblclick(*page.at(45, 30))
    page.objects(2)
    page.settle()
    assert len(session.document.snapshot.objects) == 2


def test_problems_of_a_project_stay_in_view(page, session, monkeypatch):
    monkeypatch.setattr(type(session.document), "conflict", "the clip was tracked again")
    page.tab.reload()
    page.status("tracked again")
    page.drag((15, 10), (20, 12))
    assert "tracked again" in page.tab.inner_text("#problems")


@pytest.mark.parametrize("field", ["note", "frame", "last"])
def test_escape_discards_what_was_typed(page, session, field):
    before = page.tab.input_value(f"#{field}")
    page.tab.focus(f"#{field}")
    page.key("7", "Escape")
    page.key_done("n")
    assert page.tab.input_value(f"#{field}") == before
    state = session.document.snapshot.state
    assert (state.notes, state.ranges) == ({}, {})
    page.wait_frame(0)


def test_masks_are_loaded_from_a_file(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.status("Masks loaded on frame 0")
    assert (page.labels(0) == truth(0)).all()
    for name, content in (("$&.json", "{}"), ("x.png", "x"), ("y.zip", "PK")):
        (tmp_path / name).write_text(content)
        page.tab.set_input_files("#load", tmp_path / name)
        page.status(f"{name}: not ")


def test_page_asks_which_object_a_loaded_mask_is(page, session, tmp_path):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.tab.click("#objects [name=select2]")
    Image.fromarray((truth(3) == 1).astype(np.uint8)).save(tmp_path / "mask.png")
    page.seek(3)
    page.tab.set_input_files("#load", tmp_path / "mask.png")
    page.tab.wait_for_selector("dialog[open]")
    assert page.tab.input_value("dialog[open] select") == "1"
    page.tab.select_option("dialog[open] select", "2")
    page.tab.click("dialog[open] .main")
    page.status("Masks loaded on frame 3")
    assert ((page.labels(3) == 2) == (truth(3) == 1)).all()


def test_model_is_chosen_in_the_page(context, folder):
    loader = TrackerLoader(TrackerOptions(), [folder / "other.safetensors"])
    served = Served(Session(open_document(folder), TruthTracker, loader=loader))
    page = Page(context, served.url)
    with page.done():
        page.tab.select_option("#model", "other")
    assert loader.chosen == "other"
    assert page.problems == []
    served.close()


def test_controls_have_names_and_the_page_fits(page):
    page.drag((15, 10), (20, 12))
    unnamed = page.tab.evaluate(
        """[...document.querySelectorAll('button, input, select, canvas[tabindex], a[href]')].filter((control) =>
            !(control.getAttribute('aria-label') || control.textContent.trim() || control.title
              || (control.labels && control.labels.length))).map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    sides = page.tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert sides == list(VIEWPORT.values())


def test_focus_is_visible_on_every_kind_of_control(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.mouse.move(2, 2)
    controls = (
        "#view", "#subtract", "#frame", "#load", "#fill", "#strips", "#objects [type=color]",
        "#objects [name=select1]",
    )  # fmt: skip
    for control in controls:
        page.tab.evaluate("document.activeElement.blur()")
        before = page.tab.screenshot()
        page.tab.locator(control).evaluate("control => control.focus({ focusVisible: true })")
        assert page.tab.screenshot() != before, control


def test_frame_has_no_focus_ring_while_the_mouse_draws(page):
    style = "getComputedStyle(document.getElementById('view')).outlineStyle"
    page.tab.focus("#view")
    page.key("w")
    assert page.tab.evaluate(style) != "none"
    page.drag((10, 10), (20, 10))
    assert page.tab.evaluate(style) == "none"
    page.key("w")
    assert page.tab.evaluate(style) != "none"


CONTRASTS = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const back = (node) => {
        for (; node; node = node.parentElement) {
            const color = parse(getComputedStyle(node).backgroundColor);
            if (color.length === 3 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('button:not(:disabled), label, h1, h2, span, p, #status, [placeholder]')]
        .filter((node) => node.offsetParent && node.id !== 'empty' && (node.placeholder || node.textContent.trim()))
        .map((node) => {
            const style = getComputedStyle(node, node.placeholder ? '::placeholder' : null);
            const both = [light(parse(style.color)), light(back(node))].sort((x, y) => y - x);
            return [(both[0] + 0.05) / (both[1] + 0.05), node.placeholder || node.textContent.trim().slice(0, 20)];
        });
}"""


def test_text_contrast_is_aa_in_light_and_dark(page):
    page.drag((15, 10), (20, 12))
    for scheme in ("light", "dark"):
        page.tab.emulate_media(color_scheme=scheme)
        ratios = page.tab.evaluate(CONTRASTS)
        assert len(ratios) > 20
        assert min(ratios)[0] >= 4.5, (scheme, min(ratios))


def click(page, x, y, **how):
    with page.done():
        page.tab.mouse.click(*page.at(x, y), **how)


def test_clicks_refine_a_box_with_either_tool(page):
    for tool in ("x", "c"):
        page.key("x")
        page.drag((2, 2), (56, 38))
        assert (page.labels(0) == 1)[26:34, 41:49].all()
        if tool == "c":
            page.key("c")
        click(page, 45, 30, button="right")
        assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9
        page.key_done("r")


def test_marks_are_those_of_the_last_click(page, session):
    shapes = truth(0) > 0
    shapes[30:36, 5:11] = True
    editing.add_object(session.document)
    editing.edit_mask(session.document, 0, 1, lambda _: shapes, "shapes")
    page.shows("object 1")
    session.segmenter = lambda frame, prompts: (truth(0) == 1).astype(np.uint16)

    def wait_marks(count):
        points = ((45, 30), (8, 33))
        page.until(lambda: sum(page.pixel(*point)[:3] == [0, 0, 0] for point in points) == count)

    page.key("c")
    click(page, 45, 30, button="right")
    wait_marks(1)
    editing.change_object(session.document, 1, name="fish")
    wait_marks(0)
    page.key_done("Control+z")
    assert not (page.labels(0) == 1)[30, 45]
    wait_marks(1)
    page.seek(1)
    wait_marks(0)
    page.seek(0)
    wait_marks(1)
    click(page, 8, 33, button="right")
    wait_marks(2)
    page.tab.click("#undo")
    wait_marks(1)
    page.key_done("Backspace")
    wait_marks(0)
    assert (page.labels(0) == shapes).all()
    page.key_done("Control+Shift+z")
    wait_marks(1)


def test_scribble_makes_and_corrects_a_mask(page):
    page.key("z")
    click(page, 10, 10)  # a short one
    assert iou(page.labels(0) > 0, truth(0) == 1) > 0.9
    page.key_done("Control+z")
    page.drag((7, 7), (12, 12))
    assert iou(page.labels(0) > 0, truth(0) == 1) > 0.9
    page.key_done("Control+z")
    page.key("x")
    page.drag((2, 2), (56, 38))
    assert (page.labels(0) > 0)[26:34, 41:49].all()
    page.key("z")
    page.tab.keyboard.down("Shift")
    page.drag((42, 27), (47, 32))
    page.tab.keyboard.up("Shift")
    assert iou(page.labels(0) > 0, truth(0) == 1) > 0.9


def test_negative_click_needs_a_mask(page, session):
    page.key("c")
    page.tab.mouse.click(*page.at(45, 30), button="right")
    page.status("click on the object first")
    page.key("Escape")
    draw(session, 0, 1, 2)
    page.shows("object 1", "object 2")
    editing.merge_objects(session.document, 2, 1)
    page.objects(1)
    page.shows("object 1")
    click(page, 45, 30, button="right")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9


def test_enter_or_the_first_corner_closes_a_polygon(page):
    page.key("p")
    for last in ("Enter", "Shift+Enter", None):
        for removes in (False, True):
            if removes:
                page.tab.keyboard.down("Shift")
            page.click((10, 10), (30, 10), (30, 30))
            page.tab.keyboard.up("Shift")
            with page.done():
                if last:
                    page.key(last)
                else:
                    page.tab.mouse.click(*page.at(10, 10))
            assert (page.labels(0) > 0)[14, 20:28].any() != removes
        page.key_done("Control+z")
        page.key_done("Control+z")
        assert not page.labels(0).any()


def test_pan_keeps_the_corners_of_a_polygon(page):
    page.key("p")
    page.click((10, 10), (30, 10))
    page.key("h")
    cursor = "getComputedStyle(document.getElementById('view')).cursor"
    assert page.tab.evaluate(cursor) == "grab"
    page.tab.mouse.dblclick(*page.at(50, 35))
    page.key("p")
    assert page.tab.evaluate(cursor) == "crosshair"
    page.tab.mouse.click(*page.at(30, 30))
    page.key_done("Enter")
    assert (page.labels(0) > 0)[14, 20:28].all()
    page.tab.mouse.click(*page.at(50, 5))
    page.key("h", "b", "p")
    page.settle()
    assert page.pixel(50, 5)[:3] != [255, 255, 255]


def test_frame_does_not_move_when_objects_are_added(page):
    places = []
    for _ in range(3):
        page.key_done("n")
        places.append(page.at(30, 20))
    assert places[0] == places[1] == places[2]


def test_help_shows_all_keys_and_the_empty_review_its_purpose(idle_page):
    assert "After tracking" in idle_page.tab.inner_text("#review-summary")
    idle_page.key("?")
    inside = idle_page.tab.evaluate(
        """() => [...document.querySelectorAll('#keys li')].map((line) => line.getBoundingClientRect())
            .every((box) => box.height && box.top >= 0 && box.bottom <= innerHeight)"""
    )
    assert inside
    idle_page.key("Escape")


def test_help_opens_at_its_top(idle_page):
    idle_page.tab.set_viewport_size({"width": 390, "height": 844})
    idle_page.key("?")
    assert idle_page.tab.evaluate("document.getElementById('help-dialog').scrollTop") == 0
    idle_page.key("Escape")


def test_pointer_previews_the_mask_of_a_click(idle_page):
    before = idle_page.pixel(7, 7)
    idle_page.key("c")
    idle_page.tab.mouse.move(*idle_page.at(10, 10))
    idle_page.until(lambda: idle_page.pixel(7, 7) != before)
    assert min(idle_page.pixel(7, 7)) > min(before)
    idle_page.key("b")
    idle_page.tab.mouse.move(*idle_page.at(30, 30))
    idle_page.until(lambda: idle_page.pixel(7, 7) == before)


def test_pointer_shows_that_a_preview_is_slow(page, session):
    released = threading.Event()
    segment = session.segmenter

    def wait_and_segment(frame, prompts):
        released.wait(60)
        return segment(frame, prompts)

    session.segmenter = wait_and_segment
    page.key("c")
    page.tab.mouse.move(*page.at(10, 10))
    cursor = "getComputedStyle(document.getElementById('view')).cursor"
    page.until(lambda: page.tab.evaluate(cursor) == "progress")
    released.set()
    page.until(lambda: page.tab.evaluate(cursor) == "crosshair")


def test_box_away_from_the_object_makes_a_new_one(page):
    page.key("x")
    page.drag((2, 2), (18, 18))
    page.drag((37, 22), (53, 38))
    found = page.labels(0)
    assert iou(found == 1, truth(0) == 1) > 0.9
    assert iou(found == 2, truth(0) == 2) > 0.9
    page.selected("object 2")
    page.tab.click("text=Add to object 1 instead")
    page.until(lambda: (page.labels(0) == (found > 0)).all())
    page.objects(1)
    page.selected("object 1")


def test_box_around_the_object_replaces_its_mask(page):
    page.drag((6, 8), (13, 8))
    page.key("x")
    page.drag((2, 2), (18, 18))
    found = page.labels(0)
    assert set(np.unique(found)) == {0, 1}
    assert iou(found == 1, truth(0) == 1) > 0.9


def test_click_away_adds_and_click_on_a_mask_selects(page):
    page.key("x")
    page.drag((2, 2), (18, 18))
    page.key("c")
    with page.done():
        page.tab.mouse.click(*page.at(45, 30))
    page.selected("object 2")
    before = page.labels(0)
    page.tab.mouse.click(*page.at(10, 10))
    page.selected("object 1")
    assert (page.labels(0) == before).all()


def test_double_click_isolates_an_object(page, session):
    draw(session, 0, 1, 2)
    page.shows("object 1", "object 2")
    page.key("c")
    before = page.labels(0)
    for shown in (["object 2"], ["object 1", "object 2"]):
        page.tab.mouse.dblclick(*page.at(45, 30))
        page.shows(*shown)
    page.selected("object 2")
    assert (page.labels(0) == before).all()


def test_double_click_on_nothing_isolates_nothing(page, session):
    draw(session, 0, 2)
    page.shows("object 2")
    page.key("c")
    page.tab.mouse.move(*page.at(10, 10))
    for count in (1, 2):
        page.tab.mouse.down(click_count=count)
        page.tab.mouse.up(click_count=count)
        page.tab.wait_for_selector("#view[aria-description*='object 1']")
    page.shows("object 1", "object 2")


def test_backspace_removes_corners_before_objects(page):
    page.drag((10, 10), (14, 10))
    page.key("p")
    page.click((20, 20), (40, 20), (40, 35), (20, 35))
    page.key("Backspace", "Control+z")
    page.objects(1)
    assert (page.labels(0) == 1).any()
    page.key("Backspace", "Backspace", "Backspace", "Backspace")
    with page.done():
        page.key("f")
    page.objects(1)
    page.key_done("Delete")
    page.objects(0)


@pytest.mark.parametrize("key", ["Shift+Delete", "Shift+Backspace"])
def test_both_delete_keys_clear_tracking(page, session, key):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    assert session.document.snapshot.labels(5).any()
    page.seek(5)
    page.key_done(key)
    assert not session.document.snapshot.labels(5).any()


def test_dropped_polygon_is_restored_by_its_button(page):
    page.drag((10, 10), (14, 10))
    for key in ("ArrowRight", "b", "n", "t"):
        page.key("p")
        page.click((20, 20), (40, 20), (40, 35), (20, 35))
        assert not page.may_leave(), key
        page.key(key)
        page.tab.click("text=Restore")
        page.wait_frame(0)
        page.key_done("Control+Enter")
        assert page.labels(0)[25, 30] == 1, key
        page.key_done("Control+z")
        assert page.labels(0)[25, 30] == 0, key


def test_restored_polygon_replaces_no_newer_one(page):
    page.key("p")
    page.click((10, 10), (30, 10), (30, 30))
    page.key("Escape")
    page.click((40, 20), (55, 20), (55, 35), (40, 35))
    for x, y in ((28, 12), (50, 30)):
        page.tab.click(".toast >> text=Restore")
        page.key_done("Control+Enter")
        assert page.labels(0)[y, x]


def test_subtract_is_in_view_on_a_phone(idle_page):
    idle_page.tab.set_viewport_size({"width": 390, "height": 844})
    box, bar = (idle_page.tab.locator(name).bounding_box() for name in ("#subtract", "#tools"))
    assert box["y"] + box["height"] <= bar["y"] + bar["height"]


def test_undo_of_a_new_object_selects_the_one_before(page, session):
    draw(session, 0, 1)
    page.objects(1)
    for tool in ("n", "x", "g"):
        if tool == "g":
            page.key("b")
            page.drag((30, 5), (34, 5))
        page.key(tool)
        if tool == "x":
            page.drag((37, 22), (53, 38))
        elif tool == "g":
            with page.done():
                page.tab.mouse.click(*page.at(32, 5))
        page.objects(2)
        page.tab.wait_for_selector("#objects li:last-child.selected")
        page.key_done("Control+z")
        page.objects(1)
        page.selected("object 1")
        assert not page.tab.is_visible("#empty")
    page.key("b")
    page.drag((10, 10), (20, 10))
    page.objects(1)


def test_page_says_when_a_stroke_starts_an_object(page, session):
    assert "a new object" in page.tab.inner_text("#empty")
    page.drag((10, 10), (20, 10))
    assert not page.tab.is_visible("#empty")
    page.key_done("Control+z")
    page.objects(0)
    assert page.tab.is_visible("#empty")
    for _ in range(2):
        editing.add_object(session.document)
    page.objects(2)
    page.key_done("Delete")
    page.objects(1)
    assert page.tab.is_visible("#empty")


def test_focused_color_does_not_freeze_the_list(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.focus("#objects [type=color]")
    editing.add_object(session.document)
    editing.change_object(session.document, 1, name="fish", color="#123456")
    page.objects(2)
    page.tab.wait_for_selector("#objects .name >> text=fish")
    swatch = page.tab.locator("#objects [type=color]:focus")
    assert swatch.input_value() == "#123456"
    assert swatch.get_attribute("aria-label") == "Color of fish"
    editing.delete_object(session.document, 1)
    page.objects(1)


def test_message_offers_undo_of_the_last_step_only(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.key_done("Delete")
    with page.done():
        page.tab.click(".toast >> text=Undo")
    assert [*session.document.snapshot.objects] == [1]
    page.key_done("Delete")
    page.tab.wait_for_selector(".toast")
    editing.add_object(session.document)
    page.tab.wait_for_selector(".toast", state="detached")


def test_message_with_a_button_stays_until_it_is_closed(clock_context, served, session):
    draw(session, 0, 1)
    page = Page(clock_context, served.url, opened=False)
    page.tab.clock.install()
    page.open()
    page.key("Delete")
    page.tab.wait_for_selector(".toast >> text=Undo")
    page.tab.clock.run_for(600_000)
    page.tab.click(".toast [aria-label='Close this message']")
    page.tab.wait_for_selector(".toast", state="detached")


def test_error_stays_until_it_is_closed(idle_page):
    tab = idle_page.tab
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 844})
        idle_page.key("g")
        tab.mouse.click(*idle_page.at(10, 10))
        tab.wait_for_selector("#status.error")
        error = tab.inner_text("#status")
        idle_page.key("x")  # its help is no reason to go
        assert tab.inner_text("#status") == error
        if width == 390:
            tab.click("#panels")
        tab.click("#status.error [aria-label='Close this message']")
        assert tab.inner_text("#status") == ""
    tab.click("#panels")


def test_error_disappears_with_the_next_success(page):
    before = page.at(10, 10)
    page.answer(re.compile("/frame/3"), lambda route: route.fulfill(status=404, body="x " * 400))
    page.tab.fill("#frame", "3")
    page.tab.press("#frame", "Enter")
    page.status("x x x")
    assert page.at(10, 10) == before
    page.drag((10, 10), (20, 10))
    assert page.tab.inner_text("#status") == ""


def test_keys_act_on_the_frame_after_a_slider_was_used(idle_page):
    idle_page.tab.click("#opacity")
    idle_page.key("ArrowRight")
    idle_page.wait_frame(1)


def test_control_that_is_changed_by_key_keeps_the_focus(page):
    for control, key in (("opacity", "ArrowDown"), ("fill", "Space")):
        page.tab.focus(f"#{control}")
        page.key(key)
        page.settle()
        assert page.tab.evaluate("document.activeElement.id") == control


def press(page, code, key, **how):
    page.tab.evaluate(
        """([code, key, how]) => document.getElementById('view').dispatchEvent(
            new KeyboardEvent('keydown', { code, key, bubbles: true, cancelable: true, ...how }))""",
        [code, key, how],
    )


def test_brackets_follow_their_place_and_letters_do_not(idle_page):
    press(idle_page, "KeyZ", "w")
    idle_page.status("Cursor at 30, 12")
    press(idle_page, "KeyQ", "a")
    idle_page.status("Cursor at 22, 12")
    radius = idle_page.radius()
    press(idle_page, "BracketRight", "*")
    press(idle_page, "BracketLeft", "ü")
    press(idle_page, "BracketLeft", "^")
    assert idle_page.radius() < radius
    zoom = idle_page.place()[2]
    press(idle_page, "BracketRight", "+")
    idle_page.until(lambda: idle_page.place()[2] > zoom)
    press(idle_page, "KeyW", "z", ctrlKey=True)  # undo goes by what is printed
    idle_page.status("")


def test_letters_follow_their_place_without_latin_letters(idle_page):
    press(idle_page, "KeyB", "и")
    assert idle_page.tool() == "brush"
    press(idle_page, "KeyX", "ч")
    assert idle_page.tool() == "box"


def test_keys_zoom_at_the_cursor_and_pan(idle_page):
    assert idle_page.tab.get_attribute("#readout", "aria-live") == "off"  # not read out with each move
    idle_page.tab.focus("#view")
    idle_page.key("w", "a")
    idle_page.until(lambda: idle_page.place()[:2] == [22, 12])
    before = idle_page.place()[2]
    idle_page.key("+", "PageUp")
    idle_page.settle()
    assert idle_page.place()[2] > 1.5 * before
    zoom = idle_page.place()[2]
    assert idle_page.place()[:2] == [22, 12]
    idle_page.key("Control+ArrowRight", "Control+ArrowUp")
    idle_page.until(lambda: idle_page.place()[1] != 12)
    assert idle_page.place() == pytest.approx([22 + 8000 / zoom, 12 - 8000 / zoom, zoom], abs=1)


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


def test_delete_in_a_field_deletes_no_object(page, session):
    draw(session, 0, 1)
    page.objects(1)
    for field in ("#objects [type=color]", "#fill", "#opacity", "#note", "#frame"):
        page.tab.focus(field)
        page.key("Delete", "Backspace", "Shift+Delete")
    page.tab.focus("#view")
    page.key_done("n")
    page.objects(2)


def test_reload_keeps_frame_tool_brush_and_look(page):
    page.seek(7)
    page.key("e", "]", "v")
    radius = page.radius()
    page.tab.fill("#opacity", "0.8")
    page.open(page.tab.url)
    page.wait_frame(7)
    assert [page.tool(), page.radius()] == ["eraser", radius]
    assert [page.tab.is_checked("#fill"), page.tab.is_checked("#outline")] == [False, True]
    assert page.tab.input_value("#opacity") == "0.8"


def serve_other_session(served, session, token):
    """Serve another session at the same address."""
    served.close()
    return Served(session(), port=int(served.host.split(":")[1]), token=token)


def test_page_of_earlier_run_shows_message_and_reconnects(page, served, folder):
    other = serve_other_session(served, lambda: open_session(folder), "another")
    page.status("This page belongs to an earlier run")
    page.stroke((15, 10), (20, 12))
    Page(page.tab.context, other.url)
    page.shows("object 1")
    other.close()


def test_message_is_above_the_panels_of_a_narrow_window(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.set_viewport_size({"width": 390, "height": 844})
    page.tab.click("#panels")
    page.tab.click("#delete")
    page.tab.click(".toast button >> text='Undo'")
    page.shows("object 1")


def test_other_video_at_the_same_address_inherits_nothing(page, served, tmp_path):
    page.tab.fill("#first", "3")
    page.tab.press("#first", "Enter")
    page.until(lambda: served.session.document.snapshot.state.ranges == {"track": (3, LENGTH - 1)})
    page.seek(5)
    address = page.tab.url
    page.tab.goto("about:blank")  # or it may reconnect, at this frame, before it is loaded again
    other = serve_other_session(served, lambda: open_session(draw_folder(tmp_path / "other")), TOKEN)
    page.open(address)
    assert page.tab.inner_text("#name") == "other"
    values = [page.tab.input_value(field) for field in ("#first", "#last", "#frame")]
    assert values == ["", "", "0"]
    page.tab.close()
    other.close()


def test_lost_server_leaves_no_unhandled_rejection(page, served):
    served.server.should_exit = True
    served.thread.join(60)
    page.key("ArrowRight", "m", "t", "Shift+Delete")
    page.tab.wait_for_selector("#status.error")
    page.tab.evaluate(
        """() => {
            const status = document.getElementById('status');
            window.said = [];
            new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true });
        }"""
    )  # the next attempt to connect replaces a message
    page.tab.set_input_files("#load", __file__)
    page.until(lambda: any("No connection" in text for text in page.tab.evaluate("window.said")))


def test_upload_without_a_connection_says_so(page):
    page.answer(re.compile("/masks/"), lambda route: route.abort())
    page.tab.set_input_files("#load", __file__)
    page.status("No connection to the program")


def test_dense_screen_uses_css_pixels(browser, served):
    context = browser.new_context(viewport=VIEWPORT, device_scale_factor=2)
    page = Page(context, served.url)
    page.key("p")
    corners = [page.at(10, 10), page.at(30, 10), page.at(30, 30)]
    for corner in corners:
        page.tab.mouse.click(*corner)
    page.tab.mouse.click(corners[0][0] + 11, corners[0][1])  # 11 CSS pixels away: another corner
    assert not page.labels(0).any()
    page.key("Backspace")
    with page.done():
        page.tab.mouse.click(corners[0][0] + 5, corners[0][1])
    assert (page.labels(0) == 1)[14, 20:28].all()
    assert page.problems == []
    context.close()


def test_click_reassigns_a_part(page, session):
    draw(session, 0, 1, 2)
    swapped = truth(0).copy()
    swapped[25:35, 40:50] = 1
    page.shows("object 1", "object 2")
    editing.edit_mask(session.document, 0, 1, lambda _: swapped == 1, "wrong")
    page.shows("object 1")
    page.key("2", "o")
    with page.done():
        page.tab.mouse.click(*page.at(45, 30))
    assert (page.labels(0) == truth(0)).all()
    assert "object 2 took 100 pixels from object 1" in page.tab.inner_text("#toasts")
    with page.done():
        page.tab.click(".toast >> text=Undo")
    assert (page.labels(0) == swapped).all()


@pytest.mark.parametrize("way", ["F2", *slow("double click")])
def test_typed_name_changes_no_mask(page, session, way):
    draw(session, 0, 1, 2)
    page.objects(2)
    if way == "F2":
        page.tab.click("#objects .name >> text='object 1'")
        page.key("F2")
    else:
        page.tab.dblclick("#objects .name >> text='object 1'")
    page.tab.wait_for_selector("#object-name:focus")
    editing.change_object(session.document, 2, color="#123456")  # as by another window
    page.status("")
    page.tab.keyboard.type("Rem")
    page.key_done("Enter")
    assert session.document.snapshot.objects[1].name == "Rem"
    assert (page.labels(0) == truth(0)).all()
    page.key("F2")
    page.tab.keyboard.type("mistake")
    page.key("Escape")
    assert page.tab.input_value("#object-name") == "Rem"


def test_second_delete_removes_no_other_object(page, session):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.key_done("Delete")
    page.objects(1)
    page.key("Delete")
    assert page.tab.is_disabled("#delete")
    page.key_done("n")
    assert [*session.document.snapshot.objects] == [2, 3]


def test_undo_of_a_deletion_selects_the_object(page, session):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.key("2")
    page.key_done("Delete")
    page.key_done("Control+z")
    page.objects(2)
    page.selected("object 2")


def test_prompt_message_names_who_lost_pixels(page, session):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    page.seek(4)
    session.segmenter = lambda frame, prompts: (truth(4) == 1).astype(np.uint16)
    page.key("n", "x")
    page.objects(2)
    page.drag((10, 3), (26, 17))
    page.tab.wait_for_selector(".toast >> text=object 2 took 100 pixels from object 1")
    with page.done():
        page.tab.click(".toast:has-text('took 100 pixels') >> text=Undo")
    assert ((page.labels(4) == 1) == (truth(4) == 1)).all()


def test_protected_pixels_are_counted_and_taken_by_one_click(page, session):
    draw(session, 0, 1)
    session.segmenter = lambda frame, prompts: (truth(0) >= 0).astype(np.uint16)
    page.objects(1)
    page.key("n", "x")
    page.objects(2)
    page.drag((2, 2), (56, 38))
    assert ((page.labels(0) == 1) == (truth(0) == 1)).all()
    page.tab.wait_for_selector(".toast >> text=100 pixels kept by other objects")
    page.tab.click(".toast >> text=Take them")
    page.until(lambda: (page.labels(0) == 2).all())


def test_filled_holes_and_loaded_masks_name_who_lost_pixels(page, session, tmp_path):
    draw(session, 0, 1, 2)
    ring = truth(0) == 2
    ring[28:32, 43:47] = False
    editing.edit_mask(session.document, 0, 2, lambda _: ring, "ring")
    editing.edit_mask(session.document, 0, 1, lambda mask: mask | ((truth(0) == 2) & ~ring), "inside")
    before = page.labels(0)
    page.objects(2)
    page.key("2")
    Image.fromarray(2 * (truth(0) == 2).astype(np.uint8)).save(tmp_path / "mask.png")
    for taker in ("object 2", "The loaded masks"):
        if taker == "object 2":
            page.key("f")
        else:
            page.tab.set_input_files("#load", tmp_path / "mask.png")
        page.tab.wait_for_selector(f".toast >> text={taker} took 16 pixels from object 1")
        assert (page.labels(0) == truth(0)).all()
        with page.done():
            page.tab.click(f".toast:has-text('{taker} took') >> text=Undo")
        assert (page.labels(0) == before).all()


@pytest.mark.slow
@pytest.mark.parametrize("action", ["delete", "merge"])
def test_buttons_delete_and_merge_are_undone_by_a_key(page, session, action):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.key("2")
    page.tab.click(f"#{action}")
    if action == "merge":
        page.tab.click("dialog[open] .main")
        page.selected("object 1")
    page.objects(1)
    page.key_done("Control+z")
    page.objects(2)
    page.shows("object 1", "object 2")
    assert (page.labels(0) == truth(0)).all()


def test_unacknowledged_stroke_asks_before_the_tab_closes(new_page):
    wire = Wire(new_page, "paint")
    assert new_page.may_leave()
    new_page.stroke((10, 10), (20, 10))
    new_page.until(lambda: wire.held)
    assert not new_page.may_leave()
    with new_page.done():
        wire.release()
    assert new_page.may_leave()


def test_preview_of_a_click_goes_with_its_object(page):
    page.key("c")
    page.key_done("n")  # masks that arrive later would drop the preview
    page.tab.mouse.move(*page.at(10, 10))
    page.until(lambda: page.pixel(10, 10)[1] > 100)
    page.key_done("Control+z")
    page.until(lambda: page.pixel(10, 10)[1] < 100)


def test_click_is_previewed_if_it_adds(new_page):
    wire = Wire(new_page)
    new_page.key("c", "u")
    new_page.tab.mouse.move(*new_page.at(10, 10))
    new_page.key_done("n")
    assert wire.list_sent("preview") == []
    new_page.key("u")
    new_page.tab.mouse.click(*new_page.at(45, 30), button="right")
    new_page.status("click on the object first")
    new_page.tab.mouse.move(*new_page.at(10, 10))
    new_page.until(lambda: wire.list_sent("preview"))


def test_help_of_a_tool_shows_in_a_narrow_window(idle_page):
    idle_page.tab.set_viewport_size({"width": 390, "height": 844})
    before = idle_page.at(10, 10)
    idle_page.key("e")
    idle_page.tab.wait_for_selector("#status >> text=Eraser: remove pixels")
    assert idle_page.tab.is_visible("#status")
    assert idle_page.at(10, 10) == before


@pytest.mark.parametrize("width", [620, 1001, 1281, *slow(800, 1024, 1280, 1366, 1440)])
def test_help_of_a_tool_is_not_cut(idle_page, width):
    idle_page.tab.set_viewport_size({"width": width, "height": 700})
    for tool in "xczbelpogh":
        idle_page.key(tool)
        idle_page.tab.wait_for_selector("#status:not(:empty)")
        assert idle_page.tab.evaluate(
            """() => [document.getElementById('status')].every((line) => (
                line.scrollWidth <= line.clientWidth && line.scrollHeight <= line.clientHeight))"""
        ), idle_page.tab.inner_text("#status")


def test_long_message_is_not_cut(idle_page):
    idle_page.tab.set_viewport_size({"width": 1024, "height": 768})
    status = idle_page.tab.locator("#status")
    status.evaluate("line => { line.textContent = 'word '.repeat(40); }")
    assert status.evaluate("line => line.scrollHeight <= line.clientHeight")
    status.evaluate("line => { line.textContent = ''; }")


@pytest.mark.parametrize("size", [(844, 390), (640, 345), (320, 256), (320, 844)], ids=str)
def test_small_window_shows_the_frame(idle_page, size):
    width, height = size
    idle_page.tab.set_viewport_size({"width": width, "height": height})
    assert idle_page.tab.locator("#view").bounding_box()["height"] > 0.4 * height
    assert idle_page.tab.evaluate("document.body.scrollWidth") <= width


def test_forced_colors_show_the_tool_and_the_frame(idle_page):
    idle_page.tab.emulate_media(forced_colors="active")
    style = "(node, name) => getComputedStyle(node)[name]"
    assert idle_page.tab.locator("[data-tool=brush]").evaluate(style, "outlineStyle") == "solid"
    for mark in ("#frame-mark", ".legend .lost"):
        assert idle_page.tab.locator(mark).evaluate(style, "forcedColorAdjust") == "none"
    idle_page.tab.emulate_media(forced_colors="none")


@pytest.mark.parametrize("size", [(390, 844), (1440, 900), *slow(((768, 1024),), ((1024, 640),))], ids=str)
def test_image_has_most_of_the_width(idle_page, size):
    width, height = size
    idle_page.tab.set_viewport_size({"width": width, "height": height})
    assert idle_page.tab.locator("#view").bounding_box()["width"] > 0.61 * width
    if width <= 1000:
        assert not idle_page.tab.is_visible("#objects")
        idle_page.tab.click("#panels")
    assert idle_page.tab.is_visible("#add")
    assert idle_page.tab.locator("button.main:visible").all_inner_texts() == ["Track"]
    track = idle_page.tab.locator("#track").bounding_box()
    assert 0 <= track["x"] <= width - track["width"]
    assert track["y"] <= height - track["height"]
    if width <= 1000:
        idle_page.tab.click("#panels")


def test_shared_project_takes_changes_of_named_people_only(new_page, browser, served):
    document, page = served.session.document, new_page
    document.shared = True
    page.open()
    page.key("b")
    page.drag((15, 10), (20, 12))
    page.status("type your name first")
    assert not page.labels(0).any()
    page.tab.fill("#person", "Ann")
    page.tab.press("#person", "Enter")
    page.until(lambda: page.tab.inner_text("#status") == "")  # connected again
    page.drag((15, 10), (20, 12))
    assert page.labels(0).any()
    assert [entry.author for entry in document.log.entries.values()] == ["Ann"]
    assert page.tab.get_attribute("#undo", "title").startswith("Undo (Ctrl+Z): brush · Ann · ")
    context = browser.new_context()
    context.add_cookies([{"name": "aotlab_person", "value": "50%", "url": served.address}])
    other = Page(context, served.url)
    choose_status(other.tab, "accepted")
    page.until(lambda: page.tab.inner_text("#clip-status") == "accepted")
    assert document.log.status.author == "50%"  # as it is, not percent-encoded
    context.close()


def test_class_and_attributes_are_typed_for_the_object(page, session):
    draw(session, 0, 1)
    page.objects(1)
    for field, text in (("#class", "fish"), ("#attributes", "color=red, big, note=")):
        page.tab.fill(field, text)
        page.tab.press(field, "Enter")
        page.tab.evaluate("document.activeElement.blur()")
    page.until(
        lambda: session.document.snapshot.objects[1].attributes == {"color": "red", "big": "true", "note": ""}
    )
    assert session.document.snapshot.state.classes == {"fish": 1}
    page.tab.wait_for_selector("#objects .class >> text=fish")
    assert page.tab.get_attribute("#classes option", "value") == "fish"


def test_page_has_no_accessibility_violation(page, session):
    draw(session, 0, 1)
    page.objects(1)
    assert find_violations(page.tab) == []
    for dialog in ("#help", "#export", "#open-versions"):
        page.tab.click(dialog)
        page.tab.wait_for_selector("dialog[open]")
        assert find_violations(page.tab) == [], dialog
        page.tab.keyboard.press("Escape")
        page.tab.wait_for_selector("dialog[open]", state="detached")


def test_selection_of_another_object_ends_isolation(page, session):
    draw(session, 0, 1, 2)
    page.shows("object 1", "object 2")
    for key in ("1", "n"):
        page.key("x")
        page.tab.mouse.dblclick(*page.at(45, 30))
        page.shows("object 2")
        page.key(key)
        page.shows("object 1", "object 2")
    page.objects(3)


def test_click_on_an_invisible_mask_selects_nothing(page, session):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.key("1")
    editing.change_object(session.document, 2, hidden=True)
    page.shows("object 1")
    page.key("c")
    page.tab.mouse.dblclick(*page.at(45, 30))
    page.wait_idle()
    assert page.tab.get_attribute("#objects [name=select2]", "aria-pressed") == "false"
    page.tab.focus("#view")
    page.key("w")
    move_cursor(page, 45, 30)
    assert "object 2" not in page.tab.inner_text("#status")


def test_escape_changes_no_status(page, session):
    page.tab.click("#clip-status")
    page.tab.keyboard.type("dark")
    page.key("Escape")
    page.key_done("n")
    assert session.document.log.status is None


def test_running_tracking_can_be_stopped_in_every_window(page, session):
    draw(session, 0, 1)
    page.objects(1)
    for width, height in ((390, 700), (1000, 700), (1280, 560)):
        tracker = hold(session, 2)
        page.tab.set_viewport_size({"width": width, "height": height})
        before = page.at(30, 20)
        job = start_job(session, 0)
        page.tab.wait_for_selector("#progress")
        assert page.at(30, 20) == before  # a stroke continues at the same position
        stop = page.tab.locator("#stop").bounding_box()
        assert stop["y"] + stop["height"] <= height
        page.tab.click("#stop")
        tracker.allow()
        job.wait()
        page.tab.wait_for_selector("#job", state="hidden")


def test_held_key_acts_once_unless_it_moves(page):
    for _ in range(3):
        page.tab.keyboard.down("n")  # as while it is held
        page.tab.keyboard.down("ArrowRight")
    page.wait_frame(3)
    page.objects(1)


def test_pause_does_not_wait_for_a_box(new_page, session):
    draw(session, 0, 1)
    wire = Wire(new_page, "suggest")
    tracker = hold(session, 2)
    start_job(session, 0)
    new_page.tab.wait_for_selector("#job-text >> text=running")
    new_page.key("x")
    new_page.stroke((37, 22), (53, 38))
    new_page.until(lambda: wire.held)
    new_page.key("k")
    new_page.until(lambda: wire.list_sent("pause"))
    wire.release()
    new_page.key("Escape")
    tracker.allow()


def test_resized_frame_is_never_blank(idle_page):
    color = idle_page.tab.evaluate(
        """() => new Promise((end) => {
            const view = document.getElementById('view');
            let isFirst = true;
            new ResizeObserver(() => {
                const { width, height } = view;
                if (isFirst) document.querySelector('main').style.marginRight = '50px';
                else end([...view.getContext('2d').getImageData(width / 2, height / 2, 1, 1).data]);
                isFirst = false;
            }).observe(view);
        })"""
    )
    idle_page.tab.evaluate("document.querySelector('main').style.marginRight = ''")
    assert color[3] == 255


def test_header_of_a_rejected_clip_fits(page, session):
    session.document.set_status("rejected", note="the ear is missing on most of the frames after 100")
    for width in (390, 620, 720, 1280):
        page.tab.set_viewport_size({"width": width, "height": 844})
        page.tab.wait_for_selector("#clip-status >> text=rejected: the ear")
        right = "[...document.querySelectorAll('header *')].map((node) => node.getBoundingClientRect().right)"
        assert page.tab.evaluate(f"Math.max(...{right})") <= width


def test_delete_removes_the_object_of_the_focused_row(page, session):
    draw(session, 0, 1, 2)
    page.objects(2)
    page.key("1")
    page.tab.focus("#objects [name=select2]")
    page.key_done("Delete")
    assert [*session.document.snapshot.objects] == [1]
    page.tab.focus("#objects [name=select1]")
    page.key_done("Meta+Backspace")
    assert not session.document.snapshot.objects


def test_step_of_another_window_is_not_offered_to_undo(page, session, context, served):
    other = Page(context, served.url)
    other.key("b")
    other.drag((10, 10), (14, 10))
    page.tab.wait_for_selector("#undo[title$='made in another window']:disabled", state="attached")
    assert other.tab.is_enabled("#undo")
    other.tab.close()
    page.tab.wait_for_selector("#undo[title$='brush']:enabled")
