"""The server: access, messages, connections."""

import asyncio
import io
import json
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aotlab import TrackerOptions
from aotlab_studio.document import editing
from aotlab_studio.document.log import Origin
from aotlab_studio.server import app as web
from aotlab_studio.server.app import encode_labels
from aotlab_studio.server.guard import GuardMiddleware
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.opening import open_document
from aotlab_studio.session.prompting import Prompter
from aotlab_studio.session.session import Session
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_testing.drawn_clips import segment_by_color
from aotlab_testing.processes import WAIT_SECONDS, reserve_port, wait_for_event, wait_until
from studio.tests.annotation.clips import LENGTH, draw_folder, png, square, truth
from studio.tests.annotation.served import TOKEN, Served, decode_labels
from studio.tests.annotation.sessions import draw, open_session, run_job
from studio.tests.annotation.trackers import TruthTracker


def test_token_becomes_a_strict_cookie(served):
    answer = served.get(f"/?token={TOKEN}", cookie=False)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(served.cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("frame-ancestors 'none'")
    assert served.get("/").status_code == 200
    assert served.get("/page/main.js").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["/", "/?token=wrong", "/?token=", "/frame/0", "/labels/0", "/page/main.js", "/export.zip"]
)
def test_request_without_the_token_rejected(served, path):
    answer = served.get(path, cookie=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert served.get(path, cookie=False, Cookie="x").status_code == 403


def test_wrong_cookie_host_or_origin_rejected(served):
    port = served.host.split(":")[1]
    assert served.get("/", cookie=False, Cookie=f"aotlab_{port}=wrong").status_code == 403
    for host in (f"evil.example:{port}", "evil.example", f"127.0.0.1.evil.example:{port}", f"192.168.0.1:{port}"):
        assert served.get("/", Host=host).status_code == 400
    assert served.get("/frame/0", Origin="http://evil.example").status_code == 403
    assert served.get("/frame/0", Sec_Fetch_Site="cross-site").status_code == 403
    assert served.get("/masks/0", "POST", content=b"x").status_code == 403  # no Origin
    assert served.get("/frame/0", Origin=served.address).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Cookie": ""}, {"Cookie": "aotlab=wrong"}, {"Origin": "http://evil.example"}, {"Origin": ""}]
)
def test_foreign_websocket_rejected(served, headers, caplog):
    with pytest.raises(InvalidStatus):
        served.open(**headers)
    served.close()
    assert not caplog.records


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py", "/page/..%2fserver.py", "/page/%2e%2e%2fserver.py", "/page/__init__.py",
        "/page//etc/passwd", "/page/main.js%00.css", "/frame/../../etc/passwd", "/export.zip/../project.json",
        "/labels/-1", "/labels/1e3", "/labels/1_0", "/frame/99999999999999999999", "/frame/12", "/labels/" + "9" * 5000,
        "/given/000000.png",
    ],
)  # fmt: skip
def test_request_paths_stay_out_of_the_file_system(served, path):
    answer = served.get(path)
    assert answer.status_code in (404, 405)
    assert "def " not in answer.text


def test_painting_tracking_and_undo_over_the_socket(served):
    connection = served.open()
    assert connection.do("describe")["result"]["frames"] == LENGTH
    assert connection.do("add_object")["result"]["object_id"] == 1
    connection.do("fill_polygon", frame=0, object_id=1, points=square(5, 5, 10))
    assert "error" not in connection.do("track", frame=0, direction="forward")
    connection.wait_event(lambda event: event["event"] == "job" and event["job"]["status"] == "done")
    frames = [event for event in connection.events if event["event"] == "frame"]
    assert frames[-1]["frame"] == LENGTH - 1
    assert frames[-1]["marks"] == {"1": "9"}
    assert connection.do("timeline")["result"]["marks"] == {"1": "G" + "9" * (LENGTH - 1)}
    undone = connection.do("undo")["result"]
    assert (undone["title"], undone["frame"]) == ("tracking", None)
    assert connection.do("timeline")["result"]["marks"] == {"1": "G" + "-" * (LENGTH - 1)}
    assert connection.do("export", names=["masks"])["result"] == {
        "archive": "clip.zip",
        "missing": LENGTH - 1,
        "unclassed": 1,
        "without_attributes": [],
    }
    assert served.get("/export.zip").content[:2] == b"PK"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_export_of_a_video_with_an_undecodable_name_is_served(serve, tmp_path):
    served = serve(open_session(draw_folder(tmp_path / os.fsdecode(b"caf\xe9"))))
    draw(served.session, 0, 1)
    assert "error" not in served.open().do("export", names=["masks"])
    answer = served.get("/export.zip")
    assert answer.content[:2] == b"PK"
    assert "caf%EF%BF%BD.zip" in answer.headers["content-disposition"]


