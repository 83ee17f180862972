"""The page in a real browser: tracking, corrections, review, status, versions, export."""

from __future__ import annotations

import threading

import pytest

from aotlab import Prediction
from aotlab_studio.document import editing
from aotlab_studio.document.log import Changes, Entry, VersionRecord
from aotlab_studio.review.checks import Check
from studio.tests.annotation.browser import Page, Wire, choose_status, needs_browser
from studio.tests.annotation.clips import (
    LENGTH,
    WAIT_SECONDS,
    TruthTracker,
    draw,
    hold,
    hold_review,
    refresh_review,
    start_job,
    truth,
    wait_until,
)

pytestmark = needs_browser


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
    for frame, selected in ((7, 2), (3, 1), (7, 2)):
        page.key(".")
        page.wait_frame(frame)
        page.selected(f"object {selected}")


def test_objects_added_during_a_review_stay(page, session, monkeypatch):
    draw(session, 0, 1, 2)
    page.objects(2)
    begun, release = hold_review(monkeypatch)
    refresh_review(session)
    page.until(begun.is_set)
    editing.add_object(session.document)
    page.key("1")
    release.set()
    page.tab.wait_for_selector("#review li")
    page.objects(3)
    page.selected("object 1")


def test_end_of_tracking_leaves_an_error(page, session):
    draw(session, 0, 1)
    tracker = hold(session, 4)
    start_job(session, 0)
    page.tab.wait_for_selector("#job:not([hidden])")
    page.tab.set_input_files("#load", __file__)
    page.status("not readable")
    tracker.allow()
    page.tab.wait_for_selector(".toast >> text=Tracking done:")
    page.status("not readable")


def test_stroke_while_following_is_kept(page, session):
    draw(session, 0, 1)
    tracker = hold(session, 4)
    page.objects(1)
    job = start_job(session, 0)
    page.wait_frame(3)
    page.tab.mouse.move(*page.at(40, 5))
    page.tab.mouse.down()
    tracker.allow(2)
    page.tab.wait_for_selector("#job-text:has-text('5 of')")
    with page.done():
        page.tab.mouse.move(*page.at(50, 5), steps=3)
        page.tab.mouse.up()
    assert page.labels(3)[5, 45] == 1
    page.seek(1)
    tracker.allow()
    job.wait(60)
    page.tab.wait_for_selector("#job", state="hidden")
    page.settle()
    page.wait_frame(1)
    with page.tracked():
        start_job(session, 5)
    page.wait_frame(LENGTH - 1)


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
    assert started.wait(WAIT_SECONDS)
    assert page.tab.get_attribute("#view", "aria-busy") == "false"  # more strokes are possible
    page.tab.click("#export-cancel")
    page.tab.wait_for_selector("#export-missing >> text=export: canceled")
    assert not (session.document.folder / "export" / "clip.zip").exists()


def test_export_canceled_while_it_waits_for_an_edit(page, session, monkeypatch):
    exported = []
    monkeypatch.setattr("aotlab_studio.session.session.export_masks", lambda *_, **__: exported.append(1))
    with session.document.lock:
        page.key("n", "Shift+E")
        page.tab.click("#export-start")
        page.tab.click("#export-cancel")
    page.tab.wait_for_selector("#export-missing >> text=export: canceled")
    assert not exported


def test_corrected_review_rows_are_ticked_off(page, session, checks):
    draw(session, 0, 1, 2)
    checks.extend([Check(7, 2, "fragment", 1.0), Check(7, 1, "jump", 0.9), Check(3, 1, "unsure", 0.8)])
    refresh_review(session)
    page.tab.wait_for_selector("#review li + li")
    page.tab.evaluate("document.querySelector('#review li:last-child').scrollIntoView()")
    page.tab.wait_for_function("() => document.querySelector('#review img')?.naturalWidth === 60")
    address = f"{page.tab.url}frame/7?video={session.video_id}&width=96&masks="
    assert any(url.startswith(address) for url in page.requests)
    draw(session, 7, 2)
    editing.add_object(session.document)
    page.objects(3)  # events arrive in order
    assert page.tab.query_selector("#review .done") is None
    del checks[:2]
    draw(session, 7, 1)
    page.tab.wait_for_selector("#review .done")
    assert "corrected" in page.tab.inner_text("#review .done")
    page.key(".")
    page.wait_frame(3)


def test_durations_are_shown_in_minutes(idle_page):
    assert idle_page.tab.evaluate(
        "import('/page/tracking.js').then(({ formatDuration }) => [formatDuration(399.2), formatDuration(40)])"
    ) == ["6 min 40 s", "40 s"]


def test_correction_propagates_without_a_key(page, session):
    draw(session, 0, 1)
    with page.tracked():
        start_job(session, 0)
    page.seek(4)
    page.key("x")
    page.drag((37, 22), (53, 38))
    page.seek(8)
    page.shows("object 1", "object 2")
    assert (page.labels(8) == truth(8)).all()
    assert page.tab.is_enabled("#track")
    page.key_done("Control+z")
    assert not (page.labels(8) == 2).any()


