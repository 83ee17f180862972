"""The page in a real browser: nothing is changed that the person does not see or mean."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest

from aotlab_studio.project import editing
from aotlab_studio.tracking.planning import Request
from studio.tests.annotation.browser import Page, iou, needs_browser
from studio.tests.annotation.clips import LENGTH, Seer, truth
from studio.tests.annotation.test_editing import draw

pytestmark = needs_browser


class Slow:
    """Holds the images of some frames back until they are released."""

    def __init__(self, page: Page, *frames: int) -> None:
        self.held: list | None = []
        page.answer(re.compile(rf"/frame/({'|'.join(map(str, frames))})\?video=[0-9a-f]+$"), self.take)

    def take(self, route) -> None:
        if self.held is None:
            route.continue_()
        else:
            self.held.append(route)

    def release(self, **answer) -> None:
        held, self.held = self.held, None
        for route in held:
            route.fulfill(**answer) if answer else route.continue_()


def test_keys_in_a_row_act_on_the_frame_that_each_was_meant_for(page, session):
    for index in range(4):
        draw(session, index, 1)
    slow = Slow(page, 1, 2)
    page.key("ArrowRight", "m", "ArrowRight", "ArrowRight", "m")
    assert [(page.labels(index) == 1).any() for index in range(4)] == [True] * 4
    with page.done():
        slow.release()
    page.wait_frame(3)
    page.shows()
    assert [(page.labels(index) == 1).any() for index in range(4)] == [True, False, True, False]


def test_nothing_is_drawn_on_a_frame_that_does_not_show_yet(page):
    slow = Slow(page, 5)
    with page.tab.expect_response("**/frame/5?near=1"):
        page.tab.fill("#frame", "5")
        page.tab.press("#frame", "Enter")
    page.tab.mouse.move(*page.at(10, 10))
    page.tab.mouse.down()
    page.tab.mouse.move(*page.at(30, 10), steps=3)
    page.tab.mouse.up()
    page.status("Frame 5 is still loading")
    slow.release()
    page.wait_frame(5)
    page.drag((10, 10), (30, 10))
    assert [page.labels(index).any() for index in (0, 5)] == [False, True]


def test_a_frame_that_cannot_be_loaded_leaves_the_one_before_and_drops_what_was_meant_for_it(page, session):
    draw(session, 0, 1)
    slow = Slow(page, 1)
    page.key("ArrowRight", "m")
    page.until(lambda: slow.held)
    slow.release(status=404, body="broken")
    page.status("broken")
    page.wait_frame(0)
    assert [(page.labels(index) == 1).any() for index in range(2)] == [True, False]
    assert session.state.described(1) == set()
    page.key_done("m")
    assert not page.labels(0).any()


def test_a_box_in_which_nothing_is_found_keeps_the_mask_and_says_so(page, session):
    draw(session, 0, 1)
    session.segmenter = lambda frame, prompts: np.zeros(frame.shape[:2], np.uint16)
    page.shows("object 1")
    page.key("x")
    page.tab.mouse.move(*page.at(3, 3))
    page.tab.mouse.down()
    page.tab.mouse.move(*page.at(20, 20), steps=3)
    page.tab.mouse.up()
    page.status("nothing found there; nothing was changed")
    assert (page.labels(0) == np.where(truth(0) == 1, 1, 0)).all()


def test_a_box_away_from_the_chosen_object_is_a_new_object_unless_the_person_says_more(page):
    page.key("x")
    page.drag((2, 2), (18, 18))
    page.drag((37, 22), (53, 38))
    found = page.labels(0)
    assert iou(found == 1, truth(0) == 1) > 0.9
    assert iou(found == 2, truth(0) == 2) > 0.9
    page.chosen("object 2")
    page.tab.click("text=More of object 1")
    page.until(lambda: (page.labels(0) == (found > 0)).all())
    page.objects(1)
    page.chosen("object 1")


def test_a_box_around_the_chosen_object_replaces_its_mask(page):
    page.drag((6, 8), (13, 8))
    page.key("x")
    page.drag((2, 2), (18, 18))
    found = page.labels(0)
    assert set(np.unique(found)) == {0, 1}
    assert iou(found == 1, truth(0) == 1) > 0.9


def test_a_click_away_is_a_new_object_and_one_on_another_mask_chooses_it(page):
    page.key("x")
    page.drag((2, 2), (18, 18))
    page.key("c")
    with page.done():
        page.tab.mouse.click(*page.at(45, 30))
    page.chosen("object 2")
    before = page.labels(0)
    page.tab.mouse.click(*page.at(10, 10))
    page.chosen("object 1")
    assert (page.labels(0) == before).all()


def test_a_double_click_shows_one_object_alone_and_again_all(page, session):
    draw(session, 0, 1, 2)
    page.shows("object 1", "object 2")
    page.key("c")
    before = page.labels(0)
    for shown in (["object 2"], ["object 1", "object 2"]):
        page.tab.mouse.dblclick(*page.at(45, 30))
        page.shows(*shown)
    page.chosen("object 2")
    assert (page.labels(0) == before).all()


def test_backspace_removes_corners_and_clicks_in_hand_before_any_object(page):
    page.drag((10, 10), (14, 10))
    page.key("p")
    for point in ((20, 20), (40, 20), (40, 35), (20, 35)):
        page.tab.mouse.click(*page.at(*point))
    page.key("Backspace", "Control+z")
    page.objects(1)
    assert (page.labels(0) == 1).any()
    page.key("Backspace", "Backspace")
    page.key_done("Backspace")
    page.objects(0)


def test_the_space_bar_plays_after_a_button_was_clicked(page, session):
    draw(session, 0, 1)
    draw(session, 1, 1)
    with page.done():
        page.tab.click("#back")
    page.key("ArrowRight")
    page.wait_frame(1)
    page.key("Space")
    page.wait_frame(LENGTH - 1)
    assert (page.labels(1) == 1).any()


def test_deleting_during_tracking_is_refused_and_not_said_to_be_done(page, session):
    draw(session, 0, 1)
    session.make_tracker = lambda: Seer(pause=0.3)
    job = session.track(Request(0))
    page.tab.wait_for_selector("#job:not([hidden])")
    page.key("Delete")
    page.status("stop it first")
    assert page.tab.query_selector(".toast") is None
    job.stop()


def test_what_destroys_can_be_undone_from_its_message_but_only_as_the_last_step(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.key_done("Delete")
    with page.done():
        page.tab.click(".toast >> text=Undo")
    assert session.state.objects.ids == (1,)
    page.key_done("Delete")
    editing.add_object(session.state)
    page.tab.click(".toast >> text=Undo")
    page.status("something else was done since")


def test_a_stroke_that_was_begun_while_following_is_kept_and_following_starts_again_with_the_next_run(
    page, session
):
    draw(session, 0, 1)
    at = threading.Semaphore(4)

    class Waiting(Seer):
        def step(self, frame, mask=None):
            at.acquire(timeout=60)
            return super().step(frame, mask)

    session.make_tracker = Waiting
    page.objects(1)
    job = session.track(Request(0))
    page.wait_frame(3)
    page.tab.mouse.move(*page.at(40, 5))
    page.tab.mouse.down()
    at.release(2)
    page.tab.wait_for_selector("#job-text:has-text('5 of')")
    with page.done():
        page.tab.mouse.move(*page.at(50, 5), steps=3)
        page.tab.mouse.up()
    assert page.labels(3)[5, 45] == 1
    page.seek(1)
    assert not page.tab.is_checked("#follow")
    at.release(100)
    job.wait(20)
    with page.tracked():
        session.track(Request(5))
    assert page.tab.is_checked("#follow")
    page.wait_frame(LENGTH - 1)


def test_an_error_goes_away_with_the_next_success_and_does_not_move_the_image(page):
    before = page.at(10, 10)
    page.answer(re.compile("/frame/3"), lambda route: route.fulfill(status=404, body="x " * 400))
    page.tab.fill("#frame", "3")
    page.tab.press("#frame", "Enter")
    page.status("x x x")
    assert page.at(10, 10) == before
    page.drag((10, 10), (20, 10))
    assert page.tab.inner_text("#status") == ""


@pytest.mark.parametrize("field", ["#frame", "#opacity"])
def test_after_a_field_was_used_keys_mean_the_frame_again(page, field):
    if field == "#frame":
        page.tab.fill(field, "4")
        page.tab.press(field, "Enter")
        page.wait_frame(4)
    else:
        page.tab.click(field)
    page.key("ArrowRight")
    page.wait_frame(5 if field == "#frame" else 1)
