"""The server carries the session to its own page, and to nobody else."""

from __future__ import annotations

import io
import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from websockets.exceptions import InvalidStatus

from aotlab_studio.project.state import State
from aotlab_studio.server import app as web
from aotlab_studio.server.app import encode_runs
from aotlab_studio.server.guard import Guard
from aotlab_studio.server.session import Session
from aotlab_studio.tracking.models import TrackerChoice
from studio.tests.annotation.clips import LENGTH, Seer, draw_folder, open_session, square, truth
from studio.tests.annotation.runs import decode_runs
from studio.tests.annotation.served import TOKEN, Served
from studio.tests.annotation.test_editing import draw


def test_the_token_of_the_first_url_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(served):
    answer = served.get(f"/?token={TOKEN}", cookie=False)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(served.cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert served.get("/").status_code == 200
    assert served.get("/page/main.js").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path", ["/", "/?token=wrong", "/?token=", "/frame/0", "/labels/0", "/page/main.js", "/export.zip"]
)
def test_nothing_is_served_without_the_token(served, path):
    answer = served.get(path, cookie=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert served.get(path, cookie=False, cookie_="x").status_code == 403


def test_a_wrong_cookie_a_wrong_host_and_a_wrong_origin_are_refused(served):
    port = served.host.split(":")[1]
    assert served.get("/", cookie=False, Cookie=f"aotlab_{port}=wrong").status_code == 403
    for host in (
        f"evil.example:{port}",
        "evil.example",
        f"127.0.0.1.evil.example:{port}",
        "127.0.0.1:1",
        f"192.168.0.1:{port}",
    ):
        assert served.get("/", Host=host).status_code == 400
    assert served.get("/frame/0", Origin="http://evil.example").status_code == 403
    assert served.get("/frame/0", Sec_Fetch_Site="cross-site").status_code == 403
    assert served.get("/masks/0", "POST", content=b"x").status_code == 403  # no Origin
    assert served.get("/frame/0", Origin=served.address).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Cookie": ""}, {"Cookie": "aotlab=wrong"}, {"Origin": "http://evil.example"}, {"Origin": ""}]
)
def test_a_websocket_of_someone_else_is_refused(served, headers):
    with pytest.raises(InvalidStatus):
        served.open(**headers)


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py", "/page/..%2fserver.py", "/page/%2e%2e%2fserver.py", "/page/__init__.py",
        "/page//etc/passwd", "/page/main.js%00.css", "/frame/../../etc/passwd", "/export.zip/../project.json",
        "/labels/-1", "/labels/1e3", "/frame/99999999999999999999", "/frame/12", "/labels/" + "9" * 5000,
        "/given/000000.png",
    ],
)  # fmt: skip
def test_no_path_of_a_request_reaches_the_file_system(served, path):
    answer = served.get(path)
    assert answer.status_code in (404, 405)
    assert "def " not in answer.text


def test_frames_and_labels_are_served(served):
    draw(served.session, 0, 1, 2)
    with Image.open(io.BytesIO(served.get("/frame/3").content)) as image:
        assert image.size == (60, 40)
    assert (decode_runs(served.get("/labels/0").content) == truth(0)).all()


def test_a_person_paints_tracks_and_undoes_over_the_socket(served):
    talk = served.open()
    assert talk.do("describe")["result"]["frames"] == LENGTH
    assert talk.do("add_object", name="ball")["result"] == 1
    talk.do("outline", frame=0, object_id=1, points=square(5, 5, 10))
    assert talk.do("track", frame=0, direction="forward")["result"]["total"] == LENGTH - 1
    talk.until(lambda event: event["event"] == "job" and event["job"]["status"] == "done")
    frames = [event for event in talk.events if event["event"] == "frame"]
    assert frames[-1]["frame"] == LENGTH - 1
    assert frames[-1]["codes"] == {"1": "9"}
    assert talk.do("strips")["result"] == {"1": "G" + "9" * (LENGTH - 1)}
    assert talk.do("undo")["result"] == {"title": "tracking", "frame": 0}
    assert talk.do("strips")["result"] == {"1": "G" + "-" * (LENGTH - 1)}
    assert talk.do("export", names=["masks"])["result"] == "clip.zip"
    assert served.get("/export.zip").content[:2] == b"PK"


def test_two_pages_see_each_others_changes_and_one_may_go(served):
    first, second = served.open(), served.open()
    first.do("add_object")
    second.until(lambda event: event["event"] == "objects")
    assert second.events[-1]["objects"][0]["name"] == "object 1"
    first.socket.close()
    second.do("paint", frame=0, object_id=1, points=[[5, 5]], radius=3)
    assert second.do("undo")["result"]["title"] == "brush"