def test_tracker_settings_are_chosen_and_announced(folder, serve):
    loader = TrackerLoader(TrackerOptions(), [folder / "other.safetensors"])
    served = serve(Session.create(open_document(folder), TruthTracker, loader=loader))
    first, second = served.open(), served.open()
    assert first.do("describe")["result"]["model"] == "bundled"
    first.do("set_model", name="other")
    second.wait_event(lambda event: event["event"] == "model")
    assert second.events[-1]["model"] == "other"
    for name, words in (("/etc/passwd", "not offered"), ("../other", "not offered"), (["other"], "name"), (5, "name")):
        assert words in first.do("set_model", name=name)["error"]
    assert loader.chosen == "other"


def test_segmenter_is_chosen_announced_and_loaded(folder, serve):
    loaded, blank = threading.Event(), np.zeros((64, 64), np.uint8)
    segmenters = {"color": segment_by_color, "blank": lambda frame, prompts: (loaded.set(), blank)[1]}
    served = serve(Session.create(open_document(folder), TruthTracker, Prompter(segmenters)))
    first, second = served.open(), served.open()
    state = first.do("describe")["result"]
    assert (state["segmenters"], state["segmenter"]) == (["color", "blank"], "color")
    first.do("set_segmenter", name="blank")
    second.wait_event(lambda event: event == {"event": "segmenter", "segmenter": "blank"})
    assert loaded.wait(WAIT_SECONDS)
    second.wait_event(lambda event: event["event"] == "loading" and not event["loading"])
    assert "not offered; give one of color, blank" in first.do("set_segmenter", name="other")["error"]
    assert second.do("describe")["result"]["segmenter"] == "blank"


def test_idle_connections_do_not_block_others(served):
    address = ("127.0.0.1", int(served.host.split(":")[1]))
    idle = [socket.create_connection(address) for _ in range(130)]
    idle[-1].sendall(b"GET / HTTP/1.1\r\nHost: ")
    assert served.get("/frame/0").status_code == 200
    assert served.open().do("describe")["result"]["frames"] == LENGTH
    for connection in idle:
        connection.close()


def test_browsers_cache_frames_for_one_video_only(served, serve, tmp_path):
    video = served.open().do("describe")["result"]["video"]
    assert "max-age" in served.get(f"/frame/0?video={video}&width=96").headers["cache-control"]
    for query in ("", "?width=96", "?video=another", f"?video={video}&near=1"):
        assert served.get(f"/frame/0{query}").headers["cache-control"] == "no-store"
    other = serve(open_session(draw_folder(tmp_path / "other")))
    assert other.open().do("describe")["result"]["video"] != video


def test_small_frame_shows_masks_in_their_colors(served):
    draw(served.session, 0, 1)
    editing.ChangeObject(1, color="#0000ff").run(served.session.document)
    plain, masked = (
        np.asarray(Image.open(io.BytesIO(served.get(f"/frame/0?width=60{query}").content))).astype(int)
        for query in ("&masks=0&near=0", "&masks=1")
    )
    assert abs(masked - plain)[30, 45].max() < 20  # no mask
    assert (masked - plain)[10, 10, 2] > 80
    assert served.get("/frame/99?masks=1").status_code == 404


def test_failing_action_is_an_internal_error(served, monkeypatch, caplog):
    connection = served.open()
    assert "not a JSON object" in connection.send_text("{")["error"]

    fail = Mock(side_effect=ValueError("unexpected"))
    monkeypatch.setattr("aotlab_studio.server.app.run_on_target", fail)
    assert "internal error" in connection.do("describe")["error"]
    assert "unexpected" in caplog.text


