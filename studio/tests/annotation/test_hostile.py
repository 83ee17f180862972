"""Projects that somebody changed: they open with what can be read, or are refused in one sentence."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio.project import editing
from aotlab_studio.project.folder import FILE, locate
from aotlab_studio.project.label_store import encode
from aotlab_studio.project.objects import ObjectList
from aotlab_studio.project.state import State

SIZE = (24, 32)
VALUES = [None, 5, -1, 10**400, "x", True, [], ["x"], {}, {"x": 10**12}, {"1": -5}, "../x", 2.5]


@pytest.fixture
def video(tmp_path):
    """A folder of three frames."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", SIZE[::-1], (40, 90, index)).save(folder / f"{index:05d}.png")
    return folder


@pytest.fixture
def project(video, tmp_path):
    """A project of it with an object that is given on frame 0."""
    state = State(video)
    editing.add_object(state, "fish")
    labels = np.zeros(SIZE, np.uint16)
    labels[4:10, 4:10] = 1
    state.set_keyframe(0, labels, [1])
    state.close()
    return tmp_path / "clip.aotlab"


def look(video):
    """Everything that a page asks for at once; False where the project is refused."""
    try:
        state = State(video)
    except InputError:
        return False
    try:
        for index in range(3):
            try:
                state.labels(index)
            except InputError:
                continue
        assert all(index < 3 for index in [*state.keyframes, *state.tracked_frames])
        assert all(state.scores(index) is not None for index in range(3))
    finally:
        state.close()
    return True


def parts(tree, path=()):
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from parts(tree[key], (*path, key))


def test_any_field_of_a_project_may_be_anything(video, project):
    text = (project / FILE).read_text()
    assert look(video)
    for path in parts(json.loads(text)):
        for value in VALUES:
            tree = json.loads(text)
            parent = tree
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = value
            (project / FILE).write_text(json.dumps(tree))
            look(video)
            with suppress(InputError):
                locate(project)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000])
def test_a_project_that_is_none_is_refused(video, project, content):
    (project / FILE).write_bytes(content)
    assert not look(video)


def test_masks_that_are_damaged_or_strange_end_nothing(video, project):
    path = project / "given" / "000000.png"
    content = path.read_bytes()
    ids = np.zeros(SIZE, np.uint16)
    notes = [{"described": 5}, {"described": [None]}, {"scores": {"1": [10**400] * 5, "x": 1}}, {"scores": 5}]
    wrong = [content[: len(content) * tenth // 10] for tenth in range(10)]
    wrong += [encode(ids, note) for note in notes] + [encode(ids[:5], {}), b"GIF89a"]
    for each in wrong:
        path.write_bytes(each)
        assert look(video)
    for name in ("0.png", "1.png", "000009.png", "9" * 30 + ".png", "\u0661.png", "000002.png"):
        (project / "given" / name).write_bytes(content)
    (project / "tracked").mkdir()
    (project / "tracked" / "000001.png").mkdir()
    os.mkfifo(project / "tracked" / "000002.png")
    assert look(video)


@pytest.mark.parametrize("damage", ["cut off", "another size"])
def test_a_damaged_mask_is_named_and_kept_aside(video, project, caplog, damage):
    path = project / "given" / "000000.png"
    content = path.read_bytes()
    content = content[:-30] if damage == "cut off" else encode(np.ones((5, 7), np.uint16), {})
    path.write_bytes(content)
    state = State(video)
    assert f"{path}: damaged, or not of the video's size 32×24; kept as 000000.png.damaged" in caplog.text
    state.set_keyframe(0, np.ones(SIZE, np.uint16), [1])
    state.close()
    assert path.with_name("000000.png.damaged").read_bytes() == content


@pytest.mark.parametrize("name", [".lock", "given", "tracked", "export"])
def test_links_lead_nothing_out_of_the_project(video, project, tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("kept")
    if name == "given":
        (project / name).rename(project / "old")
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(mine)
    assert not look(video)
    assert mine.read_text() == "kept"


@pytest.mark.parametrize(
    "change",
    [
        {"last": 10**12}, {"renamed": {"1": 10**12}}, {"renamed": {"-1": 1}}, {"renamed": []},
        {"items": [{"id": 1}]},
        {"items": [{"id": 1, "name": "a", "colour": "red"}]},
        {"items": [{"id": 70000, "name": "a", "colour": "#ffffff"}]},
    ],
)  # fmt: skip
def test_objects_that_cannot_be_are_refused_and_change_nothing(change):
    table = ObjectList()
    table.add("fish")
    before = table.snapshot()
    with pytest.raises(InputError, match="not a usable list of objects"):
        table.restore(json.dumps(json.loads(before) | change).encode())
    assert table.snapshot() == before
