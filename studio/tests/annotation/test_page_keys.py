"""The page in a real browser: keyboards of other layouts, keys alone, reloads, restarts, exports, dense screens."""

from __future__ import annotations

import threading

import pytest

from aotlab_studio.project import editing
from aotlab_studio.review.checks import Check
from aotlab_studio.server import app as web
from aotlab_studio.tracking.planning import Request
from studio.tests.annotation.browser import Page, needs_browser
from studio.tests.annotation.clips import Seer, open_session, truth
from studio.tests.annotation.served import Served
from studio.tests.annotation.test_editing import draw

pytestmark = needs_browser


def press(page, code, key, **how):
    page.tab.evaluate(
        """([code, key, how]) => document.getElementById('view').dispatchEvent(
            new KeyboardEvent('keydown', { code, key, bubbles: true, cancelable: true, ...how }))""",
        [code, key, how],
    )


def test_the_cursor_and_the_brush_follow_the_place_of_keys_on_azerty_and_qwertz(page):
    press(page, "KeyW", "z")
    page.status("cursor at 30, 12")
    press(page, "KeyA", "q")
    page.status("cursor at 22, 12")
    radius = page.radius()
    press(page, "BracketRight", "+")
    press(page, "BracketLeft", "ü")
    press(page, "BracketLeft", "^")
    assert page.radius() < radius
    press(page, "KeyW", "z", ctrlKey=True)  # undo goes by what is printed
    page.status("")


def test_with_keys_alone_the_image_is_zoomed_at_the_cursor_and_moved(page):
    page.tab.focus("#view")
    page.key("w", "a")
    page.until(lambda: page.place()[:2] == [22, 12])
    before = page.place()[2]
    page.key("+", "PageUp")
    page.until(lambda: page.place()[2] > 1.5 * before)
    zoom = page.place()[2]
    assert page.place()[:2] == [22, 12]
    page.key("Control+ArrowRight", "Control+ArrowUp")
    page.until(lambda: page.place()[:2] != [22, 12])
    assert page.place() == pytest.approx([22 + 8000 / zoom, 12 - 8000 / zoom, zoom], abs=1)


def test_keys_without_ctrl_can_be_turned_off(page):
    page.drag((10, 10), (20, 10))
    page.key("?")
    page.tab.click("#single-keys")
    page.key("Escape", "e", "m", "?")
    assert page.tool() == "brush"
    assert not page.tab.is_visible("#help-dialog")
    assert page.labels(0).any()
    page.key_done("Control+z")
    page.key("ArrowRight")
    page.wait_frame(1)


def test_a_key_is_changed_in_the_dialog_and_the_browser_keeps_it(page):
    page.key("?")
    page.tab.click("[data-default=E]")
    page.key("l")
    assert "key for “lasso”" in page.tab.inner_text("#keys-status")
    page.tab.click("[data-default=E]")
    page.key("Escape")
    page.tab.click("[data-default=E]")
    page.key(",", "Escape")
    for _ in range(2):
        page.key("b", "e")
        assert page.tool() == "brush"
        page.key(",")
        assert page.tool() == "eraser"
        assert page.tab.get_attribute("[data-tool=eraser]", "aria-keyshortcuts") == ","
        page.open(page.tab.url)
    page.key("?")
    page.tab.click("#reset-keys")
    page.key("Escape", "b", "e")
    assert page.tool() == "eraser"


def test_a_reload_keeps_frame_tool_brush_and_look(page):
    page.seek(7)
    page.key("e", "]", "v")
    radius = page.radius()
    page.tab.fill("#opacity", "0.8")
    page.open(page.tab.url)
    page.wait_frame(7)
    assert [page.tool(), page.radius()] == ["eraser", radius]
    assert [page.tab.is_checked("#fill"), page.tab.is_checked("#outline")] == [False, True]
    assert page.tab.input_value("#opacity") == "0.8"


def test_a_page_of_an_earlier_start_says_so(page, served, folder):
    port = int(served.host.split(":")[1])
    served.server.should_exit = True
    served.thread.join(10)
    served.session.close()
    again = open_session(folder)
    other = Served.__new__(Served)
    other.session = again
    other.server = web.Server(again, web.bind("127.0.0.1", port), token="another")
    other.thread = threading.Thread(target=other.server.run_here, daemon=True)
    other.thread.start()
    page.status("This page belongs to an earlier run of the program")
    page.status("aotlab annotate clip")
    other.close()


def test_when_the_server_is_gone_no_promise_is_rejected_unseen(page, served):
    served.server.should_exit = True
    served.thread.join(10)
    page.key("ArrowRight", "m", "t", "Shift+Delete")
    page.tab.wait_for_selector("#status.error")
    page.tab.set_input_files("#load", __file__)
    page.status("Failed to fetch")