def test_address_for_all_interfaces_names_this_machine(session, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    server = web.Server(web.build_app(lambda _: session), web.bind_socket("0.0.0.0", 0), host="0.0.0.0")
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    assert host == "localhost"
    socket.create_connection((host, int(port)), timeout=WAIT_SECONDS).close()


@pytest.mark.parametrize(
    ("listening", "asked", "ours"),
    [
        ("0.0.0.0", "desk", True), ("0.0.0.0", "DESK", True), ("127.0.0.1", "desk", False),
        ("studio.example", "studio.example", True),
        ("0.0.0.0", "192.168.0.7", True), ("0.0.0.0", "[fe80::1]", True), ("0.0.0.0", "evil.example", False),
        ("127.0.0.1", "192.168.0.7", False), ("127.0.0.1", "[::1]", True), ("127.0.0.1", "[::1", False),
        ("127.0.0.1", "", False),
    ],
)  # fmt: skip
def test_hosts_are_addresses_or_names_of_this_machine(monkeypatch, listening, asked, ours):
    monkeypatch.setattr("socket.gethostname", lambda: "Desk")
    guard = GuardMiddleware(PlainTextResponse("page"), 8000, host=listening)
    for host in (f"{asked}:8000", asked):  # browsers leave out port 80
        answer = TestClient(guard).get("/", params={"token": guard.token}, headers={"host": host})
        assert answer.status_code == (200 if ours else 400)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:1"])
def test_forwarded_port_and_port_80_are_served(served, host):
    assert served.get("/", Host=host, Origin=f"http://{host}").status_code == 200
    assert served.get("/", Host=host, Origin=served.address).status_code == 403


@given(arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 400, 65535])))
def test_runs_hold_any_labels(labels):
    np.testing.assert_array_equal(decode_labels(encode_labels(labels)), labels)


def test_page_contains_its_icons(served):
    assert 'id="icon-brush"' in served.get("/").text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"do": "launch"}, "no such action"),
        ({}, "no such action"),
        ({"do": ["paint"]}, "no such action"),
        ({"do": "paint", "frame": 0, "object_id": 1, "points": [[1, 1]]}, "radius"),
        ({"do": "paint", "frame": 0, "object_id": 1, "points": [[1, 1]], "radius": 1e9}, "radius"),
        ({"do": "paint", "frame": 0, "object_id": 1, "points": [["x", 1]], "radius": 2}, "points"),
        ({"do": "paint", "frame": 0, "object_id": 1, "points": [[1e300, 1]], "radius": 2}, "points"),
        ({"do": "paint", "frame": 0, "object_id": 1, "points": "1,1", "radius": 2}, "points"),
        ({"do": "paint", "frame": 0.5, "object_id": 1, "points": [[1, 1]], "radius": 2}, "frame"),
        ({"do": "paint", "frame": True, "object_id": 1, "points": [[1, 1]], "radius": 2}, "frame"),
        ({"do": "paint", "frame": 10**30, "object_id": 1, "points": [[1, 1]], "radius": 2}, "frame"),
        ({"do": "reshape", "frame": 0, "object_id": 2**64, "shape": "grow"}, "object"),
        ({"do": "reshape", "frame": 0, "object_id": None, "shape": "grow"}, "Select an object first"),
        ({"do": "paint", "frame": -1, "object_id": 1, "points": [[1, 1]], "radius": 2}, "frame -1: no such frame"),
        ({"do": "paint", "frame": 0, "object_id": "../1", "points": [[1, 1]], "radius": 2}, "object"),
        ({"do": "paint", "frame": 0, "object_id": 9, "points": [[1, 1]], "radius": 2}, "no such object"),
        ({"do": "fill_polygon", "frame": 0, "object_id": 1, "points": [[1, 1]]}, "length >= 3"),
        ({"do": "segment", "frame": 0, "object_id": 1}, "give a box"),
        ({"do": "segment", "frame": 0, "object_id": 1, "box": [1, 2]}, "box"),
        ({"do": "track", "frame": 3}, "no mask to track"),
        ({"do": "track", "frame": 0, "direction": "../up"}, "direction"),
        ({"do": "pause"}, "nothing is being tracked"),
        ({"do": "stop"}, "nothing is being tracked"),
        ({"do": "export", "names": ["../../etc/passwd"]}, "not one of"),
        ({"do": "export", "names": [1]}, "names"),
        ({"do": "change_object", "object_id": 1, "locked": 1}, "locked"),
        ({"do": "change_object", "object_id": 1, "class": "cat"}, "unknown field `class`"),
        ({"do": "add_object", "name": "x"}, "name"),
        ({"do": "clear_tracking", "frame": 99}, "frame 99: no such frame"),
        ({"do": "clear_tracking", "frame": 0, "last": "x"}, "last"),
        ({"do": "change_object", "object_id": 1, "name": "<img src=x>\n"}, "name"),
        ({"do": "change_object", "object_id": 1, "name": ""}, "name"),
        ({"do": "change_object", "object_id": 1, "name": "x" * 61}, "name"),
        ({"do": "change_object", "object_id": 1, "color": "red"}, "color"),
        ({"do": "segment", "frame": 0, "object_id": 1, "mode": "auto"}, "no prompt; give a box, clicks or a scribble"),
        ({"do": "split_object", "frame": 0, "object_id": 1, "point": [1]}, "point"),
        ({"do": "set_done", "done": True, "outdatd": "yes"}, "unknown field `outdatd`"),
    ],
)  # fmt: skip
def test_invalid_message_rejected(served, message, words):
    draw(served.session, 0, 1)
    before = served.session.document.snapshot.labels(0).copy()
    connection = served.open()
    answer = connection.send_text(json.dumps({"id": 7, **message}))
    assert answer["id"] == 7
    assert words in answer["error"]
    np.testing.assert_array_equal(served.session.document.snapshot.labels(0), before)
    assert connection.do("describe")["result"]["objects"][0]["name"] == "object 1"


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "3", "null", r'{"do":"\ud800"}', '{"id": {}}', '{"id":' + "9" * 30 + "}", "[" * 5000,
     '{"id":1,"do":"paint","frame":1e999}'],
)  # fmt: skip
def test_malformed_message_keeps_the_connection(served, text):
    connection = served.open()
    assert "error" in connection.send_text(text)
    assert "result" in connection.do("describe")


