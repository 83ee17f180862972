"""Messages and uploads that are none, too large or hostile: one sentence each, and nothing changes."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from aotlab_studio.server import app as web
from studio.tests.annotation.clips import packed, png, truth
from studio.tests.annotation.test_editing import draw


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
        ({"do": "track", "frame": 0, "object_ids": [1, "2"]}, "object_ids"),
        ({"do": "track", "frame": 3}, "no mask to track"),
        ({"do": "track", "frame": 0, "direction": "../up"}, "direction"),
        ({"do": "pause"}, "nothing is being tracked"),
        ({"do": "stop"}, "nothing is being tracked"),
        ({"do": "export", "names": ["../../etc/passwd"]}, "give some of"),
        ({"do": "export", "names": [1]}, "names"),
        ({"do": "change_object", "object_id": 1, "changes": {"locked": 1}}, "locked"),
        ({"do": "add_object", "name": "<img src=x>\n"}, "name"),
        ({"do": "add_object", "name": ["x"]}, "name"),
        ({"do": "drop_results", "frame": 99}, "no frame 99"),
        ({"do": "drop_results", "frame": 0, "last": "x"}, "last"),
        ({"do": "drop_results", "frame": 0, "object_ids": [9]}, "no such object"),
        ({"do": "change_object", "object_id": 1, "changes": {"name": ""}}, "name"),
        ({"do": "change_object", "object_id": 1, "changes": {"name": "x" * 61}}, "name"),
        ({"do": "change_object", "object_id": 1, "changes": {"colour": "red"}}, "#rrggbb"),
        ({"do": "split_object", "frame": 0, "object_id": 1, "point": [1]}, "point"),
    ],
)  # fmt: skip
def test_a_hostile_message_is_answered_by_one_sentence_and_changes_nothing(served, message, words):
    draw(served.session, 0, 1)
    before = served.session.state.labels(0).copy()
    talk = served.open()
    answer = talk.raw(json.dumps({"id": 7, **message}))
    assert answer["id"] == 7
    assert words in answer["error"]
    assert (served.session.state.labels(0) == before).all()
    assert talk.do("describe")["result"]["objects"][0]["name"] == "object 1"


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "3", "null", r'{"do":"\ud800"}', '{"id": {}}', '{"id":' + "9" * 30 + "}", "[" * 5000,
     '{"id":1,"do":"paint","frame":1e999}'],
)  # fmt: skip
def test_what_is_no_message_is_answered_and_the_page_stays_connected(served, text):
    talk = served.open()
    assert "error" in talk.raw(text)
    assert "result" in talk.do("describe")


def test_a_huge_message_ends_the_connection_and_nothing_else(served):
    talk = served.open()
    with pytest.raises(ConnectionClosed):
        talk.raw("x" * (web.MESSAGE_BYTES + 10))
    assert "result" in served.open().do("describe")


def test_bytes_instead_of_text_end_the_connection_and_nothing_else(served):
    talk = served.open()
    talk.socket.send(b"\x00\x01")
    with pytest.raises(ConnectionClosed):
        talk.socket.recv(timeout=5)
    assert "result" in served.open().do("describe")


BROKEN_LZMA = packed({"a.png": b"x" * 99}, zipfile.ZIP_LZMA).replace(b"\x80\0\0<", b"\x80\0\0\xc3")


def post(served, content, frame=0):
    return served.get(f"/masks/{frame}", "POST", Origin=served.address, content=content)


def test_a_mask_is_uploaded_for_the_frame_in_view(served):
    assert post(served, png(truth(2)), 2).json() == {"frames": [2]}
    assert (served.session.state.labels(2) == truth(2)).all()


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", png(truth(0))[:60], png(np.ones((4, 4))), b"GIF89a" + b"\0" * 99, png(np.zeros((40, 60, 3))),
     png(np.zeros((40, 60))), b"{", b"[" * 5000, b'{"images": 1, "annotations": []}', b"<", b"<annotations/>",
     b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>', b"PK\3\4broken",
     packed({}), packed({"note.md": b"x"}), BROKEN_LZMA, packed({"1/00000.png": b"x", "2/00000.png": b"x"})],
)  # fmt: skip
def test_a_broken_upload_is_refused_by_one_sentence_without_a_path(served, content):
    answer = post(served, content)
    assert answer.status_code == 422
    assert answer.text.startswith("mask")
    assert "\n" not in answer.text
    assert "/tmp" not in answer.text
    assert "root:" not in answer.text
    assert not served.session.state.labels(0).any()


def test_no_name_in_an_archive_becomes_a_path(served, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    names = ["../../escaped.png", f"{tmp_path}/escaped.png", "..\\escaped.png", "a/../../escaped/00001.png"]
    for name in names:
        post(served, packed({name: png(truth(0)), f"x{name}": png(truth(0))}))
    assert [path.name for path in tmp_path.rglob("*") if "escaped" in path.name] == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_is_refused(served, monkeypatch):
    monkeypatch.setattr("aotlab_studio.server.uploads.MAX_UNPACKED_BYTES", 1000)
    answer = post(served, packed({"00000.png": b"\0" * 2000}))
    assert (answer.status_code, "split it" in answer.text) == (422, True)


def test_a_huge_upload_is_refused(served, monkeypatch):
    monkeypatch.setattr(web, "UPLOAD_BYTES", 1000)
    assert post(served, b"x" * 2000).status_code == 413