def test_preset_chooses_outputs(idle_page):
    idle_page.key("Shift+E")
    names = "[...document.querySelectorAll('#outputs input:checked')].map((box) => box.name).sort()"
    for preset, outputs in (("COCO", ["coco", "review"]), ("Editor", ["objects", "prores"])):
        idle_page.tab.click(f"#presets button >> text={preset}")
        assert idle_page.tab.evaluate(names) == outputs
    assert idle_page.tab.query_selector("#outputs input[name^=mattes]") is None  # masks have no soft edges
    idle_page.key("Escape")


class Shifted(TruthTracker):
    """Follows objects five pixels beside them."""

    def step(self, frame, mask=None):
        found = super().step(frame, mask)
        logits = found.logits if mask is not None else found.logits.roll(5, 2)
        return Prediction(found.ids, logits, logits.max(0).indices)


@pytest.mark.slow
def test_undo_of_tracking_brings_a_correction_back(page, session):
    draw(session, 0, 2)
    with page.tracked():
        start_job(session, 0)
    before = page.labels(8)
    session.runner.make_tracker = Shifted
    page.key("2", "b")
    page.seek(4)
    page.drag((50, 3), (54, 3))
    page.until(lambda: (page.labels(8) != before).any())
    assert session.runner.wait(WAIT_SECONDS)
    corrected = page.labels(8)
    session.runner.make_tracker = TruthTracker
    page.track("t")
    assert (page.labels(8) != corrected).any()
    page.key_done("Control+z")
    assert (page.labels(8) == corrected).all()


def test_stroke_over_a_tracked_object_leaves_it_tracked(page, session):
    draw(session, 0, 1, 2)
    with page.tracked():
        start_job(session, 0)
    page.objects(2)
    page.key("1", "b")
    page.seek(5)
    page.drag((45, 30), (45, 30))
    page.tab.wait_for_selector(".toast >> text=from object 2")
    assert [*session.document.snapshot.keyframe(5)] == [1]


@pytest.mark.slow
def test_undo_key_ends_the_tracking_it_started(page, session):
    hold(session, 4)
    page.drag((8, 8), (12, 12))
    page.key("t")
    page.until(lambda: session.runner.job is not None and session.runner.job.done >= 2)
    page.key_done("Control+z")
    page.key_done("Control+z")
    page.tab.wait_for_selector("#job", state="hidden")
    page.objects(0)
    page.shows()
    page.seek(0)
    page.drag((30, 30), (36, 30))
    page.shows("object 2")  # the id is not used again
    assert not any(page.labels(index).any() for index in range(1, LENGTH))


@pytest.mark.slow
def test_box_beside_a_tracked_object_leaves_it(page, session):
    draw(session, 0, 1)
    with page.tracked():
        start_job(session, 0)
    session.runner.make_tracker = Shifted
    page.seek(5)
    page.key("x")
    page.drag((37, 22), (53, 38))
    page.until(lambda: (page.labels(LENGTH - 1) == 2).any())
    assert session.runner.wait(WAIT_SECONDS)
    assert all(((page.labels(index) == 1) == (truth(index) == 1)).all() for index in range(LENGTH))


def test_outdated_frames_show_and_are_asked_about(page, session, long_pause):
    draw(session, 0, 1)
    with page.tracked():  # all earlier events have arrived by then
        start_job(session, 0)
    page.seek(4)
    page.drag((40, 3), (44, 3))
    page.tab.wait_for_selector("#strips[aria-description='Outdated: object 1 1 to 3, 5 to 11']")

    def answer(choice):
        page.tab.wait_for_selector("dialog[open] p >> text=10 frames are outdated (1 to 3, 5 to 11)")
        page.tab.click(f"dialog[open] button[value='{choice}']")

    for choice in ("", "proceed"):
        choose_status(page.tab, "accepted")
        answer(choice)
        page.wait_idle()
        assert not page.tab.is_visible("#status.error")
        assert page.tab.inner_text("#clip-status") == ("accepted" if choice else "in progress")
    page.until(lambda: session.document.log.status is not None)
    assert session.document.log.status.outdated == [(1, 3), (5, 11)]
    page.key("Shift+E")
    for choice in ("", "proceed"):
        page.tab.click("#export-start:enabled")
        answer(choice)
        if not choice:
            page.tab.wait_for_selector("#export-missing:empty", state="attached")
    page.tab.wait_for_selector("#download:not([hidden])")
    assert '"outdated"' in (session.archive.parent / "export.json").read_text()


def test_checked_frame_leaves_the_list_and_the_next_one_shows(page, session, checks):
    draw(session, 0, 1)
    start_job(session, 0).wait()
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
    page.until(lambda: page.tab.inner_text("#next-check").startswith("Next frame to check (0)"))
    page.key(".")
    page.status("No frames left to check")


def test_impossible_range_is_not_exported(new_page):
    wire = Wire(new_page)
    new_page.key("Shift+E")
    for first in ("5.5", "3"):
        new_page.tab.fill("#export-first", first)
        new_page.tab.press("#export-first", "Enter")
    new_page.until(lambda: wire.list_sent("export"))
    assert [message["first"] for message in wire.list_sent("export")] == [3]