@pytest.mark.parametrize("content", ["x" * (web.MAX_MESSAGE_BYTES + 10), b"\x00\x01"])
def test_unusable_message_ends_only_its_connection(served, content):
    connection = served.open()
    connection.socket.send(content)
    with pytest.raises(ConnectionClosed):
        connection.socket.recv(timeout=WAIT_SECONDS)
    assert "result" in served.open().do("describe")


def test_disconnected_clients_do_not_log_a_traceback(served, caplog):
    host, port = served.host.split(":")
    head = f"Host: {served.host}\r\nOrigin: {served.address}\r\nCookie: {served.cookie}\r\n"
    with socket.create_connection((host, int(port))) as client:  # leaves in mid-upload
        client.sendall(f"POST /masks/0 HTTP/1.1\r\n{head}Content-Length: 1000\r\n\r\nabc".encode())
    assert served.get("/").status_code == 200
    assert [record for record in caplog.records if record.exc_info] == []


def test_undo_spares_steps_of_another_open_page(served):
    mine, other = served.open("socket?page=1"), served.open("socket?page=2")
    mine.do("fill_polygon", frame=0, object_id=None, points=square(5, 5, 10))
    other.do("fill_polygon", frame=0, object_id=None, points=square(25, 5, 10))
    assert "outline object 2, was made in another window" in mine.do("undo")["error"]
    assert other.do("undo")["result"]["title"] == "outline object 2"
    assert "outline object 2, was made in another window" in mine.do("redo")["error"]
    assert mine.do("undo")["result"]["title"] == "outline object 1"
    assert served.post("/masks/3?page=2", png(truth(3))).is_success
    assert "load masks, was made in another window" in mine.do("undo")["error"]
    assert other.do("undo")["result"]["title"] == "load masks"
    other.do("fill_polygon", frame=0, object_id=None, points=square(25, 5, 10))
    other.socket.close()
    wait_until(lambda: "error" not in mine.do("undo"))


def test_page_that_reconnects_keeps_its_steps(served):
    mine, other = served.open("socket?page=1"), served.open("socket?page=2")
    mine.do("fill_polygon", frame=0, object_id=None, points=square(5, 5, 10))
    again = served.open("socket?page=1")  # before the server notices that the other one is lost
    mine.socket.close()
    wait_until(lambda: len(served.session.document.listeners) == 2)
    assert "made in another window" in other.do("undo")["error"]
    again.socket.close()
    wait_until(lambda: len(served.session.document.listeners) == 1)
    last = served.open("socket?page=1")
    last.do("describe")
    assert "made in another window" in other.do("undo")["error"]
    assert last.do("undo")["result"]["title"] == "outline object 1"


