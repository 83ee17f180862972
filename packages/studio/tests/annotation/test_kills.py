"""Kills of the server at random moments: no acknowledged stroke is lost, and none is stored in part."""

import json
import multiprocessing
import os
import signal
import time
from contextlib import closing, suppress
from random import Random

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from aotlab import InputError
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import find_project
from aotlab_studio.server import app as web
from aotlab_studio.session.actions import run_action
from aotlab_testing.marks import slow
from aotlab_testing.processes import WAIT_SECONDS
from studio.tests.annotation.clips import LENGTH, draw_folder
from studio.tests.annotation.served import TOKEN
from studio.tests.annotation.sessions import draw_and_track, open_session

STROKES = 30


def serve(folder, listener):
    session = open_session(folder)
    web.Server(web.build_app(lambda _: session), listener, token=TOKEN).run_on_socket()


def send_strokes(port, strokes, seconds):
    """Send strokes without waiting for answers, and read these for some seconds; return how many are acknowledged."""
    address, answered = f"127.0.0.1:{port}", 0
    with suppress(ConnectionClosed), connect(
        f"ws://{address}/socket", origin=f"http://{address}", proxy=None, open_timeout=WAIT_SECONDS,
        additional_headers={"Cookie": f"aotlab_{port}={TOKEN}"}, max_queue=None, close_timeout=0,
    ) as socket:  # fmt: skip
        for number, stroke in enumerate(strokes):
            socket.send(json.dumps({"id": number, **stroke}))
        end = time.monotonic() + seconds
        with suppress(TimeoutError):
            while (left := end - time.monotonic()) > 0:
                answered += "event" not in json.loads(socket.recv(timeout=left))
        yield answered
        return
    yield answered


def list_drawn(document):
    return [document.snapshot.drawn_labels(index).tobytes() for index in range(LENGTH)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kills", [4, *slow(20)])
def test_killed_server_loses_and_mixes_no_stroke(tmp_path, kills):
    folders = [draw_folder(tmp_path / name) for name in ("clip", "reference")]
    for folder in folders:
        with closing(open_session(folder)) as session:
            draw_and_track(session, 1, 2)
    project = find_project(folders[0])
    reference = open_session(folders[1])
    for number in range(kills):
        random = Random(number)
        strokes = [
            {"do": "paint", "frame": random.randrange(LENGTH), "object_id": random.choice((1, 2)), "radius": 2,
             "points": [[random.uniform(3, 57), random.uniform(3, 37)]]}
            for _ in range(STROKES)
        ]  # fmt: skip
        with closing(web.bind_socket("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            server = multiprocessing.get_context("fork").Process(target=serve, args=(folders[0], listener))
            server.start()
        sending = send_strokes(port, strokes, random.uniform(0, 1.5))
        answered = next(sending)
        os.kill(server.pid, signal.SIGKILL)
        server.join()
        sending.close()
        states = [list_drawn(reference.document)]
        for stroke in strokes:
            with suppress(InputError):  # it changes no pixel
                run_action(reference, stroke)
            states.append(list_drawn(reference.document))
        after = list_drawn(Document.read(project))
        assert after in states
        stored = max(index for index, state in enumerate(states) if state == after)
        assert stored >= answered
        print(f"{answered} acknowledged, {stored} of {STROKES} stored")
        while list_drawn(reference.document) != after:
            reference.document.undo()
    reference.close()
    with closing(open_session(folders[0])) as session:
        for index in range(LENGTH):
            assert session.document.snapshot.labels(index).any()
