"""The page in a browser: masks copied to other frames, outlines changed, undo of earlier visits, pauses."""

from __future__ import annotations

import numpy as np
import pytest

from aotlab_studio.document import editing
from aotlab_testing.browser import needs_browser
from aotlab_testing.processes import wait_until
from studio.tests.annotation.browser import Wire
from studio.tests.annotation.clips import LENGTH, truth
from studio.tests.annotation.sessions import draw, draw_and_track, hold, start_job, wait_for
from studio.tests.annotation.trackers import TruthTracker

pytestmark = needs_browser


def test_masks_are_copied_and_pasted(page, two_objects):
    page.key("1", "Control+c")
    page.wait_status("Frame 0 copied")
    page.key("ArrowRight", "ArrowRight")
    page.key_done("Control+v")
    np.testing.assert_array_equal(page.labels(2), truth(0) * (truth(0) == 1))
    page.key_done("Control+Shift+V")
    np.testing.assert_array_equal(page.labels(2), truth(0))
    page.key("1")
    page.key_done("Shift+N")
    page.wait_frame(3)
    page.wait_until(lambda: (page.labels(3) == 1).any())
    np.testing.assert_array_equal(page.labels(3), truth(0) * (truth(0) == 1))
    page.seek(0)
    page.key_done("m")  # the copy keeps the masks of its moment
    page.key("ArrowRight")
    page.key_done("Control+v")
    np.testing.assert_array_equal(page.labels(1), truth(0) * (truth(0) == 1))


def test_masks_are_pasted_on_the_range(page, session, one_object):
    page.tab.fill("#first", "3")
    page.tab.fill("#last", "5")
    page.tab.check("#on-range")
    page.key("1", "Control+c", "Control+v")
    page.wait_status("Frame 0 is outside frames 3 to 5; untick")
    page.seek(4)
    page.key_done("Control+v")
    page.wait_until(lambda: session.document.snapshot.drawn_frames == [0, 3, 4, 5])
    page.tab.wait_for_selector(".toast >> text=Masks of frame 0 pasted on frames 3 to 5")


def test_pasted_mask_takes_pixels_after_a_press(page, session, one_object):
    editing.AddObject().run(session.document)
    editing.FillPolygon(2, 2, [(0, 0), (12, 0), (12, 12), (0, 12)]).run(session.document)
    page.wait_objects(2)
    page.key("1", "Control+c", "ArrowRight", "ArrowRight")
    page.key_done("Control+v")
    assert page.labels(2)[6, 6] == 2
    page.tab.click(".toast button >> text=Take pixels of others")
    page.wait_until(lambda: page.labels(2)[6, 6] == 1)


def test_outline_is_previewed_and_applied(page, one_object):
    page.key("1")
    before, pixel = (page.labels(0) == 1).sum(), page.pixel(17, 10)
    page.tab.fill("#shape-radius", "3")
    page.wait_until(lambda: page.pixel(17, 10) != pixel)
    assert (page.labels(0) == 1).sum() == before  # only shown
    with page.done():
        page.tab.click("#reshape")
    assert (page.labels(0) == 1).sum() > before


@pytest.mark.parametrize("radius", ["", "0", "2.5", "500"])
def test_unusable_radius_is_refused(page, one_object, radius):
    page.key("1")
    before = page.labels(0)
    page.tab.fill("#shape-radius", radius)
    page.tab.click("#reshape")
    page.wait_status("Radius: give a whole number from 1 to 100.")
    np.testing.assert_array_equal(page.labels(0), before)


def test_page_asks_before_reshaped_masks_are_replaced(page, session):
    draw_and_track(session, 1)
    editing.SetChecked(3, True).run(session.document)
    page.seek(3)
    page.key("1")
    with page.done():
        page.tab.click("#reshape")
    page.tab.wait_for_selector(".toast >> text=object 1: grow on 1 frame. Frame 3 is no longer marked as checked.")
    grown = (page.labels(3) == 1).sum()
    page.seek(0)
    page.key("t")
    page.tab.wait_for_selector("dialog[open] p >> text=Tracking replaces the reshaped masks of 1 frame")
    page.tab.click("dialog[open] button[value='']")
    page.key("t")
    with page.tracked():
        page.tab.click("dialog[open] .main >> text=Continue")
    assert (page.labels(3) == 1).sum() < grown


def test_brush_says_that_the_mark_of_checked_ends(page, session):
    draw(session, 0, 1)
    editing.SetChecked(0, True).run(session.document)
    page.key("1", "b")
    page.drag((45, 20), (50, 20))
    page.tab.wait_for_selector(".toast >> text=Frame 0 is no longer marked as checked.")


