"""The page in a browser: tracking, review, status, history, export."""

from __future__ import annotations

import json
import threading

import pytest
from msgspec import structs

from aotlab_studio.document import editing
from aotlab_studio.document.events import FrameEvent
from aotlab_studio.review.checks import Check
from aotlab_studio.session.actions import Describe
from aotlab_testing.browser import needs_browser
from aotlab_testing.processes import wait_for_event, wait_until
from studio.tests.annotation.browser import RUNNING_JOB, Page, Wire
from studio.tests.annotation.clips import LENGTH
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    hold,
    list_titles,
    refresh_review,
    start_job,
    wait_for,
)

pytestmark = needs_browser


def hold_review(monkeypatch):
    """Hold the next search for frames to check, which finds frame 7; return events: it has begun, and it may end."""
    begun, release = threading.Event(), threading.Event()

    def find_checks(*_):
        begun.set()
        wait_for_event(release)
        return [Check(7, 1, "lost", 1.0)]

    monkeypatch.setattr("aotlab_studio.review.checks.find_checks", find_checks)
    return begun, release


def test_review_lists_each_frame_once_worst_first(page, session, checks):
    draw(session, 0, 1, 2)
    found = [(7, 2, "lost", 1.0), (7, 1, "jump", 0.9), (3, 1, "unsure", 0.8), (7, 2, "area", 0.5)]
    checks.extend([Check(*values) for values in found])
    refresh_review(session)
    page.tab.wait_for_selector("#review li + li")
    assert page.tab.inner_text("#review").split("\n") == [
        "7: object 2 is lost, suddenly changes size; object 1 jumps",
        "3: object 1 has low confidence",
    ]
    for key, frame, selected in ((".", 7, 2), (".", 3, 1), (".", 7, 2), (".", 3, 1), (",", 7, 2)):
        page.key(key)
        page.wait_frame(frame)
        page.wait_selected(f"object {selected}")


@pytest.mark.slow
def test_objects_added_during_a_review_stay(page, session, monkeypatch, two_objects):
    begun, release = hold_review(monkeypatch)
    refresh_review(session)
    page.wait_until(begun.is_set)
    editing.AddObject().run(session.document)
    page.key("1")
    release.set()
    page.tab.wait_for_selector("#review li")
    page.wait_objects(3)
    page.wait_selected("object 1")


@pytest.mark.slow
def test_error_stays_at_the_end_of_tracking(page, session):
    draw(session, 0, 1)
    tracker = hold(session, 4)
    start_job(session, 0)
    page.tab.wait_for_selector("#job:not([hidden])")
    page.tab.set_input_files("#load", __file__)
    page.wait_status("not readable")
    tracker.release_frames()
    page.tab.wait_for_selector("#job[hidden]", state="attached")
    page.wait_status("not readable")


def test_stroke_while_following_is_kept(page, session):
    draw(session, 0, 1)
    tracker = hold(session, 4)
    page.wait_objects(1)
    page.key("t")
    page.wait_frame(3)
    job = session.runner.job
    page.press(40, 5)
    tracker.release_frames(2)
    page.tab.wait_for_selector("#job-text:has-text('5 of')")
    with page.done():
        page.lift(50, 5)
    assert page.labels(3)[5, 45] == 1
    page.seek(1)
    tracker.release_frames()
    wait_for(job)
    page.tab.wait_for_selector("#job", state="hidden")
    page.settle()
    page.wait_frame(1)
    with page.tracked():  # as by another page
        start_job(session, 5)
    page.settle()
    page.wait_frame(1)
    page.track("t")
    page.wait_frame(LENGTH - 1)


@pytest.mark.slow
def test_export_can_be_canceled(page, session, monkeypatch):
    draw(session, 0, 1)
    read, started = session.document.frames.read, threading.Event()

    def slow(index, reader="view"):
        if reader == "export":
            started.set()
            wait_until(lambda: session._canceled_exports)
        return read(index, reader)

    monkeypatch.setattr(session.document.frames, "read", slow)
    page.key("Shift+E")
    assert page.tab.is_visible("#export-start")
    assert not page.tab.is_visible("#export-cancel")
    page.tab.click("#export-start")
    wait_for_event(started)
    assert page.tab.get_attribute("#view", "aria-busy") == "false"  # more strokes are possible
    page.tab.click("#export-cancel")
    page.tab.wait_for_selector("#export-missing >> text=export: canceled")
    assert not (session.document.folder / "export" / "clip.zip").exists()


