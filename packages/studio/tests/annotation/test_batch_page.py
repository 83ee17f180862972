"""The page of a list of videos, in a browser."""

import os
import threading
from contextlib import closing

import pytest

from aotlab_studio.batch import open_clips
from aotlab_studio.document import editing
from aotlab_studio.server.batch_app import build_batch_app
from aotlab_testing.browser import find_violations, needs_browser
from aotlab_testing.processes import wait_until
from studio.tests.annotation.browser import Page, hold_first_answer, open_list
from studio.tests.annotation.clips import draw_folder, write_video
from studio.tests.annotation.results import (
    change_record,
    mark_done,
    open_clip,
    replace_results,
    statuses,
    wait_until_tracked,
)
from studio.tests.annotation.sessions import draw

pytestmark = needs_browser


def test_list_explains_failed_clips(context, served_list, results):
    change_record(results / "a", status="failed", error="no mask")
    (results / "a" / "thumbnail.jpg").unlink()
    tab = context.new_page()
    failed = []
    tab.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    tab.goto(served_list.url)
    tab.wait_for_selector("#clips tr")
    assert "no mask" in tab.inner_text("#clips tr:first-child")
    assert tab.is_visible("#clips tr:first-child a")
    assert find_violations(tab) == []
    tab.close()
    assert failed == []


def test_clip_is_marked_as_done_in_the_list_and_on_its_page(list_tab, batch):
    list_tab.wait_for_selector("#clips tr:has-text('b') li >> text=1 frame")
    list_tab.wait_for_selector("#clips tr:has-text('a') li >> text=tracked")
    list_tab.click("[aria-label='Done: c']")
    list_tab.wait_for_selector("#clips tr:has([aria-label='Done: c']) .status:text('done')")
    assert statuses(batch)["c"] == "done"
    list_tab.wait_for_selector("#summary >> text=3 clips: 2 to do, 1 done.")
    list_tab.click("#clips a >> text=c")
    list_tab.wait_for_selector("#done[aria-pressed=true]")
    list_tab.focus("#view")
    list_tab.keyboard.press("Shift+Q")
    list_tab.wait_for_selector("#done[aria-pressed=false]")
    assert statuses(batch)["c"] == "to do"
    list_tab.click("#done")
    list_tab.wait_for_selector("#done[aria-pressed=true]")
    list_tab.click(".toast button >> text=Next clip")
    list_tab.wait_for_url("**/clip/b/")
    list_tab.wait_for_selector("#view[aria-busy=false]")
    list_tab.keyboard.press("Shift+K")
    list_tab.wait_for_url("**/clip/a/")
    list_tab.wait_for_selector("#view[aria-busy=false]")
    list_tab.click("#clips")
    list_tab.wait_for_selector("[aria-label='Done: c'][aria-pressed=true]")
    assert find_violations(list_tab) == []


def test_refused_mark_and_open_show_why(list_tab, results):
    with closing(open_clip(results / "c")):
        list_tab.click("[aria-label='Done: c']")
        list_tab.wait_for_selector("#status.error >> text=c.aotlab: open elsewhere since")
        list_tab.click("#clips a >> text=c")
        list_tab.wait_for_selector("#status.error >> text=c.aotlab: open elsewhere since")
        assert "problem" not in list_tab.url
    list_tab.click("[aria-label='Done: c']")
    list_tab.wait_for_selector("[aria-label='Done: c'][aria-pressed=true]")
    assert list_tab.inner_text("#status") == ""


def test_arrow_keys_move_between_clips(list_tab):
    for key, name in (("ArrowDown", "b"), ("ArrowDown", "a"), ("ArrowUp", "b"), ("ArrowUp", "b")):
        list_tab.keyboard.press(key)
        assert list_tab.evaluate("document.activeElement.innerText").strip() == name


def test_clip_of_an_undecodable_name_opens_from_the_list(context, results, served_list):
    (results / "b").rename(results / os.fsdecode(b"b\xff"))
    tab = open_list(context, served_list)
    tab.click("#clips a >> text=b\ufffd")
    tab.wait_for_selector("#view[aria-busy=false]")
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
    with batch.use("a") as session:
        draw(session, 0, 1)
        editing.ClearTracking(4).run(session.document)
    held = threading.Event()
    monkeypatch.setattr(batch, "_track", lambda *_: held.wait() and "")
    tab = open_list(clock_context, served_list, fixed_clock=True)
    tab.wait_for_selector("#track-all:visible")
    tab.keyboard.press("t")
    tab.wait_for_selector("#summary >> text=Tracking… 1 clip left: 11 frames")
    tab.wait_for_selector("#track-all >> text=Stop tracking")
    held.set()
    batch._tracking_runs.clear()  # as after a restart of the program
    with tab.expect_response("**/clips"):
        tab.clock.run_for(5000)
    tab.wait_for_selector("#summary >> text=Tracking was interrupted; 1 clip left.")
    tab.wait_for_selector("#track-all >> text=Resume tracking")
    assert tab.inner_text("#status") == ""
    tab.close()