def test_rejection_with_a_reason_and_note_on_a_frame(page, session):
    draw(session, 0, 1)
    choose_status(page.tab, "rejected", note="ear missing")
    page.until(lambda: session.document.status[:2] == ("rejected", "ear missing"))
    page.tab.click("#clip-status >> text=rejected: ear missing")
    page.key("End")
    page.tab.keyboard.type(", tail")
    page.key("Enter")
    page.tab.wait_for_selector("#clip-status >> text=rejected: ear missing, tail")
    choose_status(page.tab, "open", note="")
    page.until(lambda: session.document.status[:2] == ("open", ""))
    choose_status(page.tab, "rejected")
    page.until(lambda: session.document.status[:2] == ("rejected", ""))
    versions = session.document.list_versions()
    assert [version.title for version in versions] == [
        "rejected",
        "rejected: ear missing, tail",
        "rejected: ear missing",
    ]
    page.seek(3)
    page.tab.fill("#note", "shadow in the mask")
    page.tab.press("#note", "Enter")
    page.tab.wait_for_selector("#notes >> text=3: shadow in the mask")
    page.seek(4)
    assert page.tab.input_value("#note") == ""
    page.tab.click("#notes button")
    page.wait_frame(3)
    page.until(lambda: page.tab.input_value("#note") == "shadow in the mask")
    page.key("Control+z")
    page.tab.wait_for_selector("#notes li", state="detached")


def test_version_is_kept_and_restored(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.tab.click("#open-versions")
    page.tab.fill("#version-title", "first")
    page.tab.click("#version-save")
    page.tab.wait_for_selector("#versions li")
    page.key("Escape")
    page.key_done("m")
    page.tab.click("#open-versions")
    page.tab.click("text=Restore")
    page.tab.wait_for_selector(".toast")
    assert (page.labels(0) == (truth(0) == 1)).all()


def test_accepted_masks_are_in_progress_after_an_edit(page, session):
    draw(session, 0, 1)
    page.objects(1)
    page.until(lambda: page.tab.inner_text("#clip-status") == "in progress")
    assert not page.tab.is_visible("#next-clip")
    with page.done():
        choose_status(page.tab, "accepted")
    page.until(lambda: page.tab.inner_text("#clip-status") == "accepted")
    assert session.document.status.value == "accepted"
    page.key_done("m")
    page.until(lambda: page.tab.inner_text("#clip-status") == "in progress")


def test_acceptance_of_masks_that_the_page_lacks_is_refused(page, session, monkeypatch):
    draw(session, 0, 1)
    page.objects(1)
    with monkeypatch.context() as patch:
        patch.setattr(session.document, "emit", lambda event: None)
        draw(session, 1, 1)
    choose_status(page.tab, "accepted")
    page.status("clip: changed meanwhile; look at it, then set the status again")
    assert session.document.status.value == "in progress"


def test_frame_without_a_mask_cannot_be_checked(page, session):
    page.key("q")
    page.status("frame 0: no mask to check")
    assert session.document.status.value == "open"
    draw(session, 0, 1)
    page.objects(1)
    page.key(".")
    page.status("Nothing is tracked yet")


def test_only_the_object_of_a_correction_is_outdated(page, session, long_pause):
    draw(session, 0, 1, 2)
    with page.tracked():
        start_job(session, 0)
    page.key("1")
    page.seek(4)
    page.drag((40, 3), (44, 3))
    page.tab.wait_for_selector("#strips[aria-description='Outdated: object 1 1 to 3, 5 to 11']")


def test_next_clip_is_one_to_accept_if_none_is_open(idle_page):
    def find(*statuses):
        clips = [
            {"name": name, "holder": "", "status": status}
            for name, status in zip("abc", statuses, strict=True)
        ]
        code = "async (clips) => (await import('./page/clips.js')).findNext(clips, 'a')?.name"
        return idle_page.tab.evaluate(code, clips)

    assert find("open", "corrected", "rejected") == "c"
    assert find("open", "accepted", "corrected") == "c"
    assert find("open", "accepted", "accepted") is None


def test_times_are_in_the_zone_of_the_browser(browser, session, served):
    draw(session, 0, 1)
    log = session.document.log
    for time in ("2026-01-02T20:00:00+00:00", "yesterday"):
        log.append(VersionRecord(log.head, author="Ann", time=time))
    log.append(Entry("note", Changes(notes={0: "tail"}), author="Ann", time="2026-01-02T20:00:00+00:00"))
    with browser.new_context(timezone_id="Asia/Tokyo", locale="en-US") as context:
        page = Page(context, served.url)
        page.tab.wait_for_selector("#undo[title^='Undo (Ctrl+Z): note · Ann · Jan 3, 2026, 5:00']")
        page.tab.click("#open-versions")
        page.tab.wait_for_selector("#versions >> text=1: untitled · Ann · Jan 3, 2026, 5:00")
        page.tab.wait_for_selector("#versions >> text=2: untitled · Ann · unknown time")