@pytest.mark.slow
def test_export_canceled_while_it_waits_for_an_edit(page, session, monkeypatch):
    exported = []

    def export(*_, on_frame, **__):
        on_frame(1, 12)
        exported.append(1)

    monkeypatch.setattr("aotlab_studio.session.actions.export_masks", export)
    with session.document.lock:
        page.key("n", "Shift+E")
        page.tab.click("#export-start")
        page.tab.click("#export-cancel")
    page.tab.wait_for_selector("#export-missing >> text=export: canceled")
    assert not exported


def test_thumbnails_of_the_review_show_masks(page, session, checks):
    draw(session, 0, 1)
    editing.ChangeObject(1, color="#0000ff").run(session.document)
    checks.append(Check(0, 1, "jump", 1.0))
    refresh_review(session)
    page.tab.wait_for_function("() => document.querySelector('#review img')?.naturalWidth === 60")
    _, _, blue, _ = page.tab.evaluate("""() => {
        const context = document.createElement('canvas').getContext('2d');
        context.drawImage(document.querySelector('#review img'), 0, 0);
        return [...context.getImageData(10, 10, 1, 1).data];
    }""")
    assert blue > 150  # the mask; the object itself is red


@pytest.mark.slow
def test_corrected_review_rows_are_ticked_off(page, session, checks):
    draw(session, 0, 1, 2)
    checks.extend([Check(7, 2, "fragment", 1.0), Check(7, 1, "jump", 0.9), Check(3, 1, "unsure", 0.8)])
    refresh_review(session)
    page.tab.wait_for_selector("#review li + li")
    page.tab.evaluate("document.querySelector('#review li:last-child').scrollIntoView()")
    page.tab.wait_for_function("() => document.querySelector('#review img')?.naturalWidth === 60")
    address = f"{page.tab.url}frame/7?video={session.video_id}&width=96&masks=1&"
    assert any(url.startswith(address) for url in page.requests)
    draw(session, 7, 2)
    editing.AddObject().run(session.document)
    page.wait_objects(3)  # events arrive in order
    assert page.tab.query_selector("#review .done") is None
    del checks[:2]
    draw(session, 7, 1)
    page.tab.wait_for_selector("#review .done")
    assert "corrected" in page.tab.inner_text("#review .done")
    page.key(".")
    page.wait_frame(3)


def test_durations_are_shown_in_minutes(idle_page):
    assert idle_page.tab.evaluate(
        "import('/page/dom.js').then(({ formatDuration }) => [formatDuration(399.2), formatDuration(40)])"
    ) == ["6 min 40 s", "40 s"]


def test_export_offers_masks_and_overlay(idle_page):
    idle_page.key("Shift+E")
    names = "[...document.querySelectorAll('#outputs input:checked')].map((box) => box.name).sort()"
    assert idle_page.tab.evaluate(names) == ["masks", "overlay"]
    assert idle_page.tab.query_selector("#outputs input[name^=mattes]") is None  # masks have no soft edges
    visible = idle_page.tab.locator("#outputs input:visible").all()
    assert [box.get_attribute("name") for box in visible] == ["masks", "coco", "cvat", "yolo", "overlay"]
    options = idle_page.tab.locator("#export-dialog [data-option]:visible")
    before = options.count()
    idle_page.tab.check("#outputs [name=cvat]")
    assert [box.get_attribute("data-option") for box in options.all()] == ["polygons"]
    idle_page.tab.uncheck("#outputs [name=cvat]")
    assert options.count() == before == 0
    idle_page.key("Escape")


def test_outdated_frames_show_and_are_asked_about(page, session):
    draw(session, 0, 1)
    with page.tracked():  # all earlier events have arrived by then
        start_job(session, 0)
    page.seek(4)
    page.drag((40, 3), (44, 3))
    page.tab.wait_for_selector("#strips[aria-description='Outdated: object 1 5 to 11']")
    assert not page.tab.is_visible("#done")

    def answer(choice):
        page.tab.wait_for_selector("dialog[open] p >> text=Outdated: 7 frames (5 to 11)")
        page.tab.click(f"dialog[open] button[value='{choice}']")

    page.key("Shift+E")
    for choice in ("", "continue"):
        page.tab.click("#export-start:enabled")
        answer(choice)
        if not choice:
            page.tab.wait_for_selector("#export-missing:empty", state="attached")
    page.tab.wait_for_selector("#download:not([hidden])")
    assert '"outdated"' in (session.archive.parent / "export.json").read_text()


