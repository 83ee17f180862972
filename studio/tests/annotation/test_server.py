"""The server: access, messages, uploads of masks in every format of docs/formats.md."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from aotlab import InputError, TrackerOptions
from aotlab.media.rle import compress_rle
from aotlab.sdk import Annotations, Region, VideoInfo, encode_rle, format_coco
from aotlab_studio.document import editing
from aotlab_studio.document.document import Actor
from aotlab_studio.opening import open_document
from aotlab_studio.server import app as web
from aotlab_studio.server.app import encode_labels
from aotlab_studio.server.guard import GuardMiddleware
from aotlab_studio.session import uploads
from aotlab_studio.session.session import Session
from aotlab_studio.session.uploads import UnclearObjectsError, load_upload, read_upload
from aotlab_studio.tracking.models import TrackerLoader
from studio.tests.annotation.clips import (
    HEIGHT,
    LENGTH,
    WIDTH,
    TruthTracker,
    draw,
    draw_folder,
    open_session,
    png,
    refresh_review,
    square,
    start_job,
    truth,
    wait_until,
    zip_files,
)
from studio.tests.annotation.served import TOKEN, Served, decode_labels
from tests.processes import reserve_port


def test_token_becomes_a_strict_cookie(served):
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


def test_wrong_cookie_host_or_origin_rejected(served):
    port = served.host.split(":")[1]
    assert served.get("/", cookie=False, Cookie=f"aotlab_{port}=wrong").status_code == 403
    for host in (
        f"evil.example:{port}",
        "evil.example",
        f"127.0.0.1.evil.example:{port}",
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
def test_foreign_websocket_rejected(served, headers):
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
def test_request_paths_stay_out_of_the_file_system(served, path):
    answer = served.get(path)
    assert answer.status_code in (404, 405)
    assert "def " not in answer.text


def test_painting_tracking_and_undo_over_the_socket(served):
    talk = served.open()
    assert talk.do("describe")["result"]["frames"] == LENGTH
    assert talk.do("add_object")["result"]["object_id"] == 1
    talk.do("outline", frame=0, object_id=1, points=square(5, 5, 10))
    assert "error" not in talk.do("track", frame=0, direction="forward")
    talk.until(lambda event: event["event"] == "job" and event["job"]["status"] == "done")
    frames = [event for event in talk.events if event["event"] == "frame"]
    assert frames[-1]["frame"] == LENGTH - 1
    assert frames[-1]["marks"] == {"1": "9"}
    assert talk.do("timeline")["result"]["marks"] == {"1": "G" + "9" * (LENGTH - 1)}
    undone = talk.do("undo")["result"]
    assert (undone["title"], undone["frame"]) == ("tracking", None)
    assert talk.do("timeline")["result"]["marks"] == {"1": "G" + "-" * (LENGTH - 1)}
    assert talk.do("export", names=["masks"])["result"] == {
        "archive": "clip.zip",
        "missing": LENGTH - 1,
        "unclassed": 1,
    }
    assert served.get("/export.zip").content[:2] == b"PK"


def test_tracker_settings_are_chosen_and_announced(folder):
    loader = TrackerLoader(TrackerOptions(), [folder / "other.safetensors"])
    served = Served(Session(open_document(folder), TruthTracker, loader=loader))
    first, second = served.open(), served.open()
    assert first.do("describe")["result"]["model"] == "bundled"
    first.do("set_model", name="other")
    second.until(lambda event: event["event"] == "model")
    assert second.events[-1]["model"] == "other"
    for name, words in (
        ("/etc/passwd", "not offered"),
        ("../other", "not offered"),
        (["other"], "name"),
        (5, "name"),
    ):
        assert words in first.do("set_model", name=name)["error"]
    assert loader.chosen == "other"
    served.close()


def test_idle_connections_block_nobody(served):
    address = ("127.0.0.1", int(served.host.split(":")[1]))
    idle = [socket.create_connection(address) for _ in range(130)]
    idle[-1].sendall(b"GET / HTTP/1.1\r\nHost: ")
    assert served.get("/frame/0").status_code == 200
    assert served.open().do("describe")["result"]["frames"] == LENGTH
    for connection in idle:
        connection.close()


def test_browsers_cache_frames_for_one_video_only(served, tmp_path):
    video = served.open().do("describe")["result"]["video"]
    assert "max-age" in served.get(f"/frame/0?video={video}&width=96").headers["cache-control"]
    for query in ("", "?width=96", "?video=another", f"?video={video}&near=1"):
        assert served.get(f"/frame/0{query}").headers["cache-control"] == "no-store"
    other = Served(open_session(draw_folder(tmp_path / "other")))
    assert other.open().do("describe")["result"]["video"] != video
    other.close()


def test_small_frame_shows_masks_of_visible_objects(served):
    draw(served.session, 0, 1, 2)
    editing.change_object(served.session.document, 2, hidden=True, color="#ffffff")
    editing.change_object(served.session.document, 1, color="#0000ff")
    plain, masked = (
        np.asarray(Image.open(io.BytesIO(served.get(f"/frame/0?width=60{query}").content))).astype(int)
        for query in ("", "&masks=1")
    )
    assert abs(masked - plain)[30, 45].max() < 20
    assert (masked - plain)[10, 10, 2] > 80
    assert served.get("/frame/99?masks=1").status_code == 404


def test_failing_action_is_an_internal_error(served, monkeypatch, caplog):
    talk = served.open()
    assert "not a JSON object" in talk.raw("{")["error"]

    def fail(session, message, actor):
        raise ValueError("unexpected")

    monkeypatch.setattr("aotlab_studio.server.app.run_action", fail)
    assert "internal error" in talk.do("describe")["error"]
    assert "unexpected" in caplog.text


def test_slow_page_is_disconnected(served, session, monkeypatch):
    released, send_text = threading.Event(), WebSocket.send_text

    async def send_later(socket, text):
        await asyncio.to_thread(released.wait, 60)
        await send_text(socket, text)

    monkeypatch.setattr(web, "MAX_QUEUED_EVENTS", 3)
    monkeypatch.setattr(WebSocket, "send_text", send_later)
    talk = served.open()
    wait_until(lambda: session.document.listeners)
    for _ in range(6):
        refresh_review(session)
    released.set()
    with pytest.raises(ConnectionClosed) as closed:
        talk.until(lambda event: False)
    assert closed.value.rcvd.code == 1013


def test_address_for_all_interfaces_names_this_machine(session, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    server = web.Server(web.build_app(lambda _: session), web.bind_socket("0.0.0.0", 0), host="0.0.0.0")
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    assert host == "localhost"
    socket.create_connection((host, int(port)), timeout=60).close()


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
    guard = GuardMiddleware(None, 8000, host=listening)
    assert guard._is_local_host(f"{asked}:8000") == ours
    assert guard._is_local_host(asked) == ours  # port 80, which browsers leave out


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:1"])
def test_forwarded_port_and_port_80_are_served(served, host):
    assert served.get("/", Host=host, Origin=f"http://{host}").status_code == 200
    assert served.get("/", Host=host, Origin=served.address).status_code == 403


@given(
    arrays(
        np.uint16,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 1, 400, 65535]),
    )
)
def test_runs_hold_any_labels(labels):
    assert (decode_labels(encode_labels(labels)) == labels).all()


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
        ({"do": "fill_holes", "frame": 0, "object_id": 2**64}, "object"),
        ({"do": "paint", "frame": -1, "object_id": 1, "points": [[1, 1]], "radius": 2}, "no frame -1"),
        ({"do": "paint", "frame": 0, "object_id": "../1", "points": [[1, 1]], "radius": 2}, "object"),
        ({"do": "paint", "frame": 0, "object_id": 9, "points": [[1, 1]], "radius": 2}, "no such object"),
        ({"do": "outline", "frame": 0, "object_id": 1, "points": [[1, 1]]}, "length >= 3"),
        ({"do": "suggest", "frame": 0, "object_id": 1}, "give a box"),
        ({"do": "suggest", "frame": 0, "object_id": 1, "box": [1, 2]}, "box"),
        ({"do": "track", "frame": 3}, "no mask to track"),
        ({"do": "track", "frame": 0, "direction": "../up"}, "direction"),
        ({"do": "pause"}, "nothing is being tracked"),
        ({"do": "stop"}, "nothing is being tracked"),
        ({"do": "export", "names": ["../../etc/passwd"]}, "must be one of"),
        ({"do": "export", "names": [1]}, "names"),
        ({"do": "change_object", "object_id": 1, "locked": 1}, "locked"),
        ({"do": "change_object", "object_id": 1, "class": "cat"}, "unknown field `class`"),
        ({"do": "add_object", "name": "x"}, "name"),
        ({"do": "drop_results", "frame": 99}, "no frame 99"),
        ({"do": "drop_results", "frame": 0, "last": "x"}, "last"),
        ({"do": "change_object", "object_id": 1, "name": "<img src=x>\n"}, "name"),
        ({"do": "change_object", "object_id": 1, "name": ""}, "name"),
        ({"do": "change_object", "object_id": 1, "name": "x" * 61}, "name"),
        ({"do": "change_object", "object_id": 1, "color": "red"}, "color"),
        ({"do": "change_object", "object_id": 1, "attributes": {"place": "left, behind"}}, "without a comma"),
        ({"do": "change_object", "object_id": 1, "attributes": {"left, behind": "true"}}, "without a comma"),
        ({"do": "change_object", "object_id": 1, "attributes": {"a=b": "c"}}, "without a comma"),
        ({"do": "split_object", "frame": 0, "object_id": 1, "point": [1]}, "point"),
        ({"do": "set_status", "status": "accepted", "outdatd": "proceed"}, "unknown field `outdatd`"),
    ],
)  # fmt: skip
def test_invalid_message_rejected(served, message, words):
    draw(served.session, 0, 1)
    before = served.session.document.snapshot.labels(0).copy()
    talk = served.open()
    answer = talk.raw(json.dumps({"id": 7, **message}))
    assert answer["id"] == 7
    assert words in answer["error"]
    assert (served.session.document.snapshot.labels(0) == before).all()
    assert talk.do("describe")["result"]["objects"][0]["name"] == "object 1"


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "3", "null", r'{"do":"\ud800"}', '{"id": {}}', '{"id":' + "9" * 30 + "}", "[" * 5000,
     '{"id":1,"do":"paint","frame":1e999}'],
)  # fmt: skip
def test_malformed_message_keeps_the_connection(served, text):
    talk = served.open()
    assert "error" in talk.raw(text)
    assert "result" in talk.do("describe")


@pytest.mark.parametrize("content", ["x" * (web.MAX_MESSAGE_BYTES + 10), b"\x00\x01"])
def test_unusable_message_ends_only_its_connection(served, content):
    talk = served.open()
    talk.socket.send(content)
    with pytest.raises(ConnectionClosed):
        talk.socket.recv(timeout=60)
    assert "result" in served.open().do("describe")


BROKEN_LZMA = zip_files({"a.png": b"x" * 99}, zipfile.ZIP_LZMA).replace(b"\x80\0\0<", b"\x80\0\0\xc3")


def post(served, content, frame=0):
    return served.get(f"/masks/{frame}", "POST", Origin=served.address, content=content)


def test_mask_is_uploaded_for_the_shown_frame(served):
    assert post(served, png(truth(2)), 2).json()["frames"] == [2]
    assert (served.session.document.snapshot.labels(2) == truth(2)).all()
    assert [post(served, b"x", frame).status_code for frame in ("99", "9" * 5000)] == [404, 404]


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", png(truth(0))[:60], png(np.ones((4, 4))), b"GIF89a" + b"\0" * 99, png(np.zeros((40, 60, 3))),
     png(np.zeros((40, 60))), b"{", b"[" * 5000, b'{"images": 1, "annotations": []}', b"<", b"<annotations/>",
     b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>', b"PK\3\4broken",
     zip_files({}), zip_files({"note.md": b"x"}), BROKEN_LZMA, zip_files({"1/00000.png": b"x", "2/00000.png": b"x"})],
)  # fmt: skip
def test_broken_upload_rejected_without_a_path(served, content):
    answer = post(served, content)
    assert answer.status_code == 422
    assert answer.text.startswith("mask")
    assert "\n" not in answer.text
    assert "/tmp" not in answer.text
    assert "root:" not in answer.text
    assert not served.session.document.snapshot.labels(0).any()


def test_names_in_an_archive_stay_inside(served, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    names = ["../../escaped.png", f"{tmp_path}/escaped.png", "..\\escaped.png", "a/../../escaped/00001.png"]
    for name in names:
        post(served, zip_files({name: png(truth(0)), f"x{name}": png(truth(0))}))
    assert [path.name for path in tmp_path.rglob("*") if "escaped" in path.name] == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_too_large_uploads_rejected(served, monkeypatch):
    monkeypatch.setattr("aotlab_studio.session.uploads.MAX_UNPACKED_BYTES", 1000)
    answer = post(served, zip_files({"00000.png": b"\0" * 2000}))
    assert (answer.status_code, "split it" in answer.text) == (422, True)
    monkeypatch.setattr(web, "MAX_UPLOAD_BYTES", 1000)
    assert post(served, b"x" * 2000).status_code == 413


def coco(*frames):
    regions = {index: [Region(each, encode_rle(truth(index) == each)) for each in (1, 2)] for index in frames}
    fish = Annotations((HEIGHT, WIDTH), regions, {1: "fish", 2: "fish"}, {n: f"{n:05d}" for n in frames})
    return json.dumps(format_coco(fish, VideoInfo("clip", fish.size, LENGTH))).encode()


def mots(*frames):
    line = f"{{}} {{}} 1 {HEIGHT} {WIDTH} {{}}"
    return "\n".join(
        line.format(index, 1000 + number, compress_rle(encode_rle(truth(index) == number)))
        for index in frames
        for number in (1, 2)
    ).encode()


def labelme(index):
    rows, columns = np.nonzero(truth(index) == 1)
    box = [[float(columns.min()), float(rows.min())], [float(columns.max()), float(rows.max())]]
    corners = [box[0], [box[1][0], box[0][1]], box[1], [box[0][0], box[1][1]]]
    shape = {"label": "box", "points": corners, "shape_type": "polygon", "group_id": None}
    tree = {"version": "5", "flags": {}, "shapes": [shape], "imagePath": f"{index:05d}.png"}
    return json.dumps({**tree, "imageHeight": HEIGHT, "imageWidth": WIDTH}).encode()


COLORED = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]])
LEGEND = json.dumps({"#ff0000": "car", "#0000ff": "dog"}).encode()
WHOLE = {
    "coco": coco(3, 5),
    "mots": mots(3, 5),
    "archived coco": zip_files({"annotations/instances.json": coco(3, 5), "images/3.png": b"x"}),
    "frames": zip_files({f"clip/{index:05d}.png": png(truth(index)) for index in (3, 5)}),
    "object_ids": zip_files(
        {
            f"clip/{number}/{index:05d}.png": png(255 * (truth(index) == number))
            for index in (3, 5)
            for number in (1, 2)
        }
    ),
    "colors": zip_files(
        {f"{index:05d}.png": png(COLORED[truth(index)]) for index in (3, 5)} | {"legend.json": LEGEND}
    ),
}


@pytest.mark.parametrize(
    "names",
    [["masks", "overlay"], ["coco", "cvat", "review"], ["objects"], ["label_studio"], ["mots"], ["yolo"]],
)
def test_archive_of_the_page_is_loaded(session, folder, tmp_path, names):
    draw(session, 0, 1, 2)
    draw(session, 5, 1)
    editing.change_object(session.document, 2, class_name="dish")  # YOLO tells objects apart by class only
    session.export(names)
    other = open_session(folder, project=tmp_path / "other.aotlab")
    assert load_upload(other.document, 0, session.archive.read_bytes()).frames == [0, 5]
    for index in (0, 5):
        differ = other.document.snapshot.labels(index) != session.document.snapshot.labels(index)
        assert differ.mean() <= (0.01 if names == ["yolo"] else 0)
    classes = {item.class_name for item in other.document.snapshot.objects.values()}
    assert "dish" in classes or names[0] in ("masks", "objects")
    other.close()


@pytest.mark.parametrize("names", [["mots"], ["label_studio"]])
def test_archive_of_a_file_with_its_classes_is_loaded(session, names):
    draw(session, 0, 1, 2)
    session.export(names)
    folder = session.archive.parent
    files = {path.name: path.read_bytes() for path in folder.glob(f"{names[0]}*")}
    assert len(files) == 2
    assert load_upload(session.document, 0, zip_files(files)).frames == [0]


def test_archive_of_yolo_labels_with_one_image_is_loaded(session):
    square = b"0 0.2 0.2 0.5 0.2 0.5 0.6 0.2 0.6\n"
    files = {"labels/00003.txt": square, "images/00003.png": png(truth(3)), "data.yaml": b"names: [dish]"}
    assert load_upload(session.document, 0, zip_files(files)).frames == [3]
    assert [item.class_name for item in session.document.snapshot.objects.values()] == ["dish"]


@pytest.mark.parametrize("names", [["3"], ["3", "5"]])
def test_archive_of_yolo_labels_is_loaded(session, names):
    square = "0 0.2 0.2 0.5 0.2 0.5 0.6 0.2 0.6\n"
    files = {f"set/labels/{int(name):05d}.txt": square.encode() for name in names}
    archive = zip_files({**files, "set/images/00003.jpg": b"x"})
    assert load_upload(session.document, 0, archive).frames == [int(name) for name in names]
    assert session.document.snapshot.labels(3)[HEIGHT // 2, WIDTH // 3] == 1


def test_upload_with_names_of_no_frame_is_refused(session):
    archive = zip_files({f"mask_{index}.png": png(truth(index)) for index in (3, 5)})
    with pytest.raises(InputError, match=r"are not frames of clip: 'mask_3\.png', 'mask_5\.png'"):
        load_upload(session.document, 0, archive)


@pytest.mark.parametrize("field", [{"id": 2**31 + 1}, {"name": "\ud800"}])
def test_upload_that_could_not_be_read_again_is_refused(session, folder, field, reopen):
    tree = json.loads(coco(3))
    tree["categories"][0] |= field
    for region in tree["annotations"]:
        region["category_id"] = tree["categories"][0]["id"]
    with pytest.raises(InputError, match="edit: not readable"):
        load_upload(session.document, 0, json.dumps(tree).encode())
    assert session.document.snapshot.keyframes == []
    session.close()
    reopen(folder)


def test_accepted_upload_stays_accepted_when_opened_again(session, folder, reopen):
    tree = json.loads(coco(3))
    tree["annotations"][0]["attributes"]["age"] = float("nan")
    load_upload(session.document, 0, json.dumps(tree).encode())
    session.set_status("accepted")
    assert session.document.status.value == "accepted"
    again = reopen(folder)
    assert again.document.status.value == "accepted"


@pytest.mark.parametrize("kind", WHOLE)
def test_upload_of_several_frames_is_one_step(session, kind):
    assert load_upload(session.document, 0, WHOLE[kind]).frames == [3, 5]
    assert all((session.document.snapshot.labels(index) == truth(index)).all() for index in (3, 5))
    assert session.document.snapshot.keyframes == [3, 5]
    session.undo()
    assert session.document.snapshot.keyframes == []
    assert [*session.document.snapshot.objects] == []


def test_single_image_is_for_the_shown_frame(session):
    assert load_upload(session.document, 7, png(truth(7))).frames == [7]
    colored = zip_files({"mask.png": png(COLORED[truth(8)]), "legend.json": LEGEND})
    assert load_upload(session.document, 8, colored, targets={1: 1, 2: 2}).frames == [8]
    assert (session.document.snapshot.labels(8) == truth(8)).all()


def test_binary_mask_goes_to_the_chosen_object(session):
    draw(session, 0, 1, 2)
    binary = png(255 * (truth(3) == 1))
    load_upload(session.document, 3, binary, chosen=2)
    assert ((session.document.snapshot.labels(3) == 2) == (truth(3) == 1)).all()
    with pytest.raises(UnclearObjectsError):
        load_upload(session.document, 3, binary)
    load_upload(session.document, 4, binary, targets={255: None})
    assert [*session.document.snapshot.objects] == [1, 2, 3]


def test_upload_for_another_object_is_asked_about(served):
    document = served.session.document
    draw(served.session, 0, 1, 2)
    first = png(truth(3) == 1)
    head = {"Origin": served.address, "content": first}
    assert served.get("/masks/3?chosen=1", "POST", **head).json()["frames"] == [3]
    answer = served.get("/masks/4?chosen=2", "POST", **head)
    assert (answer.status_code, answer.json()) == (409, [{"id": 1, "name": "", "target": 1}])
    assert document.snapshot.keyframes == [0, 3]
    assert served.get('/masks/4?chosen=2&targets={"1":2}', "POST", **head).json()["frames"] == [4]
    assert ((document.snapshot.labels(4) == 2) == (truth(3) == 1)).all()
    answer = served.get('/masks/4?targets={"1":9}', "POST", **head)
    assert (answer.status_code, "no such object" in answer.text) == (422, True)


def test_upload_of_other_names_is_matched_by_id_then_name(session):
    draw(session, 0, 1, 2)
    editing.change_object(session.document, 2, name="fish")
    with pytest.raises(UnclearObjectsError) as raised:
        load_upload(session.document, 0, WHOLE["colors"])
    assert [(each.name, each.target) for each in raised.value.objects] == [("car", 1), ("dog", 2)]
    content = zip_files({"fish/00003.png": png(truth(3) == 2), "tree/00003.png": png(truth(3) == 1)})
    editing.delete_object(session.document, 1)
    load_upload(session.document, 0, content, chosen=2)
    assert [(item.id, item.name) for item in session.document.snapshot.objects.values()] == [
        (2, "fish"),
        (3, "tree"),
    ]
    double = zip_files({f"{index}.json": name_shape(index, "fish") for index in (4, 5)})
    editing.change_object(session.document, 3, name="fish")
    with pytest.raises(UnclearObjectsError):
        load_upload(session.document, 0, double)


def test_upload_names_new_objects(session):
    load_upload(session.document, 0, WHOLE["colors"])
    assert [item.name for item in session.document.snapshot.objects.values()] == ["car", "dog"]


def test_folder_names_become_object_names(session):
    content = zip_files({"dog/00003.png": png(truth(3) == 2), "cat/00003.png": png(truth(3) == 1)})
    load_upload(session.document, 0, content)
    assert [item.name for item in session.document.snapshot.objects.values()] == ["cat", "dog"]
    assert (session.document.snapshot.labels(3) == truth(3)).all()


def test_labelme_files_are_matched_by_image_name(session):
    assert load_upload(session.document, 0, labelme(4)).frames == [4]
    assert load_upload(
        session.document, 0, zip_files({"b.json": labelme(6), "a.json": labelme(5)})
    ).frames == [5, 6]
    assert [item.name for item in session.document.snapshot.objects.values()] == ["box"]


def test_upload_for_missing_frames_changes_nothing(session):
    content = zip_files({f"{index:05d}.png": png(truth(3)) for index in (3, 99)})
    with pytest.raises(InputError, match="99"):
        load_upload(session.document, 0, content)
    assert session.document.snapshot.keyframes == []


def test_clients_that_leave_cause_no_traceback(served, caplog):
    host, port = served.host.split(":")
    head = f"Host: {served.host}\r\nOrigin: {served.address}\r\nCookie: {served.cookie}\r\n"
    with socket.create_connection((host, int(port))) as client:  # leaves in mid-upload
        client.sendall(f"POST /masks/0 HTTP/1.1\r\n{head}Content-Length: 1000\r\n\r\nabc".encode())
    assert served.get("/").status_code == 200
    assert [record for record in caplog.records if record.exc_info] == []


def test_undo_spares_steps_of_another_open_page(served):
    mine, other = served.open("socket?page=1"), served.open("socket?page=2")
    mine.do("outline", frame=0, object_id=None, points=square(5, 5, 10))
    other.do("outline", frame=0, object_id=None, points=square(25, 5, 10))
    assert "outline, was made in another window" in mine.do("undo")["error"]
    assert other.do("undo")["result"]["title"] == "outline"
    assert "outline, was made in another window" in mine.do("redo")["error"]
    assert mine.do("undo")["result"]["title"] == "outline"
    assert served.get("/masks/3?page=2", "POST", Origin=served.address, content=png(truth(3))).is_success
    assert "load masks, was made in another window" in mine.do("undo")["error"]
    assert other.do("undo")["result"]["title"] == "load masks"
    other.do("outline", frame=0, object_id=None, points=square(25, 5, 10))
    other.socket.close()
    wait_until(lambda: "error" not in mine.do("undo"))


def test_page_that_reconnects_keeps_its_steps(served):
    mine, other = served.open("socket?page=1"), served.open("socket?page=2")
    mine.do("outline", frame=0, object_id=None, points=square(5, 5, 10))
    again = served.open("socket?page=1")  # before the server notices that the other one is lost
    mine.socket.close()
    wait_until(lambda: len(served.session.document.listeners) == 2)
    assert "made in another window" in other.do("undo")["error"]
    again.socket.close()
    wait_until(lambda: len(served.session.document.listeners) == 1)
    last = served.open("socket?page=1")
    last.do("describe")
    assert "made in another window" in other.do("undo")["error"]
    assert last.do("undo")["result"]["title"] == "outline"


def test_statuses_that_wait_block_no_request(served):
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def wait(seconds):
        waiting.release()
        go_on.wait(60)

    served.session.runner.wait = wait
    page = served.open()
    for number in range(45):
        message = {"id": number, "do": "set_status", "status": "rejected", "outdated": "wait"}
        page.socket.send(json.dumps(message))
    for _ in range(40):
        assert waiting.acquire(timeout=60)
    try:
        assert served.get("/labels/0").status_code == 200
        assert "result" in served.open().do("describe")
    finally:
        go_on.set()


def test_default_port_stays_the_same_while_it_is_free(monkeypatch):
    with reserve_port() as port:
        monkeypatch.setattr(web, "DEFAULT_PORT", port)
        with web.bind_socket("127.0.0.1", None) as first, web.bind_socket("127.0.0.1", None) as second:
            assert first.getsockname()[1] == port
            assert second.getsockname()[1] != port


def name_shape(index, label):
    tree = json.loads(labelme(index))
    tree["shapes"][0]["label"] = label
    return json.dumps(tree).encode()


def test_assigned_ids_do_not_bind_to_objects(session):
    document = session.document
    draw(session, 0, 1, 2)
    for object_id, name in ((1, "cat"), (2, "bird")):
        editing.change_object(document, object_id, name=name)
    for index, name in ((3, "dog"), (4, "bird"), (5, "cat")):
        load_upload(document, 0, name_shape(index, name))
    assert [item.name for item in document.snapshot.objects.values()] == ["cat", "bird", "dog"]
    assert [np.unique(document.snapshot.labels(index)).tolist() for index in (3, 4, 5)] == [
        [0, 3],
        [0, 2],
        [0, 1],
    ]


def test_upload_that_arrives_twice_is_loaded_once(served, monkeypatch):
    targets, head = '{"1":null,"2":null}', {"Origin": served.address, "content": png(truth(3))}
    parsed = []
    monkeypatch.setattr(uploads, "read_upload", lambda *values: [read_upload(*values), parsed.append(1)][0])
    answers = [served.get(f"/masks/3?id={2**40}&targets={targets}", "POST", **head).json() for _ in range(2)]
    assert answers[0] == answers[1] == {"frames": [3], "losses": {}, "step": 1}
    assert parsed == [1]
    for unusable in ("x", "1"):
        assert served.get(f"/masks/3?id={unusable}", "POST", **head).status_code == 422
    assert served.get(f"/masks/3?id={2**40 + 1}&targets={targets}", "POST", **head).json()["step"] == 2


@pytest.mark.parametrize("protection", ["hidden", "locked"])
def test_upload_keeps_class_and_attributes_of_protected_objects(session, protection):
    draw(session, 0, 1, 2)
    editing.change_object(session.document, 1, **{protection: True})
    tree = json.loads(coco(3))
    for annotation in tree["annotations"]:
        annotation["attributes"]["blurred"] = True
    before = session.document.snapshot.find_object(1)
    load_upload(session.document, 0, json.dumps(tree).encode(), targets={1: 1, 2: 2})
    assert session.document.snapshot.find_object(1) == before
    assert session.document.snapshot.find_object(2).class_name == "fish"
    assert [*session.document.snapshot.state.attributes] == [2]


def test_loaded_class_gets_an_id_of_its_own(session):
    draw(session, 0, 1)
    editing.change_object(session.document, 1, class_name="dog")
    load_upload(session.document, 3, WHOLE["coco"], targets={1: None, 2: None})
    assert session.document.snapshot.state.classes == {"dog": 1, "fish": 2}
    session.export(["coco", "yolo"])
    folder = session.archive.parent
    content = json.loads((folder / "coco.json").read_text())
    assert {each["name"]: each["id"] for each in content["categories"]} == {"dog": 1, "fish": 2}
    assert (folder / "yolo" / "data.yaml").read_text().count('"dog"') == 1


def test_upload_behind_a_locked_object_makes_nothing_absent(session):
    draw(session, 0, 1, 2)
    document = session.document
    start_job(session, 0).wait()
    editing.change_object(document, 1, locked=True)
    load_upload(document, 3, png(2 * (truth(3) == 1)), targets={2: 2})
    assert document.snapshot.keyframe(3) == {}
    assert (document.snapshot.labels(3) == truth(3)).all()


@pytest.mark.parametrize("field", ["locked", "hidden"])
def test_upload_takes_no_pixels_of_a_protected_object(session, field):
    draw(session, 0, 1, 2)
    editing.change_object(session.document, 1, **{field: True})
    load_upload(session.document, 0, png(np.where(truth(0) > 0, 2, 0)), targets={2: 2})
    assert (session.document.snapshot.labels(0) == truth(0)).all()


def test_documented_program_loads_a_mask_and_names_its_class(served, tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "http.md").read_text()
    (program,) = re.findall(r"```python\n(import json.*?)```", page, re.DOTALL)
    (tmp_path / "first.png").write_bytes(png(np.where(truth(0) == 1, 1, 0)))
    monkeypatch.chdir(tmp_path)
    names = {"url": served.url}
    exec(program, names)
    assert "error" not in names["answer"]
    now = served.session.document.snapshot
    assert (now.labels(0) == (truth(0) == 1)).all()
    assert now.objects[1].class_name == "cat"


def test_drawing_sent_again_after_a_restart_is_stored_once(folder, reopen):
    messages = [
        {"id": 2**40 + 1, "do": "outline", "frame": 0, "object_id": None, "points": square(5, 5, 10)},
        {"id": 2**40 + 2, "do": "add_object"},
        {"id": 2**40 + 5, "do": "split_object", "frame": 0, "object_id": 1, "point": [7, 7]},
        {"id": 2**40 + 3, "do": "set_note", "frame": 0, "text": "ear"},
    ]
    for _ in range(2):
        served = Served(open_session(folder))
        talk = served.open()
        for _ in range(2):
            first, second, third, fourth = (talk.raw(json.dumps(message))["result"] for message in messages)
            assert first == {"object_id": 1, "losses": {}, "protected_pixels": 0}
            assert (second["object_id"], third["object_id"], fourth) == (2, 3, None)
        assert talk.do("describe")["result"]["history"][0]["title"] == "note"
        served.close()
    session = reopen(folder)
    session.undo()
    content = json.dumps(messages[3:]).encode()
    again = Served(session)
    (answer,) = again.get("/edits", "POST", Origin=again.address, content=content).json()
    assert answer["id"] == 2**40 + 3
    assert session.document.snapshot.state.notes == {}  # it stays undone
    assert len(session.document.log.entries) == 4
    session.document.shared = True  # without a name
    content = json.dumps([{**messages[1], "id": 2**40 + 4}]).encode()
    (refused,) = again.get("/edits", "POST", Origin=again.address, content=content).json()
    assert "type your name first" in refused["error"]
    again.close()


def test_edit_without_an_answer_needs_no_object(served):
    messages = [
        {"id": 2**40, "do": "add_object"},
        {"id": 2**40 + 1, "do": "delete_object", "object_id": None},
    ]
    answer = served.get("/edits", "POST", Origin=served.address, content=json.dumps(messages).encode())
    assert ["error" in message for message in answer.json()] == [False, False]


@pytest.mark.parametrize("action", ["timeline", "list_versions", "save_version"])
def test_closing_page_sends_edits_only(served, action):
    content = json.dumps([{"id": 2**40, "do": "add_object"}, {"id": 2**40 + 1, "do": action}]).encode()
    answer = served.get("/edits", "POST", Origin=served.address, content=content)
    assert (answer.status_code, answer.text[:16]) == (422, "edits: expected ")
    assert served.session.document.log.size == 0


def test_answer_waits_for_the_events_of_its_revision(session, monkeypatch):
    monkeypatch.setattr(web, "run_action", lambda *args: None)
    with ThreadPoolExecutor(1) as threads:
        with session.document.lock:  # as while a result is stored, before its event
            answer = threads.submit(asyncio.run, web.answer_message(session, {"id": 1}, Actor("Ann")))
            with pytest.raises(FutureTimeout):
                answer.result(0.3)
        assert answer.result(60).revision == session.document.revision


def test_edits_sent_again_have_the_same_answer(served):
    draw(served.session, 0, 1)
    start_job(served.session, 0).wait()
    talk = served.open()
    for number, name in enumerate(("drop_results", "toggle_checked", "clear")):
        fields = {"object_id": 1} if name == "clear" else {}
        message = json.dumps({"id": 2**40 + number, "do": name, "frame": 5 - number, **fields})
        first, again = talk.raw(message), talk.raw(message)
        assert "error" not in first
        assert first["result"] == again["result"]
