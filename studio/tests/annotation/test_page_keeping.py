"""The page in a browser: what tracking must not change, and what it tells about the masks that it changes."""

import numpy as np

from aotlab_studio.document import editing
from aotlab_studio.session.actions import Describe
from studio.tests.annotation.browser import needs_browser
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    list_labels,
    list_titles,
)
from studio.tests.annotation.trackers import Greedy, Shifted

pytestmark = needs_browser
TOAST = ".toast:has-text('{}')"


def draw_box(page, *corners):
    """Draw an outline with the lasso."""
    page.key("l")
    page.drag(*corners, corners[0])


def test_frozen_frame_shows_and_refuses_the_brush(page, session):
    draw_and_track(session, 1)
    page.wait_objects(1)
    page.seek(5)
    before = page.labels(5)
    page.key("Shift+J")
    page.tab.wait_for_selector("#frozen[aria-pressed=true]")
    page.tab.wait_for_selector("#strips[aria-valuetext^='Frame 5, frozen;']")
    page.tab.wait_for_selector(TOAST.format("Frame 5 frozen"))
    page.stroke((30, 5), (35, 5))
    page.wait_status("frame 5: frozen; unfreeze it first")
    np.testing.assert_array_equal(page.labels(5), before)
    page.key("Shift+J")
    page.tab.wait_for_selector("#frozen[aria-pressed=false]")
    page.drag((30, 5), (35, 5))
    assert page.labels(5)[5, 32] == 1


def test_ended_marks_are_told_with_undo_and_a_jump(page, session, short_pause):
    draw_and_track(session, 1)
    for frame in (3, 7, 8):
        editing.SetChecked(frame, True).run(session.document)
    page.wait_objects(1)
    page.seek(5)
    session.runner.make_tracker = Shifted
    draw_box(page, (5, 5), (13, 5), (13, 13), (5, 13))
    toast = page.tab.locator(TOAST.format("3 checked frames changed and no longer marked as checked: frames 3, 7–8"))
    toast.locator("button >> text='Frame 3'").wait_for()
    assert Describe().run(session).checked == []
    toast.locator("button >> text=Undo").click()
    page.wait_until(lambda: Describe().run(session).checked == [3, 7, 8])
    assert list_titles(session.document)[1] == "outline"


def test_pixels_left_to_another_object_can_be_taken(page, session, short_pause):
    draw_and_track(session, 1)
    page.wait_objects(1)
    before = list_labels(session.document)
    session.runner.make_tracker = Greedy
    page.seek(5)
    page.key("n")
    page.wait_objects(2)
    draw_box(page, (40, 25), (50, 25), (50, 35), (40, 35))
    toast = page.tab.locator(TOAST.format("object 2 left 600 pixels to object 1 on frames 6–11"))
    toast.locator("button >> text='Take them'").click()
    toast = page.tab.locator(TOAST.format("object 2 took 600 pixels from object 1 on frames 6–11"))
    toast.wait_for()
    assert not (session.document.snapshot.labels(8) == 1).any()
    toast.locator("button >> text='Frame 6'").click()
    page.wait_frame(6)
    page.key("Control+z")
    page.wait_until(lambda: (session.document.snapshot.labels(8) == before[8])[before[8] == 1].all())


def test_only_the_selected_object_is_tracked(page, session):
    draw_and_track(session, 1)
    draw(session, 0, 2)
    page.wait_objects(2)
    page.key("2")
    page.wait_selected("object 2")
    page.tab.check("#only-selected")
    page.drag((0.5, 20), (59, 20))  # over object 1
    before = list_labels(session.document)
    assert before[0][20, 59] == 2
    session.runner.make_tracker = Greedy
    page.track("t")
    page.tab.wait_for_selector(TOAST.format("Tracking done: 11 frames. object 2 left"))
    after = list_labels(session.document)
    assert all((labels == 2).any() for labels in after)
    np.testing.assert_array_equal([labels == 1 for labels in after], [labels == 1 for labels in before])