def test_default_port_stays_the_same_while_it_is_free(monkeypatch):
    with reserve_port() as port:
        monkeypatch.setattr(web, "DEFAULT_PORT", port)
        with web.bind_socket("127.0.0.1", None) as first, web.bind_socket("127.0.0.1", None) as second:
            assert first.getsockname()[1] == port
            assert second.getsockname()[1] != port


def test_drawing_sent_again_after_a_restart_is_stored_once(folder, reopen, serve):
    messages = [
        {"id": 2**40 + 1, "do": "fill_polygon", "frame": 0, "object_id": None, "points": square(5, 5, 10)},
        {"id": 2**40 + 2, "do": "add_object"},
        {"id": 2**40 + 5, "do": "fill_polygon", "frame": 0, "object_id": None, "points": square(5, 5, 5)},
        {"id": 2**40 + 3, "do": "change_object", "object_id": 1, "name": "cat"},
    ]
    for _ in range(2):
        served = Served(open_session(folder))
        connection = served.open()
        for _ in range(2):
            first, second, third, fourth = (connection.send_text(json.dumps(message))["result"] for message in messages)
            assert first == {"object_id": 1, "lost_pixels": {}, "warning": ""}
            assert (second["object_id"], third["object_id"], fourth) == (2, 3, None)
            assert third["lost_pixels"] == {"1": 36}
        assert connection.do("describe")["result"]["history"][0]["title"] == "change object 1"
        served.close()
    session = reopen(folder)
    session.document.undo()
    again = serve(session)
    (answer,) = again.post("/edits", messages[3:]).json()
    assert answer["id"] == 2**40 + 3
    assert session.document.snapshot.objects[1].name == "object 1"  # it stays undone
    assert len(session.document.log.steps) == 4


def test_refused_message_leaves_no_lock(served):
    document = served.session.document
    (refused,) = served.post("/edits", [{"id": 2**40, "do": "delete_object", "object_id": 1}]).json()
    assert "no such object" in refused["error"]
    assert not document._message_locks  # nothing else shows what would stay in memory


@pytest.fixture(params=["socket", "edits"])
def send_all(served, request):
    """Send messages over the WebSocket, or with ``POST /edits``; return results, or errors."""

    def send_all(*messages):
        if request.param == "socket":
            connection = served.open()
            answers = [connection.send_text(json.dumps({"id": n, **message})) for n, message in enumerate(messages)]
        else:
            answers = served.post("/edits", messages).json()
        return [answer.get("result", answer.get("error")) for answer in answers]

    return send_all


def outline_target(target, left, object_id=None):
    fields = {"frame": 0, "object_id": object_id, "points": square(left, 5, 8)}
    return {"do": "fill_polygon", "target": target, **fields}


def test_messages_of_one_target_are_for_one_object(served, send_all):
    send_all(outline_target("a", 2), outline_target("b", 20), outline_target("a", 10), {"do": "add_object"})
    labels = served.session.document.snapshot.labels(0)
    assert [*served.session.document.snapshot.objects] == [1, 2, 3]
    assert labels[8, [5, 12, 24]].tolist() == [1, 1, 2]


def test_target_becomes_the_object_of_a_prompt(served, send_all):
    draw(served.session, 0, 1)
    box = {"do": "segment", "frame": 0, "object_id": 1, "target": "a", "box": [37, 22, 16, 16], "mode": "auto"}
    send_all(box, outline_target("a", 2, object_id=1))
    labels = served.session.document.snapshot.labels(0)
    assert [labels[30, 45], labels[12, 3]] == [2, 2]


def test_target_becomes_the_piece_that_is_split_off(served, send_all):
    split = {"do": "split_object", "frame": 0, "object_id": None, "target": "a", "point": [34, 8]}
    send_all(outline_target("a", 2), outline_target("a", 30), split, outline_target("a", 12))
    assert served.session.document.snapshot.labels(0)[8, [5, 14, 34]].tolist() == [1, 2, 2]


def test_target_of_a_removed_object_is_its_successor(served, send_all):
    draw(served.session, 3, 7)
    merge = {"do": "merge_objects", "object_id": None, "target": "a", "into": 7}
    delete = {"do": "delete_object", "object_id": None, "target": "b"}
    send_all(outline_target("a", 2), merge, outline_target("a", 12), outline_target("b", 40), delete)
    assert served.session.document.snapshot.labels(0)[8, [5, 14, 44]].tolist() == [7, 7, 0]
    send_all(outline_target("b", 2, object_id=7), {**delete, "object_id": 7}, outline_target("b", 40, object_id=7))
    assert served.session.document.snapshot.labels(0)[8, [5, 44]].tolist() == [0, 10]


