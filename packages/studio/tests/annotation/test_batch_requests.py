"""Requests of pages for the clips of a batch, which are opened and closed."""

import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from aotlab import InputError, TrackerOptions
from aotlab.configs.files import ROOT
from aotlab_studio import annotate as cli
from aotlab_studio.batch import open_clips
from aotlab_studio.session.actions import SetModel
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_testing.processes import WAIT_SECONDS, wait_until
from studio.tests.annotation.results import open_clip


def test_documented_program_marks_all_clips_as_done(batch, served_list):
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    (program,) = re.findall(r"```python\n(from urllib.*?)```", page, re.DOTALL)
    exec(program, {"url": served_list.url})
    assert {clip.status for clip in batch.list_clips()} == {"done"}


def test_invalid_edits_of_a_clip_are_refused(served_list):
    (answer,) = served_list.post("/clip/a/edits", [{"do": "set_done", "done": "perfect"}]).json()
    assert "Expected `bool`, got `str` - at `done`" in answer["error"]
    assert served_list.post("/clip/a/edits", b"[").status_code == 422
    assert served_list.get("/clip/a/edits", "POST", content=b"[]").status_code == 403  # no Origin


def test_incomplete_status_request_does_not_log_an_error(batch, served_list, caplog):
    request = f"POST /clip/b/edits HTTP/1.1\r\nHost: {served_list.host}\r\nOrigin: {served_list.address}\r\n"
    with socket.create_connection(served_list.host.split(":"), timeout=WAIT_SECONDS) as client:
        client.sendall(f"{request}Cookie: {served_list.cookie}\r\nContent-Length: 9\r\n\r\nhalf".encode())
    served_list.close()
    assert "Traceback" not in caplog.text
    assert not caplog.records


def test_two_clips_open_side_by_side(results, make_batch, begin_request):
    both = threading.Barrier(2, timeout=WAIT_SECONDS)

    def open_together(folder, project):
        both.wait()  # broken after the timeout if the second clip waits for the first
        return open_clip(folder, project)

    batch = make_batch(results, open_together)
    with ThreadPoolExecutor() as pool:
        opened = list(pool.map(lambda name: begin_request(batch, name), ["a", "b"]))
    assert [session.document.frames.name for session in opened] == ["a", "b"]


def test_clip_requested_twice_is_opened_once(results, make_batch, begin_request):
    opened = []

    def count_openings(folder, project):
        opened.append(folder.name)
        return open_clip(folder, project)

    batch = make_batch(results, count_openings)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: begin_request(batch, "a"), range(4)))
    assert opened == ["a"]


def test_requests_of_a_clip_share_one_timer_that_each_renews(batch, monkeypatch):
    def list_timers():
        close = batch.open_clips.close_if_unused
        return [thread for thread in threading.enumerate() if getattr(thread, "function", None) == close]

    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 60)
    timers = []
    for _ in range(3):
        with batch.use("a", is_page=True):
            pass
        wait_until(lambda: len(list_timers()) == 1)
        timers += list_timers()
    assert len({*timers}) == 3
    batch.open_clips.close_if_unused("a")
    wait_until(lambda: not list_timers())


def test_locks_of_closed_clips_are_freed(batch):
    for name in ("a", *(f"missing {number}" for number in range(20))):
        with suppress(InputError), batch.use(name):
            assert len(batch.open_clips._locks) <= 1
    assert not batch.open_clips._locks


def test_model_choice_reaches_the_pages_of_all_clips(results, tmp_path, make_batch):
    loader, told = TrackerLoader(TrackerOptions(), [tmp_path / "other.safetensors"]), {}
    batch = make_batch(results, partial(cli.open_session, loader=loader))
    for name in ("a", "b"):
        with batch.use(name, is_page=True) as session:
            session.document.listeners[partial(told.__setitem__, name)] = None
    SetModel("other").run(session)
    batch.open_clips.close_if_unused("a")
    SetModel(next(iter(loader.models))).run(session)
    assert {name: event.model for name, event in told.items()} == {"a": "other", "b": next(iter(loader.models))}
