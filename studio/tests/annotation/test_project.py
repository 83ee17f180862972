"""Projects belong to one video, survive changes by other hands, and are rejected in one sentence otherwise."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio import annotate as cli
from aotlab_studio.project import editing
from aotlab_studio.project.folder import FORMAT_VERSION, PROJECT_FILE, compute_fingerprint, locate_project
from aotlab_studio.project.label_store import Note, encode_png
from aotlab_studio.project.state import State
from aotlab_studio.server.actions import run_action
from aotlab_studio.tracking.planning import TrackRequest
from studio.tests.annotation.clips import (
    LENGTH,
    draw,
    draw_folder,
    open_session,
    truth,
    wait_until,
    write_video,
)
from tests.limits import make_pipe


def test_videos_of_one_stem_have_a_project_each(tmp_path):
    write_video(tmp_path / "take.mp4")
    shutil.copy(tmp_path / "take.mp4", tmp_path / "take.mov")
    draw_folder(tmp_path / "take")
    shown = []
    for name in ("take.mp4", "take.mov", "take"):
        session = open_session(tmp_path / name)
        shown.append(session.state.labels(0).any())
        draw(session, 0, 1)
        session.close()
    assert shown == [False, False, False]
    assert sorted(path.name for path in tmp_path.glob("*.aotlab")) == [
        "take.aotlab", "take.mov.aotlab", "take.mp4.aotlab",
    ]  # fmt: skip


def test_changed_video_needs_same_video(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    first.close()
    image = folder / "00011.png"
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(image)
    with pytest.raises(InputError, match=r"content differs.*for the project.*confirm that the masks fit"):
        open_session(folder)
    again = open_session(folder, same_video=True)
    assert again.state.labels(0).any()
    again.close()
    open_session(folder).close()


def test_fingerprint_changes_with_any_image(folder):
    before, image = compute_fingerprint(folder), folder / "00011.png"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 1
    image.write_bytes(content)
    after = compute_fingerprint(folder)
    assert after["bytes"] == before["bytes"]
    assert after != before


def test_project_of_an_early_name_opens_for_its_video_only(tmp_path):
    write_video(tmp_path / "take.mp4")
    shutil.copy(tmp_path / "take.mp4", tmp_path / "take.mov")
    first = open_session(tmp_path / "take.mp4", project=tmp_path / "take.aotlab")
    draw(first, 0, 1)
    first.close()
    file = tmp_path / "take.aotlab" / PROJECT_FILE
    stored = json.loads(file.read_text())
    del stored["video"]["source"]  # as projects were at first
    file.write_text(json.dumps(stored))
    for name, there in (("take.mp4", True), ("take.mov", False)):
        session = open_session(tmp_path / name)
        assert session.state.labels(0).any() == there
        session.close()
    with pytest.raises(InputError, match="made for another video"):
        open_session(tmp_path / "take.mov", project=tmp_path / "take.aotlab")


def test_command_refuses_a_changed_video(folder, monkeypatch):
    session = open_session(folder)
    draw(session, 0, 1)
    session.close()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(folder / "00000.png")
    monkeypatch.setattr("aotlab_studio.tracking.models.TrackerLoader.__call__", lambda self: None)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_on_socket", lambda self: None)
    assert cli.main([str(folder), "--no-browser"]) == 2
    assert cli.main([str(folder), "--no-browser", "--same-video"]) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_earlier_version_is_read_and_written_as_newest(folder, version):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    first.close()
    file = folder.parent / "clip.aotlab" / PROJECT_FILE
    stored = json.loads(file.read_text())
    stored["version"] = version
    for item in stored["objects"]["items"]:
        item["colour"] = item.pop("color")
        if version == 1:
            item["number"] = item.pop("id")
    file.write_text(json.dumps(stored))
    again = open_session(folder)
    assert again.state.objects.ids == (1, 2)
    assert (again.state.labels(0) == truth(0)).all()
    editing.change_object(again.state, 2, {"name": "box"})
    again.close()
    stored = json.loads(file.read_text())
    assert stored["version"] == FORMAT_VERSION
    assert [item["id"] for item in stored["objects"]["items"]] == [1, 2]


def test_project_with_a_merged_object_is_reopened(folder):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    editing.merge_objects(first.state, 2, 1)
    first.close()
    again = open_session(folder)
    assert again.state.objects.ids == (1,)
    assert ((again.state.labels(0) == 1) == (truth(0) > 0)).all()
    again.close()


def test_reopened_project_holds_everything(folder):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    first.track(TrackRequest(0)).wait()
    editing.clear(first.state, 7, 2)
    editing.change_object(first.state, 2, {"name": "box", "hidden": True})
    session_scores = first.state.scores(5)
    first.close()
    for path in (folder, folder.parent / "clip.aotlab"):
        again = open_session(path)
        assert again.state.objects.get(2).name == "box"
        assert again.state.objects.get(2).hidden
        assert (again.state.labels(5) == truth(5)).all()
        assert (again.state.labels(7) == np.where(truth(7) == 1, 1, 0)).all()
        assert again.state.list_described(7) == {2}
        assert again.state.scores(5) == session_scores
        assert len(again.state.tracked_frames) == LENGTH - 1
        again.close()


def test_project_moves_with_its_video(folder, tmp_path):
    first = open_session(folder)
    draw(first, 0, 1)
    first.close()
    target = tmp_path / "elsewhere"
    target.mkdir()
    folder.rename(target / "clip")
    (tmp_path / "clip.aotlab").rename(target / "clip.aotlab")
    again = open_session(target / "clip.aotlab")
    assert (again.state.labels(0) == (truth(0) == 1)).all()
    again.close()


def test_project_in_use_or_of_another_video_rejected(folder, session, tmp_path):
    editing.add_object(session.state)
    with pytest.raises(InputError, match="in use by another program"):
        open_session(folder)
    session.close()
    (folder / "00011.png").unlink()
    with pytest.raises(InputError, match="frames 12, this one has 11"):
        open_session(folder)


def test_missing_video_of_a_project_is_named(folder, tmp_path):
    first = open_session(folder)
    editing.add_object(first.state)
    first.close()
    folder.rename(tmp_path / "other")
    with pytest.raises(InputError, match="its video clip is missing"):
        open_session(tmp_path / "clip.aotlab")


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


def test_replaced_fields_of_a_project_are_read_or_rejected(video, project):
    text = (project / PROJECT_FILE).read_text()
    assert look(video)
    for path in parts(json.loads(text)):
        for value in VALUES:
            tree = json.loads(text)
            parent = tree
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = value
            (project / PROJECT_FILE).write_text(json.dumps(tree))
            look(video)
            with suppress(InputError):
                locate_project(project)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000])
def test_invalid_project_file_rejected(video, project, content):
    (project / PROJECT_FILE).write_bytes(content)
    assert not look(video)


def test_damaged_or_strange_masks_do_no_harm(video, project):
    path = project / "given" / "000000.png"
    content = path.read_bytes()
    ids = np.zeros(SIZE, np.uint16)
    wrong = [content[: len(content) * tenth // 10] for tenth in range(10)]
    wrong += [
        encode_png(ids, 5),
        encode_png(ids, {"described": [None]}),
        encode_png(ids[:5], Note()),
        b"GIF89a",
    ]
    for each in wrong:
        path.write_bytes(each)
        assert look(video)
    for name in ("0.png", "1.png", "000009.png", "9" * 30 + ".png", "\u0661.png", "000002.png"):
        (project / "given" / name).write_bytes(content)
    (project / "tracked").mkdir()
    (project / "tracked" / "000001.png").mkdir()
    make_pipe(project / "tracked" / "000002.png")
    assert look(video)


@pytest.mark.parametrize("damage", ["cut off", "another size"])
def test_damaged_mask_is_named_and_set_aside(video, project, caplog, damage):
    path = project / "given" / "000000.png"
    content = path.read_bytes()
    content = content[:-30] if damage == "cut off" else encode_png(np.ones((5, 7), np.uint16), Note())
    path.write_bytes(content)
    state = State(video)
    assert f"{path}: damaged, or not of the video's size 32×24; kept as 000000.png.damaged" in caplog.text
    state.set_keyframe(0, np.ones(SIZE, np.uint16), [1])
    state.close()
    assert path.with_name("000000.png.damaged").read_bytes() == content


@pytest.mark.parametrize("name", [".lock", "given", "tracked", "export"])
def test_links_in_a_project_rejected(video, project, tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("kept")
    if name == "given":
        (project / name).rename(project / "old")
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(mine)
    assert not look(video)
    assert mine.read_text() == "kept"


def test_undo_and_redo_survive_a_restart(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    editing.clear(first.state, 3, 1)
    first.undo()
    first.close()
    session = open_session(folder)
    assert session.state.history.titles == ("drawn", "not here")
    session.redo()
    assert session.state.keyframes == [0, 3]
    for _ in range(3):
        session.undo()
    assert session.state.history.titles == (None, "new object")
    assert not session.state.labels(0).any()
    session.close()


def test_history_of_other_masks_is_dropped(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    first.close()
    (first.state.project.folder / "given" / "000000.png").unlink()
    session = open_session(folder)
    assert session.state.history.titles == (None, None)
    assert not list((session.state.project.folder / "history").iterdir())
    session.close()


def test_propagated_correction_is_undone_after_a_restart(folder, monkeypatch):
    monkeypatch.setattr("aotlab_studio.tracking.jobs.PROPAGATION_DELAY", 0.01)
    first = open_session(folder)
    draw(first, 0, 1)
    first.track(TrackRequest(0)).wait()
    before = [first.state.labels(index) for index in range(LENGTH)]
    stroke = {"do": "paint", "frame": 6, "object_id": 1, "points": [[50, 20]], "radius": 3, "propagate": True}
    run_action(first, stroke)
    wait_until(lambda: first.job.extends is not None and not first.job.alive)
    assert first.job.done
    first.close()
    session = open_session(folder)
    assert session.undo().title == "brush"
    assert all((session.state.labels(index) == before[index]).all() for index in range(LENGTH))
    session.close()


def test_damaged_history_is_dropped(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    first.close()
    history = first.state.project.folder / "history"
    *_, last = sorted(history.iterdir())
    last.write_bytes(last.read_bytes()[:-5])
    (history / "0.part").write_bytes(b"of a killed program")
    session = open_session(folder)
    assert session.state.history.titles == (None, None)
    assert not list(history.iterdir())
    assert (session.state.labels(0) == np.where(truth(0) == 1, 1, 0)).all()
    session.close()


def test_failed_step_leaves_no_file(session):
    draw(session, 0, 1)
    history = session.state.project.folder / "history"
    before = sorted(history.iterdir())

    def fail():
        with session.state.step("broken") as changes:
            changes.append(session.state.set_keyframe(0, truth(1), [1]))
            raise InputError("disk: full; free space")

    with pytest.raises(InputError, match="full"):
        fail()
    assert sorted(history.iterdir()) == before
    assert (session.state.labels(0) == np.where(truth(0) == 1, 1, 0)).all()
