"""The page of a list of videos, in a browser."""

import functools
import os
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from aotlab_studio.batch import open_clips
from aotlab_studio.document import editing
from aotlab_studio.server.batch_app import build_batch_app
from aotlab_studio.session.actions import ACTIONS
from aotlab_studio.session.session import Session, UnfinishedError
from studio.tests.annotation.browser import (
    Page,
    choose_status,
    find_violations,
    hold_first_answer,
    needs_browser,
    open_list,
)
from studio.tests.annotation.clips import draw_folder
from studio.tests.annotation.results import (
    change_record,
    find_clip,
    replace_results,
    set_status,
    statuses,
    wait_until_tracked,
)
from studio.tests.annotation.sessions import draw
from tests.processes import wait_until

pytestmark = needs_browser


def test_list_asks_for_a_name_and_explains_failed_clips(context, served_list, results, batch):
    change_record(results / "a", status="failed", error="no mask")
    (results / "a" / "thumbnail.jpg").unlink()
    tab = context.new_page()
    failed = []
    tab.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    tab.goto(served_list.url)
    tab.wait_for_selector("#clips tr")
    assert "no mask" in tab.inner_text("#clips tr:first-child")
    assert tab.is_visible("#clips tr:first-child a")
    place = tab.locator("#next-clip").bounding_box()
    choose_status(tab, "accepted", of="c")
    tab.wait_for_selector("#status.error")
    assert "Type your name first" in tab.inner_text("#status")
    assert tab.locator("#next-clip").bounding_box() == place
    line, summary = (tab.locator(name).bounding_box() for name in ("#status", "#summary"))
    assert line["y"] + line["height"] <= summary["y"]
    tab.wait_for_selector("[aria-label='Status of c: to do']")
    assert statuses(batch)["c"] == "to do"
    tab.click("#export-clips")
    tab.wait_for_selector("#status >> text=Type your name first")
    assert tab.evaluate("document.activeElement.id") == "person"
    tab.close()
    assert failed == []


def test_clip_of_an_undecodable_name_opens_from_the_list(context, results, served_list):
    (results / "b").rename(results / os.fsdecode(b"b\xff"))
    tab = open_list(context, served_list)
    tab.click("#clips a >> text=b\ufffd")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.close()


def test_list_asks_about_unfinished_frames(context, served_list, batch, monkeypatch):
    asked = []

    @functools.wraps(Session.set_status)
    def set_status(self, force, **values):
        asked.append(force)
        if not force:
            raise UnfinishedError("3 frames are outdated")

    monkeypatch.setitem(ACTIONS, "set_status", replace(ACTIONS["set_status"], run=set_status))
    tab = open_list(context, served_list)
    for choice in ("", "proceed"):
        choose_status(tab, "accepted", of="c")
        tab.wait_for_selector("dialog[open] p >> text=3 frames are outdated")
        with tab.expect_response("**/clips"):
            tab.click(f"dialog[open] button[value='{choice}']")
        assert tab.inner_text("#status") == ""
    assert asked == [False, False, True]
    tab.close()


def test_videos_drawn_in_the_page_are_tracked_from_the_list(context, tmp_path, monkeypatch, make_batch, serve):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.05)
    for name in ("one", "two"):
        draw_folder(tmp_path / "videos" / name)
    batch = make_batch(tmp_path / "videos")
    tab = open_list(context, serve(batch, build_batch_app(batch)))
    assert not tab.is_visible("#track-all")
    for name in ("one", "two"):
        tab.click(f"#clips a >> text={name}")
        tab.wait_for_selector("#view[aria-busy=false]")
        page = Page.__new__(Page)
        page.tab, page.size = tab, (40, 60)
        tab.keyboard.press("x")
        page.stroke((3, 3), (18, 18))
        tab.wait_for_selector("#objects li")
        tab.click("#clips")
        tab.wait_for_selector("#clips tr")
    tab.click("#track-all")
    wait_until(lambda: all(clip.status == "in progress" and not clip.trackable for clip in batch.list_clips()))
    wait_until_tracked(batch)
    tab.close()


