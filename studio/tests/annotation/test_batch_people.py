"""A batch of several people: their names, statuses and open clips."""

import platform
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from aotlab import InputError, TrackerOptions
from aotlab.configs.files import ROOT
from aotlab_studio import annotate as cli
from aotlab_studio.batch import open_clips
from aotlab_studio.document import lock
from aotlab_studio.document.outdated import list_outdated
from aotlab_studio.session.opening import open_document
from aotlab_studio.tracking.models import TrackerLoader
from studio.tests.annotation.results import find_clip, open_clip, replace_results, set_status, statuses
from studio.tests.annotation.sessions import draw
from tests.processes import WAIT_SECONDS, wait_until


def post_status(served, name, person="", **values):
    """Set a status as the list does; return the answer."""
    return served.post(f"/clip/{name}/edits", [{"do": "set_status", **values}], person).json()[0]


def test_first_edit_and_finishing_set_the_status(batch, served_list):
    connection = served_list.open("clip/b/socket", "Zoë")
    assert statuses(batch)["b"] == "to do"
    connection.do("paint", frame=2, object_id=1, points=[[10, 10]], radius=3)
    assert statuses(batch)["b"] == "in progress"
    (clip, *_) = batch.list_clips()
    assert clip.author == "Zoë"
    assert clip.holder.startswith("Zoë on ")
    assert "error" not in post_status(served_list, "b", "Zoë", status="rejected", note="blurred")
    (clip, *_) = batch.list_clips()
    assert (clip.status, clip.note) == ("rejected", "blurred")
    assert [version["title"] for version in connection.do("list_versions")["result"]] == ["rejected: blurred"]
    connection.do("undo")
    (clip, *_) = batch.list_clips()
    assert (clip.status, clip.note) == ("in progress", "")  # the note was another person's
    connection.socket.close()


def test_documented_program_accepts_all_clips(batch, served_list):
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    (program,) = re.findall(r"```python\n(from urllib.*?)```", page, re.DOTALL)
    exec(program, {"url": served_list.url})
    assert {clip.status for clip in batch.list_clips()} == {"accepted"}
    assert {clip.author for clip in batch.list_clips()} == {"Ann"}


def test_change_without_a_name_is_rejected_in_a_list(batch, served_list):
    connection = served_list.open("clip/b/socket")
    answer = connection.do("paint", frame=2, object_id=1, points=[[10, 10]], radius=3)
    assert "type your name" in answer["error"]
    assert "type your name" in post_status(served_list, "b", status="accepted")["error"]
    assert statuses(batch)["b"] == "to do"
    connection.socket.close()


def test_work_on_all_clips_needs_a_name(served_list):
    for path in ("/track", "/export"):
        answer = served_list.post(path, [])
        assert (answer.status_code, answer.text.startswith("name: type your name first")) == (409, True)


def test_status_is_stored_under_the_name_of_who_set_it(batch, served_list):
    connection = served_list.open("clip/b/socket", "Ann")
    connection.do("describe")
    set_status(batch, "b", "Bob", "accepted", force=True)
    clip = find_clip(batch, "b")
    assert (clip.status, clip.author) == ("accepted", "Bob")
    connection.socket.close()


def test_rejected_page_does_not_log_an_error(served_list, caplog):
    connection = served_list.open("clip/b/socket", "Ann")
    connection.do("describe")
    with pytest.raises(InvalidStatus):
        served_list.open("clip/b/socket", "Bob")
    connection.socket.close()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_second_person_is_rejected_until_the_first_leaves(batch, served_list):
    connection = served_list.open("clip/b/socket", "Ann")
    connection.do("describe")
    refused = served_list.get("/clip/b/", person="Bob")
    assert refused.status_code == 409
    assert "Ann has it open" in refused.text
    masks = served_list.post("/clip/b/masks/0", [], "Bob")
    assert (masks.status_code, "Ann has it open" in masks.text) == (409, True)
    # a status in the list, and what a page sends when it closes
    for message in ({"do": "set_status", "status": "rejected", "note": "dark"}, {"do": "add_object"}):
        (answer,) = served_list.post("/clip/b/edits", [message], "Bob").json()
        assert "error" not in answer
    assert batch.list_clips()[0].holder.startswith("Ann on ")
    assert not batch.list_clips("Ann")[0].holder
    connection.socket.close()
    wait_until(lambda: not batch.list_clips()[0].holder)
    assert served_list.get("/clip/b/", person="Bob").status_code == 200


def test_invalid_status_rejected(served_list):
    assert "Invalid enum value 'perfect' - at `status`" in post_status(served_list, "a", status="perfect")["error"]
    assert "unknown field `color`" in post_status(served_list, "a", status="to do", color=1)["error"]
    assert served_list.post("/clip/a/edits", b"[").status_code == 422
    assert served_list.get("/clip/a/edits", "POST", content=b"[]").status_code == 403  # no Origin


