"""The page in a browser: pen, fingers and other buttons of the mouse."""

from __future__ import annotations

import numpy as np
import pytest

from aotlab_testing.browser import iou, needs_browser
from studio.tests.annotation.clips import truth
from studio.tests.annotation.trackers import segment_stripes

pytestmark = needs_browser

PEN_DAB = """([clientX, clientY, button]) => {
    const view = document.getElementById('view');
    view.setPointerCapture = () => {};  // knows no synthetic pointer
    for (const kind of ['pointerdown', 'pointerup']) {
        view.dispatchEvent(new PointerEvent(kind, { pointerId: 9, pointerType: 'pen', clientX, clientY, button }));
    }
}"""
"""Presses a button of the pen and lifts it; the DevTools protocol lacks the eraser."""
PEN_AWAY = """document.documentElement.dispatchEvent(new PointerEvent('pointerleave', { pointerType: 'pen' }))"""
"""Moves the pen out of reach of the screen, which the DevTools protocol cannot."""


def send_touch(page, kind, *points):
    """Put fingers on pixels of the frame, move or lift them."""
    places = [dict(zip(("x", "y"), page.at(*point), strict=True)) for point in points]
    points = [{**place, "id": number} for number, place in enumerate(places)]
    page.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def pen(page, kind, point, **values):
    x, y = page.at(*point)
    pressed = {"button": "left", "buttons": 1, "pointerType": "pen", "force": 0.5, "clickCount": 1} | values
    page.devtools.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **pressed})


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
    page.wait_until(lambda: page.place()[-1] > 1.2 * before[-1])
    np.testing.assert_array_equal(page.labels(0), drawn)
    page.tab.click("#fit")
    page.wait_until(lambda: page.place()[-1] == before[-1])


def test_finger_closes_a_polygon_near_its_first_corner(page):
    page.key("p")
    x, y = page.at(10, 10)
    for place in ((x, y), page.at(30, 10), page.at(30, 30)):
        page.tab.touchscreen.tap(*place)
    with page.done():
        page.tab.touchscreen.tap(x + 15, y)
    assert (page.labels(0) == 1)[14, 20:28].all()


@pytest.mark.slow
def test_tap_clicks_and_two_fingers_pan(page):
    page.key("c")
    send_touch(page, "touchStart", (20, 20))
    send_touch(page, "touchStart", (20, 20), (40, 20))
    send_touch(page, "touchMove", (18, 20), (42, 20))
    send_touch(page, "touchEnd")
    assert not page.labels(0).any()
    page.key("0")
    for kind, *points in (("touchStart", (30, 25)), ("touchMove", (10, 10)), ("touchEnd",)):  # slides
        send_touch(page, kind, *points)
    page.tab.wait_for_selector("#fit:not([hidden])")  # the frame has moved
    assert not page.labels(0).any()
    page.key("0")
    with page.done():
        send_touch(page, "touchStart", (10, 10))
        send_touch(page, "touchEnd")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9


@pytest.mark.parametrize("tool", ["c", "x"])
def test_double_tap_makes_one_object(page, session, tool):
    session.prompter.segmenter = segment_stripes(4, 20, 36)
    page.key(tool)
    # the taps are at once, however busy the machine is
    page.tab.evaluate("Object.defineProperty(Event.prototype, 'timeStamp', { get: () => 1000 })")
    for kind in ("touchStart", "touchEnd") * 2:
        send_touch(page, kind, *[(45, 30)] * (kind == "touchStart"))
    page.wait_shown("object 1")
    page.settle()
    page.wait_idle()
    assert len(session.document.snapshot.objects) == 1


def test_pen_draws_and_its_second_button_erases(page):
    page.tab.evaluate(
        """window.kinds = new Set();
        document.addEventListener('pointerdown', (event) => kinds.add(event.pointerType));"""
    )
    radius = page.radius()
    for button, left in (({}, True), ({"button": "right", "buttons": 2}, False)):
        with page.done():
            pen(page, "mousePressed", (15, 10), **button)
            pen(page, "mouseMoved", (20, 12), **button)
            page.tab.dispatch_event("#view", "wheel", {"deltaY": -400})  # does not change a stroke
            pen(page, "mouseReleased", (20, 12), **button)
        assert page.radius() == radius
        assert (page.labels(0) == 1).any() == left
    assert page.tab.evaluate("[...kinds]") == ["pen"]
    for button, left in ((0, True), (5, False)):  # the eraser removes
        with page.done():
            page.tab.evaluate(PEN_DAB, [*page.at(15, 10), button])
        assert (page.labels(0) == 1).any() == left


@pytest.mark.slow
def test_back_button_of_the_mouse_is_ignored(page):
    before = page.pixel(17, 10)
    for kind, x in (("mousePressed", 15), ("mouseMoved", 20)):  # its release goes back
        pen(page, kind, (x, 10), button="back", buttons=8, pointerType="mouse")
    page.settle()
    assert page.pixel(17, 10) == before


@pytest.mark.slow
def test_palm_beside_the_pen_is_ignored(page):
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


@pytest.mark.slow
def test_palm_under_a_hovering_pen_is_ignored(page):
    pen(page, "mouseMoved", (20, 12), button="none", buttons=0)
    page.tab.evaluate("Object.defineProperty(Event.prototype, 'timeStamp', { get: () => 1e9 })")  # hovers for days
    for kind, *points in (("touchStart", (40, 30)), ("touchMove", (44, 32)), ("touchEnd",)):
        send_touch(page, kind, *points)
    page.settle()
    page.wait_idle()
    assert not page.labels(0).any()
    page.tab.evaluate(PEN_AWAY)
    with page.done():
        for kind, *points in (("touchStart", (40, 30)), ("touchMove", (44, 32)), ("touchEnd",)):
            send_touch(page, kind, *points)
    assert page.labels(0)[31, 42] == 1


@pytest.mark.slow
def test_pen_after_a_palm_erases(page, one_object):
    page.wait_shown("object 1")
    page.key("1")
    right = {"button": "right", "buttons": 2}
    with page.done():
        send_touch(page, "touchStart", (40, 30))
        pen(page, "mousePressed", (5, 10), **right)
        pen(page, "mouseMoved", (15, 10), **right)
        pen(page, "mouseReleased", (15, 10), **right)
        send_touch(page, "touchEnd")
    assert not page.labels(0)[10].any()


def test_third_finger_is_ignored(idle_page):
    fingers = (10, 10), (20, 10), (30, 30)
    before = idle_page.pixel(30, 30)
    for count in (1, 2, 3):
        send_touch(idle_page, "touchStart", *fingers[:count])
    send_touch(idle_page, "touchEnd")
    idle_page.move(5, 35)
    idle_page.settle()
    assert idle_page.pixel(30, 30) == before


def test_lifting_a_finger_does_not_move_the_view(idle_page):
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
    idle_page.move(30, 20)
    idle_page.wait_until(lambda: len(idle_page.place()) == 3)
    assert idle_page.place()[:2] == pytest.approx([28, 20], abs=1)