def test_clips_are_exported_once_from_the_list(context, results, served_list, batch):
    tab, requests = open_list(context, served_list), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.click("#export")
    assert find_violations(tab) == []
    tab.click("#export-start")
    tab.wait_for_selector("#status li >> text=Left out: a (to do), b (to do), c (to do).")
    for name in ("a", "c"):
        mark_done(batch, name)
    tab.click("#export")
    tab.uncheck("#export-form [name=coco]")
    tab.check("#export-form [name=cvat]")
    requests.clear()
    tab.dblclick("#export-start")
    tab.wait_for_selector(f"#status >> text=2 clips exported to {results}.")
    assert len([url for url in requests if url.endswith("/export")]) == 1
    assert (results / "a" / "cvat.xml").is_file()
    tab.close()


def test_list_is_exported_to_a_folder_to_choose(list_tab, results, batch, tmp_path):
    mark_done(batch, "a")
    list_tab.click("#export")
    assert list_tab.get_attribute("#export-folder", "placeholder") == str(results)
    list_tab.fill("#export-folder", str(tmp_path / "gone" / "out"))
    list_tab.click("#export-start")
    problem = "out: cannot be written (No such file or directory); choose another folder"
    list_tab.wait_for_selector(f"#export-dialog[open] #export-message >> text={problem}")
    list_tab.fill("#export-folder", str(tmp_path / "out"))
    list_tab.press("#export-folder", "Enter")
    list_tab.wait_for_selector(f"#status >> text=1 clip exported to {tmp_path / 'out'}.")
    assert not list_tab.is_visible("#export-dialog")
    assert (tmp_path / "out" / "a" / "coco.json").is_file()
    assert (tmp_path / "out" / "a" / "masks").is_dir()
    assert not (results / "a" / "coco.json").exists()
    list_tab.click("#export")
    list_tab.fill("#export-folder", f"{results}/")  # the default, typed
    list_tab.click("#export-start")
    list_tab.wait_for_selector("#export-dialog", state="hidden")
    assert (results / "a" / "coco.json").is_file()


def test_page_reports_that_a_clip_was_tracked_again(context, served_list, results, batch):
    with batch.use("a") as session:
        draw(session, 4, 2)
    replace_results(results, "a", 3, range(2, 6))
    tab = open_list(context, served_list)
    tab.click("#clips a >> text=a")
    tab.wait_for_selector("#status >> text=the video was tracked again")
    assert "outside the tracked part" not in tab.inner_text("#time")
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
        tab.click("[aria-label='Done: c']")
    # after the request that the answer started
    tab.evaluate("fetch('clips').then((answer) => answer.text())")
    route, response = held[0]
    with tab.expect_event("requestfinished", lambda request: request == route.request):
        route.fulfill(response=response)
    tab.evaluate("new Promise((end) => setTimeout(() => requestAnimationFrame(end)))")
    tab.wait_for_selector("#clips .status:text('done')")
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
    list_tab.select_option("#filter", "done")
    list_tab.wait_for_selector("#summary >> text=No clip matches")
    list_tab.goto(list_tab.url)  # as from a clip
    list_tab.wait_for_selector("#summary >> text=No clip matches")
    assert (list_tab.input_value("#search"), list_tab.input_value("#filter")) == ("B", "done")


@pytest.mark.slow
def test_list_counts_clips_that_wait_for_an_export(context, served_list, batch, monkeypatch):
    tab, held = open_list(context, served_list), []
    tab.route("**/export", lambda route: held.append(route))
    monkeypatch.setattr(batch, "_unexported", {"a", "b"})
    tab.click("#export")
    tab.click("#export-start")
    tab.wait_for_selector("#status >> text=Exporting… 2 clips left.")
    assert tab.locator("#clips li >> text=waits for export").count() == 2
    batch._unexported.clear()
    held[0].fulfill(json={"names": ["a", "b"], "problems": [], "left_out": []})
    tab.wait_for_selector("#status >> text=2 clips exported")
    tab.locator("#clips li >> text=waits for export").first.wait_for(state="detached", timeout=4000)
    tab.close()


def test_broken_video_is_listed(context, tmp_path, make_batch, serve, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.05)
    (tmp_path / "videos").mkdir()
    for name in ("a", "c"):
        (tmp_path / "videos" / f"{name}.avi").write_bytes(b"no video")
    write_video(tmp_path / "videos" / "b.avi")
    batch = make_batch(tmp_path / "videos")
    tab = open_list(context, serve(batch, build_batch_app(batch)))
    tab.wait_for_selector("#clips tr:has-text('a.avi: not readable') .status:text('not readable')")
    tab.wait_for_selector("#summary >> text=1 to do, 2 not readable")
    tab.close()


def test_list_is_sorted_by_name_and_state(list_tab, batch):
    names = lambda: [name.strip() for name in list_tab.locator("#clips th").all_inner_texts()]  # noqa: E731
    assert names() == ["b", "a", "c"]  # most frames to check first
    list_tab.select_option("#sort", "name")
    assert names() == ["a", "b", "c"]
    mark_done(batch, "a")
    list_tab.select_option("#sort", "state")
    list_tab.wait_for_selector("#summary >> text=1 done")
    assert names()[-1] == "a"
    list_tab.select_option("#sort", "")
