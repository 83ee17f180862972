"""The page in a browser: several tabs and people, reloads, restarts, lost connections."""

from __future__ import annotations

import json
import re
import threading

import pytest

from aotlab import TrackerOptions
from aotlab_studio.document import editing
from aotlab_studio.document.events import DocumentEvent
from aotlab_studio.session.opening import open_document
from aotlab_studio.session.session import Session
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_studio.utils.files import encode_json
from aotlab_testing.browser import needs_browser
from aotlab_testing.drawn_clips import segment_by_color
from aotlab_testing.marks import slow
from aotlab_testing.processes import WAIT_SECONDS, wait_for_event
from studio.tests.annotation.browser import RUNNING_JOB, Page, Wire, hold_first_answer
from studio.tests.annotation.clips import draw_folder
from studio.tests.annotation.served import TOKEN, Served
from studio.tests.annotation.sessions import draw, open_session, refresh_review
from studio.tests.annotation.trackers import TruthTracker

pytestmark = needs_browser


def serve_other_session(served, session, token):
    """Serve another session at the same address."""
    served.close()
    return Served(session(), port=int(served.host.split(":")[1]), token=token)


def test_two_tabs_share_changes_and_one_host(page, served):
    other = Page(page.tab.context, served.url)
    page.drag((15, 10), (20, 12))
    other.wait_shown("object 1")
    other.key_done("Control+z")
    other.wait_status("made in another window")
    page.key_done("Control+z")
    other.wait_shown()
    assert all(url.startswith((served.address, "data:", "blob:")) for url in page.requests + other.requests)
    assert other.problems == []


def test_hiding_an_object_is_a_matter_of_the_tab(page, session, served, two_objects):
    other = Page(page.tab.context, served.url)
    steps = len(session.document.log.steps)
    page.key("2", "i")
    page.wait_shown("object 1")
    page.tab.reload()
    page.wait_shown("object 1")
    page.tab.wait_for_selector("#objects [name=hidden2][aria-pressed=true]")
    other.wait_shown("object 1", "object 2")
    assert len(session.document.log.steps) == steps
    page.wait_selected("object 2")
    page.drag((40, 35), (50, 35))
    page.wait_shown("object 1", "object 2")
    assert len(session.document.log.steps) == steps + 1
    assert other.problems == []


@pytest.mark.slow
def test_problems_of_a_project_stay_in_view(page, session, monkeypatch):
    monkeypatch.setattr(type(session.document), "tracked_again_warning", "the clip was tracked again")
    page.tab.reload()
    page.wait_status("tracked again")
    page.drag((15, 10), (20, 12))
    assert "tracked again" in page.tab.inner_text("#problems")


def test_model_is_chosen_in_the_page(context, folder):
    loader = TrackerLoader(TrackerOptions(), [folder / "other.safetensors"])
    served = Served(Session.create(open_document(folder), TruthTracker, loader=loader))
    page = Page(context, served.url)
    with page.done():
        page.tab.select_option("#model", "other")
    assert loader.chosen == "other"
    assert page.problems == []
    served.close()


def test_segmenter_is_chosen_in_the_page(page, session):
    assert page.tab.is_hidden("#segmenter")  # nothing to choose
    released = threading.Event()

    def load_and_segment(frame, prompts):
        wait_for_event(released)
        return segment_by_color(frame, prompts)

    session.prompter.segmenters["slow"] = load_and_segment
    page.tab.reload()
    page.wait_shown()
    page.tab.select_option("#segmenter", "slow")
    page.wait_status("Loading the model…")
    released.set()
    page.wait_no_status()
    assert session.prompter.chosen == "slow"


def test_reload_keeps_frame_tool_brush_and_look(page):
    page.seek(7)
    page.key("e", "]", "v")
    radius = page.radius()
    page.tab.fill("#opacity", "0.8")
    page.open(page.tab.url)
    page.wait_frame(7)
    assert [page.tool(), page.radius()] == ["eraser", radius]
    assert [page.tab.is_checked("#fill"), page.tab.is_checked("#outline")] == [False, True]
    assert page.tab.input_value("#opacity") == "0.8"


def test_page_of_earlier_run_shows_message_and_reconnects(page, served, folder):
    other = serve_other_session(served, lambda: open_session(folder), "another")
    page.wait_status("This page belongs to an earlier run")
    page.stroke((15, 10), (20, 12))
    Page(page.tab.context, other.url)
    page.wait_shown("object 1")
    other.close()


def test_stroke_is_not_stored_in_another_project(page, served, tmp_path):
    other = serve_other_session(served, lambda: open_session(draw_folder(tmp_path / "other")), "another")
    page.wait_status("This page belongs to an earlier run")
    page.stroke((15, 10), (20, 12))
    Page(page.tab.context, other.url)
    page.wait_status("this page shows another project; open that again")
    with page.tab.expect_response("**/edits?*") as posted:
        assert not page.may_leave()
    assert posted.value.status == 404
    assert not other.session.document.log.steps
    assert page.tab.inner_text("#name") == "clip"
    other.close()