def test_an_export_can_be_cancelled(page, session, monkeypatch):
    draw(session, 0, 1)
    read = session.state.frames.read

    def slow(index, reader="view"):
        if reader == "export":
            session._closed.wait(0.3)
        return read(index, reader)

    monkeypatch.setattr(session.state.frames, "read", slow)
    page.key("Shift+E")
    assert page.tab.is_visible("#export-start")
    assert not page.tab.is_visible("#export-cancel")
    page.tab.click("#export-start")
    page.tab.click("#export-cancel")
    page.status("export: cancelled")
    assert not (session.state.project.folder / "export" / "clip.zip").exists()


def test_rows_of_the_review_are_ticked_off_when_they_are_corrected(page, session, monkeypatch):
    draw(session, 0, 1, 2)
    found = [Check(7, 2, "fragment", 1.0), Check(7, 1, "jump", 0.9), Check(3, 1, "unsure", 0.8)]
    monkeypatch.setattr("aotlab_studio.server.session.find_checks", lambda *_: found)
    page.open(page.tab.url)
    page.tab.wait_for_selector("#review li + li")
    assert page.tab.get_attribute("#review img", "src") == f"frame/7?video={session.video_id}&width=96"
    draw(session, 7, 2)
    page.tab.wait_for_timeout(100)
    assert page.tab.query_selector("#review .done") is None
    draw(session, 7, 1)
    page.tab.wait_for_selector("#review .done")
    assert "corrected" in page.tab.inner_text("#review .done")
    page.key(".")
    page.wait_frame(3)


def test_the_review_grows_while_tracking_runs(page, session, monkeypatch):
    draw(session, 0, 1)
    session.make_tracker = lambda: Seer(pause=0.5)
    job = session.track(Request(0))
    found: list[Check] = []
    monkeypatch.setattr("aotlab_studio.server.session.find_checks", lambda *_: found)
    page.tab.wait_for_selector("#job:not([hidden])")
    found.append(Check(7, 1, "jump", 0.9))
    page.tab.wait_for_selector("#review li")
    assert page.tab.is_visible("#job")
    job.stop()


def test_on_a_dense_screen_corners_close_and_marks_are_drawn_in_css_pixels(browser, served):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, device_scale_factor=2)
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


def test_a_part_of_another_object_is_given_to_the_chosen_one_by_one_click(page, session):
    draw(session, 0, 1, 2)
    swapped = truth(0).copy()
    swapped[25:35, 40:50] = 1
    editing.edit_mask(session.state, 0, 1, lambda _: swapped == 1, "wrong")
    page.shows("object 1")
    page.key("2", "o")
    with page.done():
        page.tab.mouse.click(*page.at(45, 30))
    assert (page.labels(0) == truth(0)).all()
    assert "A part of object 1 is object 2’s now" in page.tab.inner_text("#toasts")
    with page.done():
        page.tab.click(".toast >> text=Undo")
    assert (page.labels(0) == swapped).all()


def test_the_page_shows_minutes(page):
    assert page.tab.evaluate(
        "import('/page/tracking.js').then(({ duration }) => [duration(399.2), duration(40)])"
    ) == ["6 min 40 s", "40 s"]


def test_a_correction_shows_its_effect_without_a_key(page, session):
    draw(session, 0, 1)
    with page.tracked():
        session.track(Request(0))
    page.seek(4)
    page.key("x")
    page.drag((37, 22), (53, 38))
    page.seek(8)
    page.shows("object 1", "object 2")
    assert (page.labels(8) == truth(8)).all()
    assert page.tab.is_enabled("#forward")
    page.key_done("Control+z")
    assert not (page.labels(8) == 2).any()


def test_a_click_on_a_row_of_the_timeline_chooses_its_object_however_many_there_are(page, session):
    for _ in range(20):
        editing.add_object(session.state)
    page.objects(20)
    box = page.tab.evaluate("document.getElementById('rows').getBoundingClientRect().toJSON()")
    page.tab.evaluate("document.getElementById('rows').scrollTop = 1000")
    page.tab.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] - 8)
    page.chosen("object 20")
    page.wait_frame(5)
    assert page.tab.evaluate("document.documentElement.scrollHeight") == 720


def test_the_timeline_zooms_scrolls_with_the_frame_and_has_thumbnails(page):
    page.tab.click("#thumbnails img >> nth=7")
    page.wait_frame(7)
    for _ in range(3):
        page.tab.click("#closer")
    page.tab.wait_for_selector("#strips[aria-valuetext='Frame 7; frames 3 to 9 in view']")
    page.key("End")
    page.tab.wait_for_selector("#strips[aria-valuetext='Frame 11; frames 4 to 11 in view']")
    page.tab.click("#wider")
    page.tab.wait_for_selector("#strips[aria-valuetext='Frame 11; frames 0 to 11 in view']")


def test_a_preset_chooses_what_is_exported(page):
    page.key("Shift+E")
    page.tab.click("text=COCO >> nth=0")
    names = "[...document.querySelectorAll('#outputs input:checked')].map((box) => box.name).sort()"
    assert page.tab.evaluate(names) == ["coco", "review"]
