"""The page in a real browser: masks that are corrected with clicks, polygons, frames to check, results dropped."""

from __future__ import annotations

import threading

from aotlab_studio.project import editing
from aotlab_studio.review.checks import Check
from aotlab_studio.tracking.planning import Request
from studio.tests.annotation.browser import iou, needs_browser
from studio.tests.annotation.clips import truth
from studio.tests.annotation.test_editing import draw

pytestmark = needs_browser


def click(page, x, y, **how):
    with page.done():
        page.tab.mouse.click(*page.at(x, y), **how)


def test_clicks_after_a_box_refine_it_with_either_tool(page):
    for tool in ("x", "c"):
        page.key("x")
        page.drag((2, 2), (56, 38))
        assert (page.labels(0) == 1)[26:34, 41:49].all()
        if tool == "c":
            page.key("c")
        click(page, 45, 30, button="right")
        assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9
        page.key_done("r")


def test_a_click_that_is_not_on_the_object_corrects_any_mask_and_says_so_where_there_is_none(page, session):
    page.key("c")
    page.tab.mouse.click(*page.at(45, 30), button="right")
    page.status("Click on the object first")
    page.key("Escape")
    draw(session, 0, 1, 2)
    editing.merge_objects(session.state, 2, 1)
    page.objects(1)
    page.shows("object 1")
    click(page, 45, 30, button="right")
    assert iou(page.labels(0) == 1, truth(0) == 1) > 0.9


def test_enter_or_the_first_corner_closes_a_polygon_of_the_mouse(page):
    page.key("p")
    for last in ("Enter", None):
        for x, y in ((10, 10), (30, 10), (30, 30)):
            page.tab.mouse.click(*page.at(x, y))
        with page.done():
            if last:
                page.key(last)
            else:
                page.tab.mouse.click(*page.at(10, 10))
        assert (page.labels(0) == 1)[14, 20:28].all()
        page.key_done("Control+z")
        assert not page.labels(0).any()


def test_the_list_of_frames_to_check_names_a_frame_once_the_worst_first(page, session, monkeypatch):
    draw(session, 0, 1, 2)
    found = [(7, 2, "lost", 1.0), (7, 1, "jump", 0.9), (3, 1, "unsure", 0.8), (7, 2, "area", 0.5)]
    checks = [Check(*values) for values in found]
    monkeypatch.setattr("aotlab_studio.server.session.find_checks", lambda *_: checks)
    page.open(page.tab.url)
    page.tab.wait_for_selector("#review li + li")
    assert page.tab.inner_text("#review").split("\n") == [
        "7: object 2 is lost, changes its size at once; also object 1",
        "3: object 1 is unsure",
    ]
    for frame, chosen in ((7, 2), (3, 1), (7, 2)):
        page.key(".")
        page.wait_frame(frame)
        page.chosen(f"object {chosen}")


def test_objects_that_come_while_the_list_of_frames_to_check_is_made_stay(page, session, monkeypatch):
    draw(session, 0, 1, 2)
    page.objects(2)
    asked, go = threading.Event(), threading.Event()

    def slow(*_):
        asked.set()
        go.wait(60)
        return [Check(7, 1, "lost", 1.0)]

    monkeypatch.setattr("aotlab_studio.server.session.find_checks", slow)
    page.key("Shift+Delete")
    page.until(asked.is_set)
    editing.add_object(session.state)
    page.key("1")
    go.set()
    page.tab.wait_for_selector("#review li")
    page.objects(3)
    page.chosen("object 1")


def test_results_are_dropped_and_brought_back(page, session):
    draw(session, 0, 1, 2)
    with page.tracked():
        session.track(Request(0))
    page.seek(6)
    page.key_done("Shift+Delete")
    assert not page.labels(7).any()
    assert (page.labels(5) == truth(5)).all()
    assert "dropped on 6 frames" in page.tab.inner_text("#toasts")
    page.key_done("Control+z")
    assert (page.labels(7) == truth(7)).all()


def test_the_frame_stays_where_it_is_when_objects_are_added(page):
    places = []
    for _ in range(3):
        page.key_done("n")
        places.append(page.at(30, 20))
    assert places[0] == places[1] == places[2]


def test_all_keys_are_in_view_when_the_help_opens(page):
    page.key("?")
    inside = page.tab.evaluate(
        """() => [...document.querySelectorAll('#keys li')].map((line) => line.getBoundingClientRect())
            .every((box) => box.height && box.top >= 0 && box.bottom <= innerHeight)"""
    )
    assert inside


def test_the_pointer_shows_what_a_click_would_find(page):
    before = page.pixel(7, 7)
    page.key("c")
    page.tab.mouse.move(*page.at(10, 10))
    page.until(lambda: page.pixel(7, 7) != before)
    assert min(page.pixel(7, 7)) > min(before)
    page.key("b")
    page.tab.mouse.move(*page.at(30, 30))
    page.until(lambda: page.pixel(7, 7) == before)