def test_checking_a_frame_shows_the_next_one(page, session, checks):
    draw_and_track(session, 1)
    checks.extend([Check(7, 1, "lost", 1.0), Check(3, 1, "unsure", 0.8)])
    refresh_review(session)
    page.tab.wait_for_selector("#review li + li")
    page.key(".")
    page.wait_frame(7)
    page.key("q")
    page.wait_frame(3)
    assert page.tab.locator("#review li:not(:has(.done))").count() == 1
    assert page.tab.inner_text("#review-summary") == "1 frame left to check, worst first."
    assert page.tab.get_attribute("#checked", "aria-pressed") == "false"
    page.key("q")
    page.tab.wait_for_selector("#checked[aria-pressed=true]")
    page.tab.wait_for_selector("#strips[aria-valuetext^='Frame 3, checked;']")
    page.wait_until(lambda: page.tab.inner_text("#next-check").startswith("Next problem (0)"))
    page.wait_status("No frames left to check")


@pytest.mark.parametrize(("key", "count"), [("q", 1), ("t", 2)])  # tracking changes masks at its start and end
def test_frames_to_check_are_requested_once_a_change(new_page, session, key, count):
    draw_and_track(session, 1)
    wire = Wire(new_page)
    new_page.wait_until(lambda: len(wire.answers) == len(wire.sent))
    before = len(wire.list_sent("list_frames_to_check"))
    with new_page.done():
        new_page.key(key)
    new_page.wait_until(lambda: session.runner.running_job is None)
    new_page.wait_until(lambda: len(wire.list_sent("list_frames_to_check")) >= before + count)
    new_page.wait_until(lambda: len(wire.answers) == len(wire.sent))
    new_page.settle()
    assert len(wire.list_sent("list_frames_to_check")) == before + count


@pytest.mark.slow
def test_impossible_range_of_an_export_is_refused(new_page):
    wire = Wire(new_page)
    new_page.key("Shift+E")
    for first in ("5.5", "3"):
        new_page.tab.fill("#export-first", first)
        new_page.tab.press("#export-first", "Enter")
    new_page.wait_until(lambda: wire.list_sent("export"))
    assert [message["first"] for message in wire.list_sent("export")] == [3]


def test_edit_of_the_history_is_gone_back_to(page, one_object):
    page.key("b")
    page.drag((5, 30), (15, 30))
    page.key_done("m")
    page.tab.click("#open-history")
    page.tab.wait_for_selector("#steps li:first-child >> text=now")
    assert page.tab.inner_text("#steps li:nth-child(2)").startswith("brush object 1, frame 0 · ")
    with page.done():
        page.tab.click("[aria-label='Back to brush object 1, frame 0']")
    page.wait_until(lambda: page.labels(0)[30, 10] == 1)
    with page.done():
        page.tab.click(".toast:has-text('Back to: brush object 1, frame 0') >> text=Undo")
    assert not page.labels(0).any()


@pytest.mark.slow
def test_check_of_a_frame_without_a_mask_is_refused(page, session):
    page.key("q")
    page.wait_status("frame 0: no mask to check")
    assert session.document.status == "to do"
    draw(session, 0, 1)
    page.wait_objects(1)
    page.key(".")
    page.wait_status("will appear here after tracking")


@pytest.mark.slow
def test_times_are_in_the_zone_of_the_browser(browser, session, served):
    draw(session, 0, 1)
    step = session.document.log.steps[session.document.log.head]
    for time in ("2026-01-02T20:00:00+00:00", "yesterday"):
        session.document.log.append(structs.replace(step, time=time, title=time))
    with browser.new_context(timezone_id="Asia/Tokyo", locale="en-US") as context:
        page = Page(context, served.url)
        page.tab.click("#open-history")
        page.tab.wait_for_selector("#steps >> text=· Jan 3, 2026, 5:00")
        page.tab.wait_for_selector("#steps >> text=· unknown time")


def send_job(wire, **changes):
    wire.socket.send(json.dumps({"event": "job", "job": {**RUNNING_JOB, **changes}}))


@pytest.mark.slow
def test_tracking_requests_no_page_files(new_page):
    wire = Wire(new_page)
    new_page.requests.clear()
    for done in range(1, 51):
        send_job(wire, done=done, total=60)
    new_page.tab.wait_for_selector("#job-text >> text=50 of 60")
    new_page.settle()
    assert not [url for url in new_page.requests if "/page/" in url]