def test_ctrl_draws_a_straight_line(page):
    page.key("[", "[", "[", "[")
    page.press(10, 10)
    page.move(10, 30)
    page.tab.keyboard.down("Control")
    page.move(15, 20)
    page.move(40, 30)
    with page.done():
        page.tab.mouse.up()
    page.click_done(40, 8)  # from the last stroke
    page.tab.keyboard.up("Control")
    labels = page.labels(0)
    assert [labels[y, x] for x, y in ((10, 15), (25, 30), (40, 18))] == [1, 1, 1]
    assert not labels[20, 20]


def test_undo_asks_before_it_goes_behind_this_visit(new_page, session):
    draw(session, 0, 1)
    new_page.open()
    new_page.key("b")
    new_page.drag((5, 20), (10, 20))
    new_page.key("Control+z", "Control+z")  # the second one before the first is answered
    new_page.tab.wait_for_selector("dialog[open] p >> text=before this visit. Undo it?")
    new_page.tab.click("dialog[open] button[value='']")
    assert (new_page.labels(0) == 1).any()
    new_page.key("Control+z")
    with new_page.done():
        new_page.tab.click("dialog[open] .main >> text=Undo")
    assert not (new_page.labels(0) == 1).any()


def test_pause_is_acknowledged_at_once(page, session, one_object):
    tracker = hold(session, 2)
    job = start_job(session, 0)
    page.tab.wait_for_selector("#job-text >> text=running")
    page.key("k")
    page.tab.wait_for_selector("#job-text >> text=pausing after this frame")
    page.key("k")
    page.tab.wait_for_selector("#job-text >> text=running")
    assert not job.paused
    tracker.release_frames()
    wait_for(job)


def test_cut_off_tracking_is_told_and_continued(new_page, session):
    draw(session, 0, 1)
    tracker = hold(session, 3)
    job = start_job(session, 0)
    wait_until(lambda: job.done >= 1)
    job.stop(interrupt=True)
    tracker.release_frames()
    wait_for(job)
    session.runner.make_tracker = TruthTracker
    new_page.open()
    new_page.tab.wait_for_selector(".toast >> text=Tracking was interrupted;")
    with new_page.tracked():
        new_page.tab.click(".toast button >> text=Resume tracking")
    assert (new_page.labels(LENGTH - 1) == 1).any()


def test_interrupted_tracking_is_offered_after_a_restart(new_page, session):
    wire = Wire(new_page)
    draw(session, 0, 1)
    tracker = hold(session, 3)
    job = start_job(session, 0)
    new_page.tab.wait_for_selector("#job-text >> text=running")
    job.stop(interrupt=True)
    tracker.release_frames()
    wait_for(job)
    wire.socket.close()  # the page stays open
    new_page.tab.wait_for_selector(".toast button >> text=Resume tracking")


def test_escape_right_after_a_track_key_stops_it(new_page, session):
    tracker = hold(session, 2)
    wire = Wire(new_page, "paint")
    new_page.stroke((8, 8), (12, 12))
    new_page.key("t")
    wire.wait_held()
    new_page.key("Escape")
    wire.release()
    new_page.wait_idle()
    wire.hold_sent("track")
    new_page.key("t")
    wire.wait_unsent()
    new_page.key("Escape")
    assert not wire.list_sent("track")
    wire.send_held()
    new_page.wait_until(lambda: session.runner.job and session.runner.job.stopped)
    tracker.release_frames()


def test_keys_go_to_frames_with_drawn_masks(new_page, session):
    for frame in (0, 3, 9):
        draw(session, frame, 1)
    new_page.open()
    for key, frame in (("ArrowRight", 3), ("ArrowRight", 9), ("ArrowLeft", 3)):
        new_page.key(f"Alt+{key}")
        new_page.wait_frame(frame)


def test_corners_of_a_polygon_are_moved(page):
    page.key("p")
    page.click((10, 10), (20, 35), (30, 10), (30, 30))
    page.tab.mouse.click(*page.at(20, 35), button="right")
    page.press(30, 30)
    page.lift(50, 30)
    page.key_done("Enter")
    labels = page.labels(0)
    assert labels[25, 40]
    assert not labels[25, 20]


def test_corners_of_an_outline_are_moved(page):
    page.key("p")
    page.click((20, 10), (40, 10), (40, 30), (20, 30))
    page.key_done("Enter")
    square = page.labels(0)
    page.key("Shift+P")
    for start, end, inside in (((20.5, 10.5), (8, 4), (14, 8)), ((30, 29.5), (30, 38), (30, 34))):
        page.wait_until(lambda: page.pixel(20.5, 10.5)[:3] == [255] * 3)  # the corners show
        page.drag(start, end)
        x, y = inside
        assert page.labels(0)[y, x] == 1
        assert page.labels(0)[20, 30] == 1
        page.key_done("Control+z")
        np.testing.assert_array_equal(page.labels(0), square)
    page.wait_until(lambda: page.pixel(20.5, 10.5)[:3] == [255] * 3)
    page.click_done(20.5, 10.5, button="right")
    assert [page.labels(0)[y, x] for x, y in ((22, 12), (38, 28))] == [0, 1]