def test_list_counts_clips_left_to_track(clock_context, served_list, batch, monkeypatch):
    with batch.use("a", "Ann") as session:
        draw(session, 0, 1)
        editing.clear_tracking(session.document, 4)
    held = threading.Event()
    monkeypatch.setattr(batch, "_track", lambda *_: held.wait() and "")
    tab = open_list(clock_context, served_list, fixed_clock=True)
    tab.wait_for_selector("#track-all:visible")
    tab.keyboard.press("t")
    tab.wait_for_selector("#summary >> text=Tracking… 1 clip left.")
    held.set()
    batch._tracking_runs.clear()  # as after a restart of the program
    with tab.expect_response("**/clips"):
        tab.clock.run_for(5000)
    tab.wait_for_selector("#summary:not(:has-text('Tracking'))")
    assert tab.inner_text("#status") == ""
    tab.close()


def test_accepted_clips_are_exported_once_from_the_list(context, results, served_list, batch):
    tab, requests = open_list(context, served_list), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.click("#export-clips")
    tab.wait_for_selector("#status li >> text=Left out: a (to do), b (to do), c (to do).")
    for name in ("a", "c"):
        choose_status(tab, "accepted", of=name)
        wait_until(lambda name=name: statuses(batch)[name] == "accepted")
    tab.uncheck("#export-form [name=coco]")
    tab.click("#export-clips")
    tab.wait_for_selector("#status >> text=Choose a format")
    tab.check("#export-form [name=cvat]")
    requests.clear()
    tab.dblclick("#export-clips")
    tab.wait_for_selector("#status >> text=2 clips exported")
    assert len([url for url in requests if url.endswith("/export")]) == 1
    assert (results / "a" / "cvat.xml").is_file()
    tab.close()


def test_page_reports_that_a_clip_was_tracked_again(context, served_list, results, batch):
    with batch.use("a", "Ann") as session:
        draw(session, 4, 2)
    replace_results(results, "a", 3, range(2, 6))
    tab = open_list(context, served_list)
    tab.click("#clips a >> text=a")
    tab.wait_for_selector("#status >> text=the video was tracked again")
    assert "outside the tracked part" not in tab.inner_text("#time")
    tab.close()


def test_list_names_who_has_a_clip_open(context, served_list, batch):
    people = {"a": "Ann", "b": "", "c": "Bob"}
    with ExitStack() as uses:
        for name, person in people.items():
            uses.enter_context(batch.use(name, person, is_page=True))
        tab = open_list(context, served_list)
        for user in ("Ann on", "this program", "Bob on"):
            tab.wait_for_selector(f"#clips td:last-child >> text=in use by {user}")
        tab.click("a[href='clip/c/']")
        tab.wait_for_selector("#status.error >> text=Bob has it open")
        tab.wait_for_selector("a[href='clip/b/']")
        assert "problem" not in tab.url
        tab.close()


@pytest.mark.slow
def test_clip_that_is_opened_without_a_name_asks_for_it(context, served_list):
    tab = context.new_page()
    tab.goto(served_list.url)
    tab.wait_for_selector("#clips tr")
    tab.goto(f"{served_list.address}/clip/a/")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.keyboard.press("n")
    tab.wait_for_selector("#status.error")
    assert "type your name first" in tab.inner_text("#status")
    tab.keyboard.press(">")
    tab.wait_for_selector("#status.error >> text=Type your name first")
    assert tab.evaluate("document.activeElement.id") == "person"
    tab.fill("#person", "Ann")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#name-field", state="hidden")
    tab.keyboard.press("n")
    tab.wait_for_selector("#objects li:nth-child(3)")
    tab.close()