@pytest.mark.slow
def test_live_review_requests_checks_of_changed_frames_only(new_page, session, checks):
    draw(session, 0, 1)
    checks.append(Check(7, 1, "lost", 1.0))
    wire = Wire(new_page)
    new_page.tab.wait_for_function("() => document.querySelector('#review img')?.naturalWidth === 60")
    new_page.settle()
    new_page.requests.clear()
    strips, reviews = (len(wire.list_sent(action)) for action in ("timeline", "list_frames_to_check"))

    def has_refreshed():
        send_job(wire)
        return len(wire.list_sent("list_frames_to_check")) >= reviews + 2

    new_page.wait_until(has_refreshed)
    new_page.settle()
    assert len(wire.list_sent("timeline")) == strips
    assert not [url for url in new_page.requests if "/frame/7?" in url]
    # in one call: a late review may replace the entry between two
    new_page.tab.evaluate("document.querySelector('#review li').scrollIntoView()")
    session.document.emit(FrameEvent(7, session.document.revision + 1, {1: "-"}))
    new_page.wait_until(lambda: any("/frame/7?" in url for url in new_page.requests))


@pytest.mark.slow
def test_review_grows_while_tracking_runs(new_page, session, checks):
    draw(session, 0, 1)
    wire = Wire(new_page)
    new_page.wait_until(lambda: wire.list_sent("list_frames_to_check") and len(wire.answers) == len(wire.sent))
    checks.append(Check(7, 1, "jump", 0.9))

    def is_listed():
        send_job(wire)
        return new_page.tab.query_selector("#review li")

    new_page.wait_until(is_listed)
    assert new_page.tab.is_visible("#job")


@pytest.mark.slow
def test_timeline_and_review_hide_a_deleted_object(page, session, monkeypatch):
    draw(session, 0, 1, 2)
    draw(session, 9, 2)

    def find(*_):
        return [Check(7, 2, "lost", 1.0)] if 2 in session.document.snapshot.objects else []

    monkeypatch.setattr("aotlab_studio.review.checks.find_checks", find)
    refresh_review(session)
    page.tab.wait_for_selector("#review li")
    page.key("2")
    page.key_done("Delete")
    page.tab.wait_for_selector("#review li", state="detached")
    page.key("Shift+E")
    page.tab.click("#export-annotated")
    assert page.tab.input_value("#export-last") == "0"
    page.key("Escape", "Control+z")
    page.tab.wait_for_selector("#review li")


def test_refused_export_shows_an_error_in_its_dialog(page):
    page.key("Shift+E")
    page.tab.fill("#export-first", "99")
    page.tab.click("#export-start")
    page.tab.wait_for_selector("#export-missing:has-text('no frames from 99 to 11')")
    assert page.tab.inner_text("#status") == ""
    assert page.tab.is_visible("#export-dialog")
    assert page.tab.is_enabled("#export-start")
    page.tab.fill("#export-first", "-5")
    page.tab.click("#export-dialog [value=close]")
    page.tab.wait_for_selector("#export-dialog", state="hidden")


@pytest.mark.slow
def test_second_q_before_the_answer_keeps_the_mark(new_page, session):
    draw(session, 3, 1)
    wire = Wire(new_page)
    wire.hold_sent("set_checked")
    new_page.seek(3)
    new_page.key("q", "q")
    wire.send_held()
    new_page.wait_until(lambda: len(wire.list_sent("set_checked")) == 2 and len(wire.answers) == len(wire.sent))
    new_page.wait_idle()
    assert Describe().run(session).checked == [3]
    assert new_page.tab.locator(".toast span").all_inner_texts() == ["Frame 3 marked as checked"]


@pytest.mark.slow
def test_frame_checked_by_two_people_stays_checked(page, context, served, session):
    draw(session, 0, 1)
    other = Page(context, served.url)
    with served.session.document.lock:  # neither sees the other's mark
        for each in (page, other):
            each.tab.focus("#view")
            each.key("q")
            each.settle()
    for each in (page, other):
        each.tab.wait_for_selector("#checked[aria-pressed=true]")
        each.wait_idle()
    assert Describe().run(session).checked == [0]
    assert list_titles(session.document)[0] == "mark as checked"


def test_enter_merges_from_the_list_of_objects(page, two_objects):
    page.tab.click("#merge")
    page.tab.focus("dialog[open] select")
    page.key("Enter")
    page.wait_objects(1)
