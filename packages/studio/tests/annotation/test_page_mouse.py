"""The page in a browser: boxes, clicks, scribbles, strokes and polygons with the mouse."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from aotlab.media.prompt import mask_to_box
from aotlab_testing.browser import iou, needs_browser
from aotlab_testing.marks import slow
from aotlab_testing.processes import wait_for_event
from studio.tests.annotation.browser import VIEWPORT, Page, Wire
from studio.tests.annotation.clips import truth
from studio.tests.annotation.sessions import draw, set_mask
from studio.tests.annotation.trackers import segment_stripes

pytestmark = needs_browser


def test_useless_box_is_refused(page, one_object):
    page.key("x")
    page.tab.keyboard.down("Shift")
    page.stroke((5, 5), (30, 30))
    page.tab.keyboard.up("Shift")
    page.wait_status("A box only adds")
    page.stroke((5, 5), (50, 5))
    page.wait_status("The box is too thin")
    np.testing.assert_array_equal(page.labels(0), truth(0) * (truth(0) == 1))


@pytest.mark.parametrize("tool", [*slow("x"), "c"])
def test_double_click_beside_the_objects_makes_one_object(page, session, tool, one_object):
    session.prompter.segmenter = segment_stripes(4, 20, 36)
    page.key(tool)
    with page.done():
        page.tab.mouse.dblclick(*page.at(45, 30))
    page.wait_objects(2)
    page.settle()
    assert len(session.document.snapshot.objects) == 2


def test_undo_button_removes_a_corner_before_the_first_step(page):
    page.key("p")
    page.click((10, 10), (40, 10), (40, 35), (10, 35))
    page.tab.click("#undo")
    page.key_done("Enter")
    assert [bool(page.labels(0)[y, x]) for x, y in ((35, 15), (15, 30))] == [True, False]


def test_undo_button_is_disabled_without_a_step(new_page):
    wire = Wire(new_page, "paint")
    tab = new_page.tab
    assert tab.is_disabled("#undo")
    new_page.stroke((10, 10), (20, 10))
    wire.wait_held()
    tab.click("#undo")  # it waits for the answer
    wire.release()
    tab.focus("#undo")
    tab.wait_for_selector("#undo:disabled")
    assert tab.evaluate("document.activeElement.id") == "view"


@pytest.mark.slow
def test_focus_ring_is_hidden_while_the_mouse_draws(page):
    style = "getComputedStyle(document.getElementById('view')).outlineStyle"
    page.tab.focus("#view")
    page.key("w")
    assert page.tab.evaluate(style) != "none"
    page.drag((10, 10), (20, 10))
    assert page.tab.evaluate(style) == "none"
    page.key("w")
    assert page.tab.evaluate(style) != "none"


def test_clicks_refine_a_box_with_either_tool(page):
    for tool in ("x", "c"):
        page.key("x")
        page.drag((2, 2), (56, 38))
        assert (page.labels(0) == 1)[26:34, 41:49].all()
        if tool == "c":
            page.key("c")
        page.click_done(45, 30, button="right")
        assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9
        page.key_done("r")


def test_scribble_makes_and_corrects_a_mask(page):
    page.key("z")
    page.click_done(10, 10)  # a short one
    assert iou(page.labels(0) > 0, truth(0) == 1) > 0.9
    page.key_done("Control+z")
    page.drag((-3, 10), (10, 10), steps=1)  # only its end is on the frame
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
                    page.click((10, 10))
            assert (page.labels(0) > 0)[14, 20:28].any() != removes
        page.key_done("Control+z")
        page.key_done("Control+z")
        assert not page.labels(0).any()


@pytest.mark.slow
def test_pan_keeps_the_corners_of_a_polygon(page):
    page.key("p")
    page.click((10, 10), (30, 10))
    page.key("h")
    cursor = "getComputedStyle(document.getElementById('view')).cursor"
    assert page.tab.evaluate(cursor) == "grab"
    page.key("p")
    assert page.tab.evaluate(cursor) == "crosshair"
    page.click((30, 30))
    page.key("h")
    page.tab.mouse.dblclick(*page.at(50, 35))
    page.settle()
    assert not page.may_leave()
    page.key("p")
    page.key_done("Enter")
    assert (page.labels(0) > 0)[14, 20:28].all()
    page.click((50, 5))
    page.key("h", "b", "p")
    page.settle()
    assert page.pixel(50, 5)[:3] != [255, 255, 255]


def test_first_prompt_says_that_the_model_is_loaded(page, session):
    released = threading.Event()
    segment = session.prompter.segmenter

    def load_and_segment(frame, prompts):
        wait_for_event(released)
        return segment(frame, prompts)

    session.prompter.segmenter = load_and_segment
    page.key("x")
    page.stroke((3, 3), (18, 18))
    page.wait_status("Loading the model…")
    released.set()
    page.wait_objects(1)
    page.wait_no_status()


def test_box_away_from_the_object_makes_a_new_one(page):
    page.key("x")
    page.drag((2, 2), (18, 18))
    page.drag((37, 22), (53, 38))
    found = page.labels(0)
    assert iou(found == 1, truth(0) == 1) > 0.9
    assert iou(found == 2, truth(0) == 2) > 0.9
    page.wait_selected("object 2")
    page.tab.click("text=Add to object 1 instead")
    page.wait_until(lambda: (page.labels(0) == (found > 0)).all())
    page.wait_objects(1)
    page.wait_selected("object 1")


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
    page.click_done(45, 30)
    page.wait_selected("object 2")
    before = page.labels(0)
    page.click((10, 10))
    page.wait_selected("object 1")
    np.testing.assert_array_equal(page.labels(0), before)


def test_box_around_a_mask_is_the_box_of_the_mask(new_page):
    wire = Wire(new_page)
    mask = truth(0) == 2
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0))
    new_page.key("x")
    new_page.drag((left, top), (right + 1, bottom + 1))
    assert wire.list_sent("segment")[0]["box"] == pytest.approx(mask_to_box(mask), abs=0.02)


@pytest.mark.slow
def test_double_click_on_nothing_keeps_all_objects(page, session):
    draw(session, 0, 2)
    page.wait_shown("object 2")
    page.key("c")
    page.move(10, 10)
    for count in (1, 2):
        page.tab.mouse.down(click_count=count)
        page.tab.mouse.up(click_count=count)
        page.tab.wait_for_selector("#view[aria-description*='object 1']")
    page.wait_shown("object 1", "object 2")


def test_key_that_ends_a_polygon_closes_it(page):
    page.drag((10, 10), (14, 10))
    for key in ("ArrowRight", "b", "n", "t"):
        page.key("p")
        page.click((20, 20), (40, 20), (40, 35), (20, 35))
        assert not page.may_leave(), key
        page.key(key)
        page.wait_until(lambda: page.labels(0)[25, 30] == 1)
        page.wait_idle()
        page.seek(0)
        page.key("1", "e")
        page.drag((30, 20), (30, 35))
        page.wait_until(lambda: page.labels(0)[25, 30] == 0)
    page.key("p")
    page.click((10, 10), (30, 10), (30, 30))
    page.key("Escape")
    page.settle()
    assert page.may_leave()


@pytest.mark.parametrize("way", ["double click", "Enter"])
@pytest.mark.slow
def test_equal_corners_count_once(page, way):
    page.key("p")
    page.click((10, 10))
    if way == "double click":
        page.tab.mouse.dblclick(*page.at(30, 10))
    else:
        page.tab.focus("#view")
        page.key("w", "Enter", "Enter")
    page.settle()
    assert not page.labels(0).any()
    page.click((30, 30))
    page.key_done("Control+Enter")
    assert (page.labels(0) == 1)[14, 22:28].all()


@pytest.mark.slow
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


@pytest.mark.slow
def test_pointer_fits_after_a_change_of_density(page):
    metrics = {"width": 1280, "height": 720, "deviceScaleFactor": 2, "mobile": False}
    page.devtools.send("Emulation.setDeviceMetricsOverride", metrics)
    page.tab.wait_for_function("() => devicePixelRatio === 2")
    page.settle()
    page.drag((10, 10), (20, 10))
    assert page.labels(0)[10, 15] == 1


@pytest.mark.slow
def test_jitter_when_zoomed_out_is_a_click(page, session):
    prompts = []
    session.prompter.segmenter = lambda frame, asked: (prompts.append(asked[1]), np.ones(frame.shape[:2], np.uint16))[1]
    page.key("x")
    page.key(*["-"] * 20)
    x, y = page.at(30, 20)
    with page.done():
        page.tab.mouse.move(x, y)
        page.tab.mouse.down()
        page.tab.mouse.move(x + 2, y + 2)
        page.tab.mouse.up()
    assert [prompt.box for prompt in prompts] == [None]


@pytest.mark.parametrize("tool", ["g", *slow("o")])
def test_double_click_splits_or_reassigns_once(page, document, two_objects, tool):
    labels = truth(0).copy()
    labels[5:8, 40:50] = 1
    set_mask(document, 0, 1, labels == 1)
    page.wait_until(lambda: document.snapshot.labels(0)[6, 45] == 1)
    page.key("1" if tool == "g" else "2", tool)
    with page.done():
        page.tab.mouse.dblclick(*page.at(45, 6))
    page.wait_until(lambda: document.snapshot.labels(0)[6, 45] == (3 if tool == "g" else 2))
    page.settle()
    page.wait_idle()
    assert not page.tab.is_visible("#status.error")
