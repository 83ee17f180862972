"""The page about many jobs: what it says of each video, in which order."""

import re

from aotlab.engine.jobs.reviews import page


def entry(name, lost=(), check=(), label="", status="check", frames=20):
    """A job's entry, with one object."""
    objects = [
        {"id": 1, "class_name": label, "lost_on": list(lost)},
        {"id": 2, "class_name": "", "lost_on": []},
    ]
    checks = [{"frame": frame, "object_id": number, "reason": reason} for frame, number, reason in check]
    return {
        "name": name, "status": status, "frames": frames, "objects": 2, "error": "",
        "notes": {"objects": objects, "check": checks}, "record": {"rate": "10"},
    }  # fmt: skip


def listed(text):
    return re.findall(r"<li>([^<]*)", text)


def test_a_frame_is_named_once_and_objects_by_their_class(tmp_path):
    check = [(6, 1, "lost"), (8, 1, "jump"), (8, 2, "unsure"), (8, 1, "area"), (3, 2, "unsure")]
    text = page(tmp_path, [entry("a", lost=[(2, 6)], check=check, label="<cell>")])
    assert listed(text) == [
        "object 1 (&lt;cell&gt;) is lost from frame 2 to 6 (at 0.2 s)",
        "frame 8: object 1 (&lt;cell&gt;) moves far at once, changes its size at once; object 2 is unsure",
        "frame 3: object 2 is unsure",
    ]


def test_videos_with_the_longest_loss_come_first_and_finished_ones_last(tmp_path):
    entries = [
        entry("fine", status="done"),
        entry("short", lost=[(0, 4)]),
        entry("long", lost=[(0, 4), (8, 19)]),
        entry("unsure", check=[(1, 1, "unsure")]),
    ]
    names = re.findall(r"<td>(\w+)<a", page(tmp_path, entries))
    assert names == ["long", "short", "unsure", "fine"]


def test_of_many_frames_to_check_the_worst_are_told(tmp_path):
    text = page(tmp_path, [entry("a", check=[(frame, 1, "unsure") for frame in range(11)])])
    assert listed(text)[0] == "frame 0: object 1 is unsure"
    assert listed(text)[-1] == "and 3 more frames, in review.json"
    assert len(listed(text)) == 9
