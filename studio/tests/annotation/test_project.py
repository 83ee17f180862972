"""Projects belong to one video, survive changes by other hands, and are rejected in one sentence otherwise."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing, suppress

import msgspec
import numpy as np
import pytest
from PIL import Image

from aotlab import InputError
from aotlab_studio import annotate as cli
from aotlab_studio.document import editing
from aotlab_studio.document.document import Actor
from aotlab_studio.document.folder import (
    LOG_FILE,
    PROJECT_FILE,
    compute_fingerprint,
    locate_project,
    recover_project,
)
from aotlab_studio.document.log import Layer, Log, State, StatusRecord, VersionRecord
from aotlab_studio.document.masks import LayerFile, LayerStore, Result, encode_png
from aotlab_studio.document.results import open_document
from aotlab_studio.document.scores import Score
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.lock import LEASE
from aotlab_studio.server.actions import run_action, strips
from studio.tests.annotation.clips import (
    LENGTH,
    draw,
    draw_folder,
    open_session,
    set_mask,
    square,
    start_job,
    truth,
    wait_until,
    write_video,
)


def test_videos_of_one_stem_have_a_project_each(tmp_path):
    write_video(tmp_path / "take.mp4")
    shutil.copy(tmp_path / "take.mp4", tmp_path / "take.mov")
    draw_folder(tmp_path / "take")
    shown = []
    for name in ("take.mp4", "take.mov", "take"):
        session = open_session(tmp_path / name)
        shown.append(session.document.snapshot.labels(0).any())
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
    with pytest.raises(
        InputError, match=r"content differs.*rename the project.*move it away.*confirm that the masks fit"
    ):
        open_session(folder)
    again = open_session(folder, same_video=True)
    assert again.document.snapshot.labels(0).any()
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


def test_command_refuses_a_changed_video(folder, monkeypatch):
    session = open_session(folder)
    draw(session, 0, 1)
    session.close()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(folder / "00000.png")
    monkeypatch.setattr("aotlab_studio.tracking.models.TrackerLoader.__call__", lambda self: None)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_on_socket", lambda self: None)
    assert cli.main([str(folder), "--no-browser"]) == 2
    assert cli.main([str(folder), "--no-browser", "--same-video"]) == 0


def test_project_of_another_version_rejected(folder):
    project = folder.parent / "clip.aotlab"
    project.mkdir()
    (project / PROJECT_FILE).write_text(json.dumps({"version": 4, "video": {}, "objects": {}}))
    with pytest.raises(
        InputError, match=r"project.json: version 4; this program reads 5; move its folder away$"
    ):
        open_session(folder)


def test_project_with_a_merged_object_is_reopened(folder):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    editing.merge_objects(first.document, 2, 1)
    first.close()
    again = open_session(folder)
    assert again.document.snapshot.objects.ids == (1,)
    assert ((again.document.snapshot.labels(0) == 1) == (truth(0) > 0)).all()
    again.close()


def test_reopened_project_holds_everything(folder):
    first = open_session(folder)
    draw(first, 0, 1, 2)
    start_job(first, 0).wait()
    editing.clear(first.document, 7, 2)
    editing.change_object(first.document, 2, name="box", hidden=True)
    session_scores = first.document.snapshot.scores(5)
    first.close()
    for path in (folder, folder.parent / "clip.aotlab"):
        again = open_session(path)
        assert again.document.snapshot.objects.get(2).name == "box"
        assert again.document.snapshot.objects.get(2).hidden
        assert (again.document.snapshot.labels(5) == truth(5)).all()
        assert (again.document.snapshot.labels(7) == np.where(truth(7) == 1, 1, 0)).all()
        assert set(again.document.snapshot.keyframe(7)) == {2}
        assert again.document.snapshot.scores(5) == session_scores
        assert len(again.document.snapshot.tracked_frames) == LENGTH - 1
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
    assert (again.document.snapshot.labels(0) == (truth(0) == 1)).all()
    again.close()


def test_project_in_use_or_of_another_video_rejected(folder, session, tmp_path):
    editing.add_object(session.document)
    with pytest.raises(InputError, match="in use by another program"):
        open_session(folder)
    session.close()
    (folder / "00011.png").unlink()
    with pytest.raises(InputError, match="frames 12, this one has 11"):
        open_session(folder)


def test_missing_video_of_a_project_is_named(folder, tmp_path):
    first = open_session(folder)
    editing.add_object(first.document)
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
    document = open_document(video)
    editing.add_object(document, "fish")
    mask = np.zeros(SIZE, bool)
    mask[4:10, 4:10] = True
    set_mask(document, 0, 1, mask)
    document.close()
    return tmp_path / "clip.aotlab"


def look(video):
    """Everything that a page asks for at once; False where the project is refused."""
    try:
        document = open_document(video)
    except InputError:
        return False
    try:
        for index in range(3):
            try:
                document.snapshot.labels(index)
            except InputError:
                continue
        assert all(index < 3 for index in [*document.snapshot.keyframes, *document.snapshot.tracked_frames])
        assert all(document.snapshot.scores(index) is not None for index in range(3))
        document.snapshot.list_outdated()
        assert document.status.value == "in progress"
    finally:
        document.close()
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


def test_replaced_fields_of_the_log_are_read_or_rejected(video, project):
    file = project / LOG_FILE
    lines = file.read_text().splitlines()
    assert look(video)
    for number, line in enumerate(lines):
        for path in parts(json.loads(line)):
            for value in VALUES:
                parent = tree = json.loads(line)
                for key in path[:-1]:
                    parent = parent[key]
                parent[path[-1]] = value
                file.write_text("\n".join([*lines[:number], json.dumps(tree), *lines[number + 1 :]]) + "\n")
                with suppress(AssertionError):  # another status
                    look(video)


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff", b"[" * 100_000, b'{"type":"head","head":9}'])
def test_damaged_line_of_the_log_is_named(video, project, line):
    file = project / LOG_FILE
    content = file.read_bytes()
    file.write_bytes(line + b"\n" + content)
    with pytest.raises(InputError, match=r"log.jsonl: line 1 is damaged \(.*\); repair it with .* --recover"):
        open_document(video)


def test_damaged_log_is_repaired_from_its_backup(video, project):
    file = project / LOG_FILE
    intact = file.read_bytes()
    assert (project / "log.jsonl.bak").read_bytes() == intact
    document = open_document(video)
    editing.set_note(document, 1, "later")
    document.folder_lock.release()  # killed: no new backup
    content = file.read_bytes()
    file.write_bytes(b"X" + content[1:])
    sentence = recover_project(project)
    assert sentence.endswith("log.jsonl: repaired; no line lost; log.jsonl.damaged-1 is the old file")
    assert file.read_bytes() == content
    assert (project / "log.jsonl.damaged-1").read_bytes() == b"X" + content[1:]
    assert look(video)


def test_damaged_log_without_backup_loses_the_lines_after(video, project, capsys, monkeypatch):
    monkeypatch.setattr("aotlab_studio.tracking.models.TrackerLoader.__call__", lambda self: None)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_on_socket", lambda self: None)
    with closing(open_document(video)) as document:
        for frame in (1, 2):
            editing.set_note(document, frame, "later")
    file = project / LOG_FILE
    damage(project, -2)
    assert cli.main([str(project), "--recover", "--no-browser"]) == 0
    assert "log.jsonl: repaired; the last 2 lines lost; log.jsonl.damaged-1 is" in capsys.readouterr().out
    with closing(open_document(video)) as again:
        assert again.snapshot.notes == {}
        assert again.snapshot.labels(0).any()
    assert recover_project(project) == f"{file}: is not damaged"


def damage(project, number, content=b"X"):
    """Replace the first bytes of a line of the log, and remove its backup."""
    (project / "log.jsonl.bak").unlink(missing_ok=True)
    lines = (project / LOG_FILE).read_bytes().splitlines(keepends=True)
    lines[number] = content + lines[number][len(content) :]
    (project / LOG_FILE).write_bytes(b"".join(lines))
    return lines[number]


HISTORY = ["a", "b", "undo", "c", "status", "d", "undo", "undo", "redo", "version", "e", "f", "undo"]


@pytest.mark.parametrize("lost", range(len(HISTORY)))
@pytest.mark.parametrize("closed", [True, False])
def test_each_damaged_line_is_restored_from_the_backup(video, project, lost, closed):
    document = open_document(video)
    for frame, step in enumerate(HISTORY):
        if step in ("undo", "redo"):
            getattr(document, step)()
        elif step == "status":
            document.set_status("accepted", "")
        elif step == "version":
            document.save_version("kept")
        else:
            editing.set_note(document, frame % 3, step)
        if step == "version" and not closed:
            document.log.back_up()
    content = document.log.path.read_bytes()
    start = content.count(b"\n") - len(HISTORY)
    (document.close if closed else document.folder_lock.release)()
    lines = content.splitlines(keepends=True)
    lines[start + lost] = b"X" + lines[start + lost][1:]
    document.log.path.write_bytes(b"".join(lines))
    backed_up = closed or lost <= HISTORY.index("version")
    count = 0 if backed_up else len(HISTORY) - lost
    words = "no line" if not count else "1 line" if count == 1 else f"the last {count} lines"
    assert f"repaired; {words} lost" in recover_project(project)
    repaired = document.log.path.read_bytes()
    assert repaired == (content if backed_up else b"".join(lines[: start + lost]))
    with closing(open_document(video)) as again:
        assert again.snapshot.labels(0).any()


def test_repairs_keep_every_damaged_log(video, project):
    for number in (1, 2):
        damage(project, 1, b"%d" % number)
        recover_project(project)
        with closing(open_document(video)) as document:
            editing.set_note(document, 0, f"note {number}")
    copies = sorted(project.glob("log.jsonl.damaged-*"))
    assert [path.read_bytes().splitlines()[1][:1] for path in copies] == [b"1", b"2"]


@pytest.mark.parametrize("content", [b"", b'{"version": 5, "id": 7}'])
def test_deleted_header_is_made_again(video, project, content):
    header = project / PROJECT_FILE
    header.write_bytes(content)
    for path in (video, project):
        with pytest.raises(InputError, match=r"project\.json: damaged \(.*; delete it and open the video"):
            open_document(path)
    header.unlink()
    assert look(video)


def test_project_of_another_version_is_not_repaired(video, project):
    content = (project / PROJECT_FILE).read_bytes().replace(b'"version": 5', b'"version": 4')
    (project / PROJECT_FILE).write_bytes(content)
    with pytest.raises(InputError, match="version 4; this program reads 5"):
        recover_project(project)
    assert (project / PROJECT_FILE).read_bytes() == content


def test_recovery_without_a_project_rejected(video):
    with pytest.raises(
        InputError, match=r"clip\.aotlab: not a project with edits; give the project to repair"
    ):
        recover_project(video)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        encode_png(np.zeros(SIZE, bool))[:-9],
        encode_png(np.ones(SIZE, bool)),
        encode_png(np.ones((5, 7), bool)),
        b"GIF89a",
    ],
)
def test_damaged_mask_is_named_and_never_shown(folder, content):
    session = open_session(folder)
    draw(session, 0, 1, 2)
    draw(session, 4, 1, 2)
    start_job(session, 0).wait()
    session.document.set_status("accepted", "")
    path = session.document.masks.locate(session.document.snapshot.keyframe(4)[1])
    kept = path.read_bytes()
    session.close()
    path.unlink() if content is None else path.write_bytes(content)
    drawn = truth(4) == 1
    for case in ("look", "draw it", "draw beside it", "reset"):
        again = open_session(folder)
        with closing(again):
            document = again.document
            if case == "draw it":
                set_mask(document, 4, 1, drawn)
                assert document.problems == []
                assert not document.snapshot.outdated[1][4]
                assert set(document.snapshot.keyframe(4)) == {1, 2}
                assert path.read_bytes() == kept
                again.undo()
                path.unlink() if content is None else path.write_bytes(content)
                continue
            assert (document.snapshot.labels(4) == truth(4)).all()  # the tracked one shows
            assert set(document.snapshot.keyframe(4)) == {2}
            (problem,) = run_action(again, {"do": "describe"}).problems
            assert problem.startswith(
                f"frame 4: the drawn mask of object 1 is missing or damaged ({path}); draw"
            )
            assert (document.status.value, document.snapshot.list_outdated()) == ("in progress", [(4, 4)])
            with pytest.raises(InputError, match=r"export: 1 frame is outdated \(4\): .* a mask is damaged"):
                again.export(["masks"])
            if case == "draw beside it":
                editing.outline(document, 4, 2, square(20, 30, 4))
                assert len(document.problems) == 1
                assert set(document.snapshot.stored_keyframe(4)) == {1, 2}
            elif case == "reset":
                editing.remove_keyframe(document, 4)
                assert document.problems == []
            if case != "look":
                again.undo()
                assert (document.snapshot.labels(4) == truth(4)).all()
    path.write_bytes(kept)
    with closing(open_session(folder)) as restored:
        assert restored.document.problems == []
        assert restored.document.status.value == "accepted"


@pytest.mark.parametrize("name", [".lock", "masks", "layers", "export"])
def test_links_in_a_project_rejected(video, project, tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("kept")
    if name == "masks":
        (project / name).rename(project / "old")
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(mine)
    assert not look(video)
    assert mine.read_text() == "kept"


def test_undo_and_redo_survive_a_restart(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    editing.clear(first.document, 3, 1)
    first.undo()
    first.close()
    session = open_session(folder)
    assert session.document.titles == ("drawn", "not here")
    session.redo()
    assert session.document.snapshot.keyframes == [0, 3]
    for _ in range(3):
        session.undo()
    assert session.document.titles == (None, "new object")
    assert not session.document.snapshot.labels(0).any()
    session.close()


def test_propagated_correction_is_undone_after_a_restart(folder, monkeypatch):
    monkeypatch.setattr("aotlab_studio.tracking.jobs.PROPAGATION_DELAY", 0.01)
    first = open_session(folder)
    draw(first, 0, 1)
    start_job(first, 0).wait()
    before = [first.document.snapshot.labels(index) for index in range(LENGTH)]
    stroke = {"do": "paint", "frame": 6, "object_id": 1, "points": [[50, 20]], "radius": 3}
    run_action(first, stroke)
    wait_until(lambda: first.job.layer.background and not first.job.alive)
    assert first.job.done
    first.close()
    session = open_session(folder)
    assert session.undo().title == "brush"
    assert all((session.document.snapshot.labels(index) == before[index]).all() for index in range(LENGTH))
    session.close()


def test_versions_are_kept_and_restored_in_one_step(session):
    with pytest.raises(InputError, match="no object to keep"):
        session.document.save_version()
    draw(session, 0, 1, 2)
    session.document.act_as(Actor("Ann")).save_version("both")
    editing.delete_object(session.document, 2)
    editing.clear(session.document, 4, 1)
    session.document.restore_version(1)
    assert (session.document.snapshot.labels(0) == truth(0)).all()
    assert session.document.snapshot.keyframes == [0]
    session.undo()
    assert session.document.snapshot.keyframes == [0, 4]
    assert session.document.snapshot.objects.ids == (1,)
    assert [(each.title, each.author) for each in session.document.list_versions()] == [("both", "Ann")]
    with pytest.raises(InputError, match="no such version"):
        session.document.restore_version(2)


@pytest.mark.parametrize("time", ["", "yesterday"])
def test_version_without_a_readable_time_is_listed(session, time):
    draw(session, 0, 1)
    document = session.document
    document.log.append(VersionRecord(document.log.head, "kept", time=time))
    assert [(each.title, each.date) for each in document.list_versions()] == [("kept", "unknown time")]


def test_layers_beyond_reach_of_redo_are_removed(folder):
    session = open_session(folder)
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.undo()
    session.close()
    session = open_session(folder)
    session.redo()
    assert len(session.document.snapshot.tracked_frames) == LENGTH - 1
    session.undo()
    editing.set_note(session.document, 0, "another branch")
    session.close()
    session = open_session(folder)
    assert not list(session.document.folder.glob("layers/*.bin"))
    session.close()


def test_scores_are_those_of_the_masks_that_show(session):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    draw(session, 5, 2)
    document = session.document
    tracked = document.snapshot.scores(5)[1]
    assert tracked.area == (truth(5) == 1).sum()
    set_mask(document, 5, 2, truth(5) == 1)  # covers object 1
    assert document.snapshot.scores(5)[1].area == 0
    assert strips(document)[1][5] == "a"
    set_mask(document, 5, 1, truth(5) == 1)
    assert document.snapshot.scores(5)[1].confidence == 1


def test_scores_of_the_same_mask_tracked_again_are_new(session):
    draw(session, 0, 1)
    draw(session, 5, 2)
    document, index, seen = session.document, 5, []
    for layer_id, confidence in ((1, 0.9), (2, 0.4)):
        document.edit("track", State(layers={layer_id: Layer([1], 1, 9)}))
        document.add_result(layer_id, Result(index, {1: Score(confidence, 100, 0.0, 0.0)}), truth(index) == 1)
        seen.append(document.snapshot.scores(index)[1].confidence)
    assert seen == [0.9, 0.4]


def test_edits_of_another_program_are_never_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    ours, theirs = Log(path), Log(path)
    theirs.append(StatusRecord("accepted"))
    content = path.read_bytes()
    with pytest.raises(InputError, match="another program has opened this project"):
        ours.append(StatusRecord("rejected"))
    assert path.read_bytes() == content
    path.write_bytes(content + content[:9])  # cut off
    Log(path).append(StatusRecord("rejected"))
    assert Log(path).status.status == "rejected"


def test_masks_of_another_program_are_never_cut_off(tmp_path):
    path, ids = tmp_path / "000001.bin", np.ones((4, 6), np.uint16)
    ours, theirs = LayerFile(path, (4, 6), 3), LayerFile(path, (4, 6), 3)
    theirs.put(Result(0), ids)
    content = path.read_bytes()
    with pytest.raises(InputError, match="another program has opened this project"):
        ours.put(Result(1), ids)
    assert path.read_bytes() == content
    path.write_bytes(content + content[:-1])  # cut off
    LayerFile(path, (4, 6), 3).put(Result(2), ids)
    assert sorted(LayerFile(path, (4, 6), 3).results) == [0, 2]


def write_layer(path):
    """A complete layer of three frames; returns the offsets of its records."""
    file, offsets = LayerFile(path, (4, 6), 3), []
    for index in range(3):
        offsets.append(file.end)
        file.put(Result(index), np.full((4, 6), index, np.uint16))
    offsets.append(file.end)
    file.finish()
    return offsets


@pytest.mark.parametrize("place", [0, 4, 8, 12, 16, 20])
def test_damaged_record_of_a_layer_costs_the_frames_after(tmp_path, place):
    path = tmp_path / "000001.bin"
    offsets = write_layer(path)
    content = bytearray(path.read_bytes())
    content[offsets[1] + place] ^= 0x55
    path.write_bytes(content)
    file = LayerFile(path, (4, 6), 3)
    assert (sorted(file.results), file.complete, (file.read(0) == 0).all()) == ([0], False, True)
    file.put(Result(1), np.full((4, 6), 1, np.uint16))
    assert sorted(LayerFile(path, (4, 6), 3).results) == [0, 1]


def test_frame_replaced_while_it_is_read_is_intact(tmp_path, monkeypatch):
    layers = LayerStore(tmp_path, (4, 6), 3)
    layers.put(1, Result(0, provisional=True), np.ones((4, 6), np.uint16))
    file, sha256 = layers.open(1), hashlib.sha256

    def replace_first(content):
        monkeypatch.undo()
        layers.put(1, Result(0), np.full((4, 6), 2, np.uint16))
        return sha256(content)

    monkeypatch.setattr(hashlib, "sha256", replace_first)
    assert (layers.read(file, 0) == 1).all()
    assert (layers.read(file, 0) == 2).all()


@pytest.mark.parametrize(
    "name", ["1 copy.bin", "000001 (1).bin", "4000000000.bin", "000009.bin/", "notes.txt"]
)
def test_stray_file_among_layers_is_ignored_and_kept(folder, name):
    first = open_session(folder)
    draw(first, 0, 1)
    start_job(first, 0).wait()
    first.undo()
    editing.set_note(first.document, 0, "another branch")
    first.close()
    stray = first.document.folder / "layers" / name
    stray.mkdir() if name.endswith("/") else stray.write_bytes(b"mine")
    again = open_session(folder)
    with closing(again):
        assert [path.name for path in stray.parent.iterdir()] == [stray.name]
        start_job(again, 0).wait()
    open_session(folder).close()


def test_frames_of_a_damaged_layer_are_outdated(folder):
    first = open_session(folder)
    draw(first, 0, 1)
    start_job(first, 0).wait()
    first.close()
    (path,) = first.document.folder.glob("layers/*.bin")
    content = bytearray(path.read_bytes())
    content[20] ^= 0x55
    path.write_bytes(content)
    again = open_session(folder)
    with closing(again):
        assert again.document.snapshot.tracked_frames == []
        assert again.document.snapshot.list_outdated() == [(1, LENGTH - 1)]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="names of open files")
def test_drawing_and_its_name_are_on_disk_before_its_entry(session, monkeypatch):
    fcntl, synced = pytest.importorskip("fcntl"), []

    def record(handle):
        mode = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE
        synced.append((os.path.basename(os.readlink(f"/proc/self/fd/{handle}")), mode))

    monkeypatch.setattr(os, "fsync", record)
    draw(session, 0, 1)
    names = [name for name, _ in synced]
    mask = next(index for index, name in enumerate(names) if name.endswith(".png"))
    assert names[mask:][:3] == [names[mask], "masks", LOG_FILE]
    assert synced[mask][1] == os.O_WRONLY  # Windows refuses to sync what is open for reading


def test_layer_of_a_lost_entry_is_not_adopted(folder):
    session = open_session(folder)
    draw(session, 0, 1)
    start_job(session, 0).wait()
    log = session.document.log.path
    session.close()
    log.write_bytes(
        b"".join(line for line in log.read_bytes().splitlines(keepends=True) if b'"layers"' not in line)
    )
    reopened = open_session(folder)
    with closing(reopened):
        assert reopened.document.snapshot.tracked_frames == []
        start_job(reopened, 0, last=2).wait()
        assert reopened.document.snapshot.tracked_frames == [1, 2]


def test_edit_computes_what_shows_once(session, monkeypatch):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.document.set_status("accepted", "")
    counted, compute = [], Snapshot.owners.func
    monkeypatch.setattr(Snapshot.owners, "func", lambda now: counted.append(1) or compute(now))
    set_mask(session.document, 5, 1, truth(4) == 1)
    assert len(counted) == 1
    session.document.snapshot.list_outdated()
    assert len(counted) == 1


def test_person_is_not_written_into_a_lost_lease(session):
    lease = session.document.folder / LEASE
    other = lease.read_bytes().replace(msgspec.json.decode(lease.read_bytes())["token"].encode(), b"another")
    lease.write_bytes(other)
    with pytest.raises(InputError, match=r"taken over by another program on .* meanwhile"):
        session.document.folder_lock.name_person("Ann")
    assert lease.read_bytes() == other