@pytest.mark.slow
def test_other_video_at_the_same_address_starts_afresh(page, served, tmp_path):
    page.seek(5)
    address = page.tab.url
    page.tab.goto("about:blank")  # or it may reconnect, at this frame, before it is loaded again
    other = serve_other_session(served, lambda: open_session(draw_folder(tmp_path / "other")), TOKEN)
    page.open(address)
    assert page.tab.inner_text("#name") == "other"
    assert page.tab.input_value("#frame") == "0"
    page.tab.close()
    other.close()


def test_requests_after_a_lost_server_show_an_error(page, served):
    served.server.should_exit = True
    served.thread.join(WAIT_SECONDS)
    assert not served.thread.is_alive()
    page.key("ArrowRight", "m", "t", "Shift+Delete")
    page.tab.wait_for_selector("#status.error")
    page.tab.evaluate(
        """() => {
            const status = document.getElementById('status');
            window.messages = [];
            new MutationObserver(() => window.messages.push(status.textContent)).observe(status, { childList: true });
        }"""
    )  # the next attempt to connect replaces a message
    page.tab.set_input_files("#load", __file__)
    page.wait_until(lambda: any("did not answer" in text for text in page.tab.evaluate("window.messages")))


@pytest.mark.slow
def test_upload_without_a_connection_shows_an_error(page):
    page.answer(re.compile("/masks/"), lambda route: route.abort())
    page.tab.set_input_files("#load", __file__)
    page.wait_status("did not answer a request")


def test_undo_button_names_a_step_of_another_window(page, session, context, served):
    other = Page(context, served.url)
    other.key("b")
    other.drag((10, 10), (14, 10))
    page.tab.wait_for_selector("#undo:disabled[title$='brush object 1, made in another window']")
    page.key("Control+z")
    page.wait_status("made in another window; undo it there")
    other.tab.close()
    page.tab.wait_for_selector("#undo:enabled[title$='brush object 1']")


@pytest.mark.slow
def test_reconnected_page_shows_the_jobs_that_run(new_page):
    wire = Wire(new_page)
    wire.change = lambda result: result.update(job={**RUNNING_JOB, "done": 4})
    wire.socket.close()
    new_page.tab.wait_for_selector("#job-text >> text=4 of 10")
    assert not new_page.tab.is_enabled("#track")
    wire.change = lambda result: None
    wire.socket.close()
    new_page.tab.wait_for_selector("#track:enabled")


@pytest.mark.slow
def test_reloaded_page_follows_its_tracking(new_page):
    wire = Wire(new_page)
    wire.change = lambda result: result.update(job=RUNNING_JOB)
    wire.hold_sent("track")
    new_page.key("t")
    wire.wait_unsent()
    new_page.tab.on("dialog", lambda dialog: dialog.accept())
    new_page.open()
    new_page.wait_frame(0)
    wire.socket.send(json.dumps({"event": "job", "job": RUNNING_JOB}))
    new_page.wait_frame(RUNNING_JOB["frame"])


@pytest.mark.slow
def test_places_of_several_projects_are_kept(page, session):
    page.tab.evaluate("localStorage.aotlabother = JSON.stringify({ frame: 3 })")
    page.open()
    keys = page.tab.evaluate("Object.keys(localStorage)")
    assert {"aotlab", "aotlabother", f"aotlab{session.document.header.id}"} <= {*keys}  # earlier tests leave others


@pytest.mark.slow
def test_message_about_a_loss_ends_with_the_reconnection(new_page):
    wire = Wire(new_page)
    held = new_page.hold_requests(r"labels/0\?project=")
    wire.socket.close()
    new_page.wait_until(lambda: held and not new_page.tab.inner_text("#status"))  # connected again
    held[0].fulfill(body="")
    new_page.settle()
    assert new_page.tab.inner_text("#status") == ""
    wire.refuses = True
    wire.socket.close()
    new_page.wait_until(lambda: held[1:])
    held[1].fulfill(status=409, body="clip: open elsewhere")
    new_page.wait_status("open elsewhere")