def test_incomplete_status_request_does_not_log_an_error(batch, served_list, caplog):
    request = f"POST /clip/b/edits HTTP/1.1\r\nHost: {served_list.host}\r\nOrigin: {served_list.address}\r\n"
    with socket.create_connection(served_list.host.split(":"), timeout=WAIT_SECONDS) as client:
        client.sendall(f"{request}Cookie: {served_list.cookie}\r\nContent-Length: 9\r\n\r\nhalf".encode())
    served_list.close()
    assert "Traceback" not in caplog.text
    assert not caplog.records


def test_status_of_masks_that_changed_since_is_rejected(results, batch, served_list):
    def accept():
        return post_status(served_list, "a", "Ann", status="accepted", digest=digest)

    def edit():
        with batch.use("a", "Bob") as session:
            draw(session, 4, 2)

    for change in (lambda: replace_results(results, "a", 3), edit):
        digest = find_clip(batch, "a").digest
        assert "error" not in accept()
        digest = find_clip(batch, "a").digest
        change()
        problem = "a: changed since the list was read; look at it, then set the status again"
        assert accept()["error"] == problem
        assert statuses(batch)["a"] == "in progress"


def test_two_clips_open_side_by_side(results, make_batch, begin_request):
    both = threading.Barrier(2, timeout=WAIT_SECONDS)

    def open_together(folder, project):
        both.wait()  # broken after the timeout if the second clip waits for the first
        return open_clip(folder, project)

    batch = make_batch(results, open_together)
    with ThreadPoolExecutor() as pool:
        opened = list(pool.map(lambda name: begin_request(batch, name), ["a", "b"]))
    assert [session.document.frames.name for session in opened] == ["a", "b"]
    assert sorted(clip.holder for clip in batch.list_clips()) == ["", "this program", "this program"]
    batch.close()
    assert not any(clip.holder for clip in batch.list_clips())


def test_clip_requested_twice_is_opened_once(results, make_batch, begin_request):
    opened = []

    def count_openings(folder, project):
        opened.append(folder.name)
        return open_clip(folder, project)

    batch = make_batch(results, count_openings)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: begin_request(batch, "a"), range(4)))
    assert opened == ["a"]


def test_clip_is_closed_if_its_name_cannot_be_written(batch, monkeypatch, begin_request):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0)
    with monkeypatch.context() as patch:
        patch.setattr(lock.FolderLock, "name_person", lambda *_: open_document(Path("missing")))
        with pytest.raises(InputError, match="missing"):
            begin_request(batch, "a", "Ann", is_page=True)
    open_clip(batch.folder / "a").close()


def test_requests_of_a_clip_share_one_timer_that_each_renews(batch, monkeypatch):
    def list_timers():
        close = batch.open_clips.close_if_unused
        return [thread for thread in threading.enumerate() if getattr(thread, "function", None) == close]

    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 60)
    timers = []
    for _ in range(3):
        with batch.use("a", "", is_page=True):
            pass
        wait_until(lambda: len(list_timers()) == 1)
        timers += list_timers()
    assert len({*timers}) == 3
    batch.open_clips.close_if_unused("a")
    wait_until(lambda: not list_timers())


def test_locks_of_closed_clips_are_freed(batch):
    for name in ("a", *(f"missing {number}" for number in range(20))):
        with suppress(InputError), batch.use(name, "Ann"):
            assert len(batch.open_clips._locks) <= 1
    assert not batch.open_clips._locks


def test_list_does_not_write_to_clips_open_here(batch, monkeypatch):
    with batch.use("a", "Ann"):
        monkeypatch.setattr("aotlab.internal.locked", lambda *_, **__: 1 / 0)
        assert [clip.holder for clip in batch.list_clips() if clip.holder] == [f"Ann on {platform.node()}"]


def test_page_that_connects_continues_corrections(batch, served_list, long_pause, monkeypatch, begin_request):
    with batch.use("a", "Ann") as session:
        draw(session, 4, 2)
        assert list_outdated(session.document.snapshot)
    monkeypatch.setattr("aotlab_studio.tracking.jobs.CORRECTION_DELAY", 0)
    session = begin_request(batch, "a", "Ann", is_page=True)
    assert list_outdated(session.document.snapshot)
    connection = served_list.open("clip/a/socket", "Ann")
    wait_until(lambda: not list_outdated(session.document.snapshot))
    connection.socket.close()


def test_model_choice_reaches_the_pages_of_all_clips(results, tmp_path, make_batch):
    loader, told = TrackerLoader(TrackerOptions(), [tmp_path / "other.safetensors"]), {}
    batch = make_batch(results, partial(cli.open_session, loader=loader))
    for name in ("a", "b"):
        with batch.use(name, "Ann", is_page=True) as session:
            session.document.listeners[partial(told.__setitem__, name)] = None
    session.set_model("other")
    batch.open_clips.close_if_unused("a")
    session.set_model(next(iter(loader.models)))
    assert {name: event.model for name, event in told.items()} == {"a": "other", "b": next(iter(loader.models))}
