"""HTML review of a list of videos: what it says about each video, and their order."""

import json
import re

import pytest

from aotlab_studio.review.batch import render_page, write_batch_review


def entry(name, lost=(), check=(), label="", status="check", frames=20):
    """A job's entry, with one object."""
    objects = [
        {"id": 1, "class_name": label, "lost_on": list(lost)},
        {"id": 2, "class_name": "", "lost_on": []},
    ]
    checks = [{"frame": frame, "object_id": number, "reason": reason} for frame, number, reason in check]
    return {
        "name": name, "status": status, "frames": frames, "objects": 2, "error": "",
        "notes": {"objects": objects, "check": checks}, "rate": "10",
    }  # fmt: skip


def listed(text):
    return re.findall(r"<li>([^<]*)", text)


def test_frame_is_listed_once_with_class_names(tmp_path):
    check = [(6, 1, "lost"), (8, 1, "jump"), (8, 2, "unsure"), (8, 1, "area"), (3, 2, "unsure")]
    text = render_page(tmp_path, [entry("a", lost=[(2, 6)], check=check, label="<cell>")])
    assert listed(text) == [
        "object 1 (&lt;cell&gt;) is lost from frame 2 to 6 (at 0.2 s)",
        "frame 8: object 1 (&lt;cell&gt;) moves far at once, changes its size at once; object 2 is unsure",
        "frame 3: object 2 is unsure",
    ]


def test_videos_are_sorted_by_longest_loss(tmp_path):
    entries = [
        entry("fine", status="done"),
        entry("short", lost=[(0, 4)]),
        entry("long", lost=[(0, 4), (8, 19)]),
        entry("unsure", check=[(1, 1, "unsure")]),
    ]
    names = re.findall(r"<td>(\w+)<a", render_page(tmp_path, entries))
    assert names == ["long", "short", "unsure", "fine"]


def test_only_worst_frames_are_listed(tmp_path):
    text = render_page(tmp_path, [entry("a", check=[(frame, 1, "unsure") for frame in range(11)])])
    assert listed(text)[0] == "frame 0: object 1 is unsure"
    assert listed(text)[-1] == "and 3 more frames, in review.json"
    assert len(listed(text)) == 9


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "5", "null", "[" * 100000, '{"objects": [{"id": "<b>", "lost_on": []}], "check": []}',
        '{"objects": 5}', None,
    ],
)  # fmt: skip
def test_changed_or_missing_review_of_a_video_is_empty(tmp_path, content):
    (tmp_path / "a").mkdir()
    if content is not None:
        (tmp_path / "a" / "review.json").write_text(content)
    write_batch_review(tmp_path, [{"name": "a", "status": "done", "frames": 3, "video": "\udcff.mp4"}])
    assert "<b>" not in (tmp_path / "review.html").read_text()
    assert json.loads((tmp_path / "review.json").read_text())[0]["objects"] == 0


def test_waiting_and_failed_videos_are_listed(tmp_path):
    records = [
        {"name": "w", "status": "waiting"},
        {"name": "f", "status": "failed", "frames": 0, "error": "x < y"},
    ]
    write_batch_review(tmp_path, records)
    page = (tmp_path / "review.html").read_text()
    assert "1 failed, 1 waiting" in page
    assert "x &lt; y" in page