@pytest.mark.slow
def test_list_keeps_focus_and_message_when_read_again(clock_context, served_list):
    tab = clock_context.new_page()
    tab.clock.install()
    tab.goto(served_list.url)
    tab.wait_for_selector("#clips tr")
    tab.keyboard.press(">")
    tab.wait_for_selector("#status.error")
    tab.focus("#clips tr:first-child a")
    with tab.expect_response("**/clips"):
        tab.clock.run_for(5000)
    assert tab.evaluate("document.activeElement.tagName") == "A"
    assert "Type your name first" in tab.inner_text("#status")
    tab.close()


def press_next(tab):
    """Open the next clip from the list by its key, with the focus on a checkbox."""
    tab.wait_for_selector("#clips tr")
    assert tab.evaluate("document.activeElement === document.body")  # no longer on the name
    tab.click("#export-form [name=cvat]")
    tab.keyboard.press(">")
    tab.wait_for_selector("#view[aria-busy=false]")


@pytest.mark.slow
def test_next_clip_opens_under_the_name_of_the_list(list_tab, batch):
    press_next(list_tab)
    assert list_tab.inner_text("#name") == "b"
    assert not list_tab.is_visible("#name-field")
    list_tab.keyboard.press("m")
    list_tab.wait_for_selector("#clip-status >> text=in progress")
    assert find_clip(batch, "b").holder.startswith("Ann on")


@pytest.mark.slow
def test_next_clip_skips_clips_that_need_no_work(context, served_list, batch):
    set_status(batch, "c", "Bob", "accepted")
    tab = open_list(context, served_list)
    press_next(tab)
    choose_status(tab, "to review")
    wait_until(lambda: statuses(batch)["b"] == "to review")
    tab.click("#next-clip")
    tab.wait_for_function("() => document.getElementById('name')?.textContent === 'a'")
    tab.wait_for_selector("#view[aria-busy=false]")
    tab.focus("#view")
    tab.keyboard.press(">")
    tab.wait_for_selector("#status >> text=No other clip waits for you")
    tab.close()


@pytest.mark.slow
def test_list_names_who_rejected_a_clip(list_tab):
    press_next(list_tab)
    choose_status(list_tab, "rejected", note="dark")
    list_tab.wait_for_selector("#clip-status >> text=rejected")
    list_tab.click("#clips")
    list_tab.wait_for_selector("#clips .status:text('rejected')")
    assert "Ann" in list_tab.inner_text("#clips tr:has(.status:text('rejected')) td:last-child")
    assert list_tab.input_value("#person") == "Ann"
    assert find_violations(list_tab) == []


@pytest.mark.slow
def test_list_keeps_a_note_that_is_typed(list_tab, batch):
    list_tab.click("[aria-label^='Status of c']")
    list_tab.keyboard.type("da")
    set_status(batch, "a", "Bob", "accepted")
    with list_tab.expect_response("**/clips"):
        list_tab.keyboard.type("r")
    list_tab.keyboard.type("k")
    list_tab.focus("dialog[open] [value=rejected]")
    list_tab.keyboard.press(">")
    list_tab.keyboard.press("Enter")
    list_tab.wait_for_selector("#clips .reason >> text=dark")
    list_tab.wait_for_selector("#clips .status:text('accepted')")
    assert list_tab.evaluate("document.activeElement.ariaLabel") == "Status of c: rejected: dark"
    wait_until(lambda: find_clip(batch, "c").note == "dark")
    with batch.use("c", "Ann") as session:
        assert [version.title for version in session.document.list_versions()] == ["rejected: dark"]


def test_list_keeps_a_refused_reason(clock_context, served_list, results, batch):
    tab = open_list(clock_context, served_list, fixed_clock=True)  # it is not read again by itself
    replace_results(results, "c", 3)
    choose_status(tab, "rejected", note="dark", of="c")
    tab.wait_for_selector("#status.error >> text=changed since the list was read")
    tab.wait_for_selector("[aria-label='Status of c: to do']")
    assert statuses(batch)["c"] == "to do"
    choose_status(tab, "rejected", of="c")  # offers the note again
    tab.wait_for_selector("#clips .status:text('rejected')")
    assert find_clip(batch, "c").note == "dark"
    tab.close()