def test_message_needs_the_object_it_targets(send_all):
    add, limit = {"do": "add_object", "target": 5}, {"do": "set_checked", "frame": 0, "checked": False, "target": 5}
    results = send_all(limit, add, limit, {"do": "delete_object", "object_id": None, "target": 5})
    assert [result is None for result in results] == [True, False, True, True]


@pytest.mark.parametrize("action", ["timeline", "list_history"])
def test_closing_page_sends_edits_only(served, action):
    answer = served.post("/edits", [{"id": 2**40, "do": "add_object"}, {"id": 2**40 + 1, "do": action}])
    assert (answer.status_code, answer.text[:16]) == (422, "edits: expected ")
    assert served.post("/edits", b"").text == "edits: not a JSON list of messages"
    assert served.session.document.log.size == 0


def test_silent_connections_do_not_shut_the_owner_out(served):
    port = int(served.host.split(":")[1])
    with ExitStack() as sockets:
        silent = [
            sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS))
            for _ in range(web.MAX_SILENT + 5)
        ]
        assert served.get("/labels/0").status_code == 200
        assert silent[0].recv(1) == b""
        refused = served.get("/labels/0", cookie=False)
        assert (refused.status_code, refused.headers["connection"]) == (403, "close")


def test_connection_without_a_request_is_closed(served, monkeypatch):
    monkeypatch.setattr(web, "FIRST_REQUEST_SECONDS", 0.1)
    port = int(served.host.split(":")[1])
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\n")
        assert silent.recv(1) == b""


def test_full_disk_is_no_traceback(served, monkeypatch, caplog):
    fail = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("aotlab_studio.server.app.run_on_target", fail)
    assert "free space" in served.open().do("describe")["error"]
    assert caplog.text == ""


def test_answer_to_a_program_has_the_step_that_it_made(served):
    connection, add = served.open(), {"id": 1, "do": "add_object"}
    assert connection.send_text(json.dumps(add))["step"] == 1
    answers = served.post("/edits", [add, {"do": "add_object"}]).json()
    assert [(answer["id"], answer["step"]) for answer in answers] == [(1, 2), (None, 3)]
    assert connection.send_text(json.dumps({"id": 1, "do": "describe"}))["step"] == 0
    assert connection.send_text(json.dumps({"id": 1, "do": "undo", "step": 3}))["step"] == 0


def test_answer_waits_for_the_events_of_its_revision(session, document, monkeypatch):
    monkeypatch.setattr(web, "run_on_target", lambda *args: None)
    with ThreadPoolExecutor(1) as threads:
        with document.lock:  # as while a result is stored, before its event
            answer = threads.submit(asyncio.run, web.answer_message(session, {"id": 1}, Origin(), {}))
            with pytest.raises(FutureTimeout):
                answer.result(0.3)
        assert answer.result(WAIT_SECONDS).revision == document.revision


def test_edits_sent_again_have_the_same_answer(served):
    draw(served.session, 0, 1)
    run_job(served.session, 0)
    connection = served.open()
    actions = {"clear_tracking": {}, "set_checked": {"checked": True}, "mark_absent": {"object_id": 1}}
    for number, (name, fields) in enumerate(actions.items()):
        message = json.dumps({"id": 2**40 + number, "do": name, "frame": 5 - number, **fields})
        first, again = connection.send_text(message), connection.send_text(message)
        assert "error" not in first
        assert first["result"] == again["result"]


def test_prompt_sent_twice_at_once_is_drawn_once(session):
    segment, calls, go_on = session.prompter.segmenter, [], threading.Event()

    def segment_slowly(*prompt):
        calls.append(prompt)
        wait_for_event(go_on)
        return segment(*prompt)

    session.prompter.segmenter = segment_slowly
    box = {"do": "segment", "frame": 0, "object_id": None, "box": [0, 0, 60, 40]}
    with ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(run_action, session, dict(box), Origin(message_id=2**40)) for _ in range(2)]
        wait_until(lambda: calls)
        go_on.set()
    assert [answer.result().object_id for answer in answers] == [1, 1]
    assert (len(calls), len(session.document.log.steps)) == (1, 1)