def test_what_tracks_is_chosen_from_what_the_program_offers_and_other_pages_hear_of_it(folder):
    offered = {"model": {"mini": "the bundled model", "other": "other"}, "policy": {"own": "the model's own"}}
    choice = TrackerChoice(offered, {"model": "mini", "policy": "own"})
    served = Served(Session(State(folder), Seer, choice=choice))
    first, second = served.open(), served.open()
    assert first.do("describe")["result"]["tracker"]["model"]["chosen"] == "mini"
    first.do("set_tracker", changes={"model": "other"})
    second.until(lambda event: event["event"] == "tracker")
    assert second.events[-1]["settings"]["model"]["chosen"] == "other"
    for changes, words in (
        ({"model": "/etc/passwd"}, "not offered"), ({"model": "../other.safetensors"}, "not offered"),
        ({"model": ["other"]}, "changes"), ({"device": "cuda"}, "no such setting"), ([], "changes"),
    ):  # fmt: skip
        assert words in first.do("set_tracker", changes=changes)["error"]
    assert choice.chosen == {"model": "other", "policy": "own"}
    served.close()


def test_a_job_for_an_object_that_another_page_deletes_is_refused(folder):
    served = Served(open_session(folder, Seer(pause=0.05)))
    first, second = served.open(), served.open()
    draw(served.session, 0, 1, 2)
    assert "result" in first.do("delete_object", object_id=2)
    assert "no such object" in second.do("track", frame=0, object_ids=[2])["error"]
    assert "result" in second.do("track", frame=0, object_ids=[1])
    assert "stop it first" in first.do("delete_object", object_id=1)["error"]
    assert "already" in first.do("track", frame=0)["error"]
    assert "result" in first.do("stop")
    served.close()


def test_idle_connections_block_nobody(served):
    address = ("127.0.0.1", int(served.host.split(":")[1]))
    idle = [socket.create_connection(address) for _ in range(130)]
    idle[-1].sendall(b"GET / HTTP/1.1\r\nHost: ")
    assert served.get("/frame/0").status_code == 200
    assert served.open().do("describe")["result"]["frames"] == LENGTH
    for connection in idle:
        connection.close()


def test_frames_are_kept_by_browsers_for_one_video_only(served, tmp_path):
    video = served.open().do("describe")["result"]["video"]
    assert "max-age" in served.get(f"/frame/0?video={video}&width=96").headers["cache-control"]
    for query in ("", "?width=96", "?video=another", f"?video={video}&near=1"):
        assert served.get(f"/frame/0{query}").headers["cache-control"] == "no-store"
    other = Served(open_session(draw_folder(tmp_path / "other")))
    assert other.open().do("describe")["result"]["video"] != video
    other.close()


def test_masks_that_cannot_be_taken_are_422_and_a_missing_frame_404(served):
    answer = served.get("/masks/0", "POST", content=b"nonsense", Origin=served.address)
    assert answer.status_code == 422
    for index in ("99", "9" * 5000):
        answer = served.get(f"/masks/{index}", "POST", content=b"nonsense", Origin=served.address)
        assert answer.status_code == 404


def test_a_message_that_is_not_json_is_told_from_an_action_that_fails(served, monkeypatch, caplog):
    talk = served.open()
    assert talk.raw("{")["error"] == "message: not JSON"

    def fail(session, message):
        raise ValueError("unexpected")

    monkeypatch.setattr("aotlab_studio.server.app.act", fail)
    assert "internal error" in talk.do("describe")["error"]
    assert "unexpected" in caplog.text


def test_a_port_in_use_is_refused():
    from aotlab import InputError

    listener = web.bind("127.0.0.1", 0)
    with pytest.raises(InputError, match="choose another port"):
        web.bind("127.0.0.1", listener.getsockname()[1])
    listener.close()


def test_address_for_all_interfaces_can_be_reached(session):
    server = web.Server(session, web.bind("0.0.0.0", 0), host="0.0.0.0")
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    assert host != "0.0.0.0"
    socket.create_connection((host, int(port)), timeout=2).close()


@pytest.mark.parametrize(
    ("listening", "asked", "ours"),
    [
        ("0.0.0.0", socket.gethostname(), True), ("0.0.0.0", socket.gethostname().upper(), True),
        ("127.0.0.1", socket.gethostname(), False), ("studio.example", "studio.example", True),
        ("0.0.0.0", "192.168.0.7", True), ("0.0.0.0", "[fe80::1]", True), ("0.0.0.0", "evil.example", False),
        ("127.0.0.1", "192.168.0.7", False),
    ],
)  # fmt: skip
def test_hosts_are_addresses_or_names_of_this_machine(listening, asked, ours):
    assert Guard(None, 8000, host=listening)._is_ours(f"{asked}:8000") == ours


@given(
    arrays(
        np.uint16,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 1, 400, 65535]),
    )
)
def test_runs_hold_any_labels(labels):
    assert (decode_runs(encode_runs(labels)) == labels).all()
