"""The page in a real browser on a drawn video: mouse, keyboard, pen and fingers, two tabs, files of masks."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from aotlab_studio.project.state import State
from aotlab_studio.server.session import Session
from aotlab_studio.tracking.models import TrackerChoice
from studio.tests.annotation.browser import Page, iou, needs_browser
from studio.tests.annotation.clips import LENGTH, Seer, truth
from studio.tests.annotation.served import Served

pytestmark = needs_browser


def test_a_person_without_a_mouse_boxes_an_object_tracks_and_undoes(page):
    page.tab.focus("#view")
    page.key("x", "w")
    cursor(page, 2, 2)
    page.key("Enter")
    cursor(page, 18, 18)
    page.key_done("Enter")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9
    page.track("t", last=4)
    assert (page.labels(4) == 1).any()
    page.key("?")
    assert page.tab.is_visible("#help-dialog")
    page.key("Escape", "End")
    page.wait_frame(LENGTH - 1)
    page.key("Home", "ArrowRight")
    page.wait_frame(1)
    page.key_done("m")
    assert not (page.labels(1) == 1).any()
    page.key_done("Control+z")
    assert (page.labels(1) == 1).any()


def cursor(page, x, y):
    """Move the keyboard's cursor to a pixel."""
    while True:
        at = re.findall(r"\d+", page.tab.inner_text("#status"))
        dx, dy = x - int(at[0]), y - int(at[1])
        if abs(dx) < 1 and abs(dy) < 1:
            return
        name, way = ("d" if dx > 0 else "a", abs(dx)) if abs(dx) >= 1 else ("s" if dy > 0 else "w", abs(dy))
        page.key(name if way >= 8 else f"Shift+{name}")


def test_two_tabs_show_each_others_work_and_no_request_leaves_the_machine(page, served):
    other = Page(page.tab.context, served.url)
    page.drag((15, 10), (20, 12))
    other.shows("object 1")
    other.key_done("Control+z")
    page.shows()
    assert all(url.startswith((served.address, "data:", "blob:")) for url in page.requests + other.requests)
    assert other.problems == []


def touches(page, kind, *points):
    """Put fingers on pixels of the frame, move or lift them."""
    places = [dict(zip(("x", "y"), page.at(*point), strict=True)) for point in points]
    points = [{**place, "id": number} for number, place in enumerate(places)]
    page.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_one_finger_draws_and_two_move_and_zoom_the_image_without_drawing(page):
    with page.done():
        touches(page, "touchStart", (10, 10))
        touches(page, "touchMove", (16, 12))
        touches(page, "touchMove", (22, 14))
        touches(page, "touchEnd")
    drawn = page.labels(0)
    assert drawn[12, 16] == 1
    before = page.place()
    touches(page, "touchStart", (20, 20))
    touches(page, "touchStart", (20, 20), (40, 20))
    touches(page, "touchMove", (15, 22), (45, 22))
    touches(page, "touchMove", (10, 24), (50, 24))
    touches(page, "touchEnd")
    page.tab.wait_for_timeout(200)
    assert page.place()[-1] > 1.2 * before[-1]
    assert (page.labels(0) == drawn).all()


def test_a_tap_clicks_on_the_object_and_two_fingers_do_not(page):
    page.key("c")
    touches(page, "touchStart", (20, 20))
    touches(page, "touchStart", (20, 20), (40, 20))
    touches(page, "touchMove", (18, 20), (42, 20))
    touches(page, "touchEnd")
    assert not page.labels(0).any()
    page.key("0")
    with page.done():
        touches(page, "touchStart", (10, 10))
        touches(page, "touchEnd")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9


def pen(page, kind, point, **values):
    x, y = page.at(*point)
    pressed = {"button": "left", "buttons": 1, "pointerType": "pen", "force": 0.5, "clickCount": 1} | values
    page.devtools.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **pressed})


def test_a_pen_draws_and_its_second_button_takes_away(page):
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


def test_minus_takes_away_without_a_key_held(page):
    page.drag((15, 10), (20, 12))
    page.tab.click("#minus")
    page.drag((15, 10), (20, 12))
    assert not page.labels(0).any()


def test_masks_are_loaded_from_a_file(page, tmp_path):
    Image.fromarray(truth(0).astype(np.uint8)).save(tmp_path / "masks.png")
    page.tab.set_input_files("#load", tmp_path / "masks.png")
    page.status("A mask on frame 0")
    assert (page.labels(0) == truth(0)).all()
    (tmp_path / "masks.json").write_text("{}")
    page.tab.set_input_files("#load", tmp_path / "masks.json")
    page.status("not masks in a known format")


def test_the_memory_policy_is_chosen_in_the_page(context, folder):
    offered = {"policy": {"own": "the model's own", "first_frame": "first_frame"}}
    choice = TrackerChoice(offered, {"policy": "own"})
    served = Served(Session(State(folder), Seer, choice=choice))
    page = Page(context, served.url)
    page.tab.click("#settings summary")
    with page.done():
        page.tab.select_option("#policy", "first_frame")
    assert choice.chosen == {"policy": "first_frame"}
    assert page.problems == []
    served.close()


def test_every_control_has_a_name_and_the_page_fits_without_scrolling(page):
    page.drag((15, 10), (20, 12))
    unnamed = page.tab.evaluate(
        """[...document.querySelectorAll('button, input, select, canvas[tabindex], a[href]')].filter((control) =>
            !(control.getAttribute('aria-label') || control.textContent.trim() || control.title
              || (control.labels && control.labels.length))).map((control) => control.outerHTML)"""
    )
    assert unnamed == []
    sides = page.tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert sides == [1280, 720]


CONTRASTS = """() => {
    const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const back = (node) => {
        for (; node; node = node.parentElement) {
            const colour = parse(getComputedStyle(node).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll('button:not(:disabled), label, h1, h2, span, p, #status')]
        .filter((node) => node.offsetParent && node.id !== 'empty' && node.textContent.trim())
        .map((node) => {
            const both = [light(parse(getComputedStyle(node).color)), light(back(node))].sort((x, y) => y - x);
            return [(both[0] + 0.05) / (both[1] + 0.05), node.textContent.trim().slice(0, 20)];
        });
}"""


def test_text_has_the_contrast_of_aa_in_light_and_dark(page):
    page.drag((15, 10), (20, 12))
    for scheme in ("light", "dark"):
        page.tab.emulate_media(color_scheme=scheme)
        ratios = page.tab.evaluate(CONTRASTS)
        assert len(ratios) > 20
        assert min(ratios)[0] >= 4.5, (scheme, min(ratios))