def test_changes_in_flight_survive_a_lost_connection(new_page, session):
    wire = Wire(new_page, "paint")
    send = wire.send
    new_page.key("b")

    new_page.stroke((10, 10), (10, 30))
    wire.wait_held()  # stored; the answer is lost
    wire.actions = ()
    wire.socket.close()
    new_page.wait_until(lambda: wire.list_sent("paint")[1:])
    new_page.wait_shown("object 1")

    def lose(server, text):
        if json.loads(text)["do"] == "paint":
            wire.send = send
            wire.socket.close()
        else:
            send(server, text)

    wire.send = lose
    new_page.stroke((40, 10), (40, 30))  # never arrives
    new_page.wait_until(lambda: len(session.document.log.steps) == 2)
    new_page.wait_idle()
    assert (new_page.labels(0)[20, [10, 40]] == 1).all()
    assert len(session.document.log.steps) == 2

    wire.actions = ("undo",)
    new_page.key("Control+z")
    wire.wait_held()  # undone; the answer is lost
    wire.actions = ()
    wire.socket.close()
    new_page.wait_until(lambda: wire.list_sent("undo")[1:])
    new_page.wait_no_status()  # of the lost connection
    new_page.wait_idle()
    assert session.document.log.head == 1


def test_stroke_after_a_box_survives_a_lost_connection(new_page, session):
    wire = Wire(new_page, "segment")
    new_page.key("x")
    new_page.stroke((3, 3), (18, 18))
    wire.wait_held()
    new_page.key("b")
    new_page.stroke((5, 38), (15, 38))
    wire.actions = ()
    wire.socket.close()
    new_page.wait_until(lambda: wire.list_sent("paint"))
    new_page.wait_idle()
    assert ([*session.document.snapshot.objects], len(session.document.log.steps)) == ([1], 2)
    assert (new_page.labels(0)[[10, 38], [10, 10]] == 1).all()


def test_lost_connection_repeats_stored_edits_only(new_page):
    wire = Wire(new_page)
    wire.hold_sent("track")
    new_page.key("t")
    wire.wait_unsent()
    wire.hold_sent("")
    wire.refuses = True
    wire.socket.close()
    new_page.wait_status("No connection to the program")
    new_page.key("t")
    new_page.settle()
    wire.refuses = False
    for action in ("describe", "list_frames_to_check"):
        new_page.wait_until(lambda action=action: wire.list_sent(action)[1:])
    new_page.settle()
    assert [len(wire.list_sent(action)) for action in ("describe", "track")] == [2, 0]


@pytest.mark.slow
def test_choices_of_an_export_survive_a_reconnection(new_page):
    wire = Wire(new_page)
    new_page.key("Shift+E")
    new_page.tab.check("#outputs input[name=cvat]")
    wire.socket.close()
    new_page.wait_until(lambda: wire.list_sent("describe")[1:])
    new_page.wait_until(lambda: wire.list_sent("list_frames_to_check")[1:])
    new_page.settle()
    assert new_page.tab.is_checked("#outputs input[name=cvat]")


@pytest.mark.parametrize("field", ["#class", *slow("#last")])
def test_late_events_keep_typed_text(page, session, field, one_object):
    page.tab.click(field)
    page.tab.keyboard.type("1")
    editing.AddObject().run(session.document)
    editing.ChangeObject(1, class_name="cat").run(session.document)
    page.tab.wait_for_selector("#objects .class >> text=cat")
    page.settle()
    assert page.tab.evaluate("['#' + document.activeElement.id, document.activeElement.value]") == [field, "1"]


@pytest.mark.parametrize("action", ["describe", *slow("timeline")])
def test_newer_marks_survive_a_late_answer(new_page, session, action):
    draw(session, 0, 1)
    wire = Wire(new_page)
    new_page.wait_objects(1)
    new_page.settle()
    wire.actions = (action,)
    if action == "describe":
        wire.socket.close()
    else:
        refresh_review(session)
    wire.wait_held()
    wire.actions = ()
    draw(session, 5, 1)
    new_page.settle()
    wire.release()
    editing.ChangeObject(1, name="later").run(session.document)
    new_page.tab.wait_for_selector("#objects .name >> text=later")
    new_page.settle()
    new_page.key("Shift+E")
    new_page.tab.click("#export-annotated")
    assert new_page.tab.input_value("#export-last") == "5"


@pytest.mark.slow
def test_newer_state_survives_a_late_one(new_page, session):
    wire = Wire(new_page)
    draw(session, 0, 1)
    late = encode_json(DocumentEvent(session.document.describe_page_state())).decode()
    draw(session, 0, 2)
    new_page.wait_objects(2)
    wire.socket.send(late)
    wire.socket.send(json.dumps({"event": "export", "done": 1, "total": 2}))
    new_page.wait_until(lambda: new_page.tab.evaluate("document.getElementById('export-progress').value") == 0.5)
    assert new_page.tab.locator("#objects li").count() == 2


@pytest.mark.slow
def test_masks_that_change_while_they_load_are_loaded_again(page, session):
    held, answer = hold_first_answer()
    page.answer(re.compile(r"/labels/0\?"), answer)
    draw(session, 0, 1)
    page.wait_until(lambda: held)
    draw(session, 0, 2)
    page.wait_objects(2)
    route, response = held[0]
    route.fulfill(response=response)
    page.wait_shown("object 1", "object 2")