@pytest.mark.slow
def test_newer_list_survives_an_older_one(clock_context, served_list):
    tab = open_list(clock_context, served_list, fixed_clock=True)
    tab.wait_for_selector("#clips tr")
    held, answer = hold_first_answer()
    tab.route("**/clips", answer)
    with tab.expect_request("**/clips"):
        tab.clock.run_for(5000)  # the list is read again
    with tab.expect_response("**/clip/c/edits"):
        choose_status(tab, "accepted", of="c")
    # after the request that the answer started
    tab.evaluate("fetch('clips').then((answer) => answer.text())")
    route, response = held[0]
    with tab.expect_event("requestfinished", lambda request: request == route.request):
        route.fulfill(response=response)
    tab.evaluate("new Promise((end) => setTimeout(() => requestAnimationFrame(end)))")
    tab.wait_for_selector("#clips .status:text('accepted')")
    tab.route("**/clips", lambda route: route.fulfill(json=route.fetch().json()[::-1]))
    orders = []
    for place in ("#summary", "#clips tr", "#summary"):
        tab.hover(place)
        with tab.expect_response("**/clips"):
            tab.clock.run_for(5000)
        tab.evaluate("new Promise((end) => setTimeout(() => requestAnimationFrame(end)))")
        orders.append([link.split()[0] for link in tab.locator("#clips a").all_inner_texts()])
        tab.unroute("**/clips")  # the next list has the first order
    assert orders[0] == orders[1] == orders[2][::-1]  # rows do not move under the pointer
    tab.close()


def test_list_is_filtered_by_name_and_status(list_tab):
    list_tab.wait_for_selector("#clips tr:nth-child(3)")
    list_tab.set_viewport_size({"width": 320, "height": 568})
    assert list_tab.evaluate("document.body.scrollWidth") == 320
    list_tab.fill("#search", "B")
    list_tab.wait_for_selector("#clips tr:nth-child(2)", state="detached")
    assert list_tab.inner_text("#clips tr").startswith("b")
    list_tab.select_option("#filter", "accepted")
    list_tab.wait_for_selector("#summary >> text=No clip matches")
    list_tab.goto(list_tab.url)  # as from a clip
    list_tab.wait_for_selector("#summary >> text=No clip matches")
    assert (list_tab.input_value("#search"), list_tab.input_value("#filter")) == ("B", "accepted")


@pytest.mark.slow
def test_list_counts_clips_that_wait_for_an_export(context, served_list, batch, monkeypatch):
    tab, held = open_list(context, served_list), []
    tab.route("**/export", lambda route: held.append(route))
    monkeypatch.setattr(batch, "_unexported", {"a", "b"})
    tab.click("#export-clips")
    tab.wait_for_selector("#status >> text=Exporting… 2 clips left.")
    held[0].fulfill(json={"names": ["a", "b"], "problems": [], "left_out": []})
    tab.wait_for_selector("#status >> text=2 clips exported.")
    tab.close()


def test_list_keeps_an_unstored_note_over_a_filter(list_tab):
    may_leave = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    list_tab.click("[aria-label^='Status of c:']")
    list_tab.fill("dialog[open] input", "dark")
    list_tab.keyboard.press("Escape")
    list_tab.fill("#search", "b")
    list_tab.wait_for_selector("#clips tr:nth-child(2)", state="detached")
    assert not list_tab.evaluate(may_leave)
    list_tab.fill("#search", "")
    list_tab.click("[aria-label^='Status of c:']")
    assert list_tab.input_value("dialog[open] input") == "dark"
    list_tab.click("dialog[open] button:text('Cancel')")
    list_tab.wait_for_selector("dialog[open]", state="detached")
    assert list_tab.evaluate(may_leave)
