"""Projects belong to one video, survive changes by other hands, and are rejected in one sentence otherwise."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress

import msgspec
import numpy as np
import pytest
from PIL import Image

from aotlab import InputError, sdk
from aotlab_studio import annotate as cli
from aotlab_studio.document import editing
from aotlab_studio.document.database import BACKUP_FILE, JOURNAL_FILE, PROJECT_FILE, Database
from aotlab_studio.document.document import Actor, Document
from aotlab_studio.document.folder import FORMAT_VERSION, locate_project
from aotlab_studio.document.log import Changes, Layer, Log, State, StatusRecord
from aotlab_studio.document.masks import LayerResults, Result, ResultStore, encode_png
from aotlab_studio.document.objects import make_object
from aotlab_studio.document.scores import Score
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.lock import LEASE
from aotlab_studio.opening import open_document
from aotlab_studio.session.actions import run_action
from studio.tests.annotation.clips import (
    LENGTH,
    change_rows,
    draw,
    draw_folder,
    list_titles,
    open_session,
    set_mask,
    start_job,
    truth,
    wait_until,
    write_video,
)
from studio.tests.annotation.served import Served
from tests.limits import limit_file_size
from tests.mutations import replace_values


def test_videos_of_one_stem_have_a_project_each(tmp_path, reopen):
    write_video(tmp_path / "take.mp4")
    shutil.copy(tmp_path / "take.mp4", tmp_path / "take.mov")
    draw_folder(tmp_path / "take")
    shown = []
    for name in ("take.mp4", "take.mov", "take"):
        session = reopen(tmp_path / name)
        shown.append(session.document.snapshot.labels(0).any())
        draw(session, 0, 1)
        session.close()
    assert shown == [False, False, False]
    assert sorted(path.name for path in tmp_path.glob("*.aotlab")) == [
        "take.aotlab", "take.mov.aotlab", "take.mp4.aotlab",
    ]  # fmt: skip


def test_changed_video_needs_same_video(folder, session, reopen):
    draw(session, 0, 1)
    session.close()
    image = folder / "00011.png"
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(image)
    with pytest.raises(
        InputError, match=r"content differs.*rename the project.*move it away.*confirm that the masks fit"
    ):
        open_session(folder)
    again = reopen(folder, same_video=True)
    assert again.document.snapshot.labels(0).any()
    again.close()
    reopen(folder)


def test_fingerprint_changes_with_any_image(folder):
    before, image = sdk.compute_fingerprint(folder), folder / "00011.png"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 1
    image.write_bytes(content)
    after = sdk.compute_fingerprint(folder)
    assert after["bytes"] == before["bytes"]
    assert after != before


def test_command_refuses_a_changed_video(folder, session, monkeypatch):
    draw(session, 0, 1)
    session.close()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(folder / "00000.png")
    monkeypatch.setattr("aotlab_studio.tracking.models.TrackerLoader.__call__", lambda self: None)
    monkeypatch.setattr("aotlab_studio.server.app.Server.run_on_socket", lambda self: None)
    assert cli.main([str(folder), "--no-browser"]) == 2
    assert cli.main([str(folder), "--no-browser", "--same-video"]) == 0


def test_project_of_another_version_rejected(video, project):
    change_rows(project, "UPDATE header SET content = replace(content, '\"version\":', '\"version\":9')")
    for path in (video, project):
        with pytest.raises(
            InputError,
            match=rf"project.sqlite: version 9{FORMAT_VERSION}; this program reads {FORMAT_VERSION}; move its folder",
        ):
            open_session(path)


def test_project_with_a_merged_object_is_reopened(folder, session, reopen):
    draw(session, 0, 1, 2)
    editing.merge_objects(session.document, 2, 1)
    again = reopen(folder)
    assert [*again.document.snapshot.objects] == [1]
    assert ((again.document.snapshot.labels(0) == 1) == (truth(0) > 0)).all()


def test_reopened_project_holds_everything(folder, session, reopen):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    editing.clear(session.document, 7, 2)
    editing.change_object(session.document, 2, name="box", hidden=True)
    session_scores = session.document.snapshot.scores(5)
    session.close()
    for path in (folder, folder.parent / "clip.aotlab"):
        again = reopen(path)
        assert again.document.snapshot.objects[2].name == "box"
        assert again.document.snapshot.objects[2].hidden
        assert (again.document.snapshot.labels(5) == truth(5)).all()
        assert (again.document.snapshot.labels(7) == np.where(truth(7) == 1, 1, 0)).all()
        assert set(again.document.snapshot.keyframe(7)) == {2}
        assert again.document.snapshot.scores(5) == session_scores
        assert len(again.document.snapshot.tracked_frames) == LENGTH - 1


def test_project_moves_with_its_video(folder, session, tmp_path, reopen):
    draw(session, 0, 1)
    session.close()
    target = tmp_path / "elsewhere"
    target.mkdir()
    folder.rename(target / "clip")
    (tmp_path / "clip.aotlab").rename(target / "clip.aotlab")
    again = reopen(target / "clip.aotlab")
    assert (again.document.snapshot.labels(0) == (truth(0) == 1)).all()


def test_project_in_use_or_of_another_video_rejected(folder, session, tmp_path):
    editing.add_object(session.document)
    with pytest.raises(InputError, match="in use by another program"):
        open_session(folder)
    session.close()
    (folder / "00011.png").unlink()
    with pytest.raises(InputError, match="frames 12, this one has 11"):
        open_session(folder)


def test_missing_video_of_a_project_is_named(folder, session, tmp_path):
    editing.add_object(session.document)
    session.close()
    folder.rename(tmp_path / "other")
    with pytest.raises(InputError, match="its video clip is missing"):
        open_session(tmp_path / "clip.aotlab")


SIZE = (24, 32)


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
    editing.add_object(document)
    mask = np.zeros(SIZE, bool)
    mask[4:10, 4:10] = True
    set_mask(document, 0, 1, mask)
    document.close()
    return tmp_path / "clip.aotlab"


def read_project(video):
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
        assert document.status.value
    finally:
        document.close()
    return True


def test_replaced_fields_of_the_header_are_read_or_rejected(video, project):
    assert read_project(video)
    header = json.loads(change_rows(project, "SELECT content FROM header")[0][0])
    for changed in replace_values(header):
        change_rows(project, "UPDATE header SET content = ?", json.dumps(changed).encode())
        read_project(video)
        with suppress(InputError):
            locate_project(project)


@pytest.mark.parametrize("content", [b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000])
def test_invalid_header_rejected(video, project, content):
    change_rows(project, "UPDATE header SET content = ?", content)
    for path in (video, project):
        with pytest.raises(
            InputError, match=r"the header: not readable \(.*\); replace it by project.sqlite.bak"
        ):
            open_document(path)


def test_replaced_fields_of_the_log_are_read_or_rejected(video, project):
    assert read_project(video)
    for number, record in change_rows(project, "SELECT id, content FROM records"):
        for changed in replace_values(json.loads(record)):
            content = json.dumps(changed).encode()
            change_rows(project, "UPDATE records SET content = ? WHERE id = ?", content, number)
            read_project(video)
        change_rows(project, "UPDATE records SET content = ? WHERE id = ?", record, number)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"head","move":"redo"}',
        b'{"type":"head","move":"undo"}',
        None,
    ],
)
def test_damaged_record_is_named(video, project, content):
    if content is None:
        change_rows(project, "DELETE FROM records WHERE id = 1")
    else:
        change_rows(project, "UPDATE records SET content = ? WHERE id = 1", content)
    with pytest.raises(InputError, match=r"record 1: not readable \(.*\); replace it by project.sqlite.bak"):
        open_document(video)


@pytest.mark.parametrize("place", ["start", "schema", "middle", "end"])
def test_damaged_file_is_replaced_by_its_backup(video, project, place):
    with closing(open_document(video)) as document:
        for index in range(100):
            document.log.append(StatusRecord("open", "", f"{index} " + "x" * 3000))
    with (project / PROJECT_FILE).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek({"start": 0, "schema": 100, "middle": size // 2 // 4096 * 4096, "end": size - 9000}[place])
        file.write(b"X" * 5000)
    with pytest.raises(
        InputError, match=r"project.sqlite: cannot be .*; replace it by project.sqlite.bak, or"
    ):
        open_document(video)
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    with closing(open_document(video)) as document:
        assert document.log.size == 102
        assert document.snapshot.labels(0).any()


def test_failed_backup_is_reported(folder, session, caplog):
    draw(session, 0, 1)
    with limit_file_size(0):
        session.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert re.match(r".*clip\.aotlab: no backup was made \(.*cannot be written", caplog.text)
    open_session(folder).close()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("content", [None, b""])
def test_missing_file_does_not_replace_its_backup(video, project, content):
    backup = (project / BACKUP_FILE).read_bytes()
    (project / PROJECT_FILE).unlink()
    if content is not None:
        (project / PROJECT_FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"missing or empty; replace it by project.sqlite.bak"):
        open_document(video)
    assert (project / BACKUP_FILE).read_bytes() == backup


def test_result_that_cannot_be_read_again_is_not_stored(session):
    results, ids = session.document.results, truth(0)
    with pytest.raises(ValueError, match="float"):
        results.put(1, Result(0, {1: Score(math.nan, 1, 0.0, 0.0)}), ids)
    results.put(1, Result(1, {1: Score(1.0, 1, 0.0, 0.0)}), ids)
    again = ResultStore(session.document.database, ids.shape, LENGTH)
    assert [*again.open(1).frames] == [1]


def test_exports_while_tracking_keep_no_results_in_memory(session, monkeypatch):
    monkeypatch.setattr("aotlab_studio.document.masks.MAX_LIMITED_LAYERS", 3)
    results = ResultStore(session.document.database, (40, 60), LENGTH)
    for last_row in range(1, 9):
        results.put(1, Result(0), np.ones((40, 60), np.uint8))
        assert results.open(1, last_row).frames[0].row_id == last_row
    assert len(results._layers) == 1
    assert len(results._limited_layers._items) == 3


def test_order_of_objects_is_not_part_of_a_state():
    one, two = make_object(1), make_object(2)
    states = [State().apply(Changes(objects=objects)) for objects in ({1: one, 2: two}, {2: two, 1: one})]
    assert repr(states[0]) == repr(states[1])


def test_backup_has_no_results_and_reuses_no_id(folder, session, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.document.save_version("tracked")
    last = session.document.results.last_row
    session.close()
    project = session.document.folder
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    again = reopen(folder)
    document = again.document
    assert (document.snapshot.labels(0) == truth(0) * (truth(0) == 1)).all()
    assert document.snapshot.list_outdated() == [(1, LENGTH - 1)]
    start_job(again, 0).wait()
    assert document.snapshot.list_outdated() == []
    assert document.database.query("SELECT min(id) > ? FROM results", last) == [(1,)]


def test_version_restored_in_a_backup_shows_new_results(folder, session, short_pause, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    draw(session, 4, 1)
    assert session.runner.wait(60)
    session.document.save_version("tracked")
    session.close()
    project = session.document.folder
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    session = reopen(folder)
    assert session.runner.wait(60)
    before = session.document.snapshot.digest
    editing.clear(session.document, 4, 1)
    session.document.restore_version(1)
    assert session.document.snapshot.digest == before
    assert session.document.snapshot.list_outdated() == []


def test_backup_keeps_the_intact_copy_of_a_damaged_mask(folder, session, reopen):
    draw(session, 0, 1)
    session.close()
    project, (digest,) = session.document.folder, session.document.snapshot.keyframe(0).values()
    change_rows(project, "UPDATE masks SET content = x'00' WHERE id = ?", digest)
    session = reopen(folder)
    editing.set_note(session.document, 3, "look")
    draw(session, 5, 1)
    session.close()
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    snapshot = Document.read(project).snapshot
    assert snapshot.state.notes == {3: "look"}
    for index in (0, 5):
        assert (snapshot.labels(index) == (truth(index) == 1)).all()


@pytest.mark.parametrize("size", [0, 100, 8192])
def test_damaged_backup_is_set_aside(video, project, size):
    content = (project / BACKUP_FILE).read_bytes()
    damaged = content[:size] + b"X" * (len(content) - size) * (size > 0)
    (project / BACKUP_FILE).write_bytes(damaged)
    with closing(open_document(video)) as document:
        editing.set_note(document, 0, "look")
    assert (project / f"{BACKUP_FILE}.1").read_bytes() == damaged
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    assert Document.read(project).snapshot.labels(0).any()


def test_project_of_another_program_survives_a_failed_opening(folder, monkeypatch):
    def make_project(*args, **options):
        monkeypatch.undo()
        open_session(folder).close()  # after this opening has seen no project
        monkeypatch.setattr("aotlab_studio.opening.Document", lambda *_: 1 / 0)
        return Database(*args, **options)

    monkeypatch.setattr("aotlab_studio.opening.Database", make_project)
    with pytest.raises(ZeroDivisionError):
        open_document(folder)
    assert Document.read(folder.with_name("clip.aotlab")).log.size == 0


def test_failed_opening_leaves_no_project(folder, monkeypatch):
    monkeypatch.setattr("aotlab_studio.opening.Document", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_document(folder)
    assert not folder.with_name("clip.aotlab").exists()


def test_backup_is_of_the_last_history(folder, reopen):
    for frame in (0, 5):
        session = reopen(folder)
        project = session.document.folder
        if frame == 0:
            shutil.copy(project / PROJECT_FILE, folder.parent / "older")
        draw(session, frame, 1)
        session.close()
        if frame == 0:
            shutil.copy(folder.parent / "older", project / PROJECT_FILE)
    shown = []
    for name in (BACKUP_FILE, f"{BACKUP_FILE}.1"):
        (project / name).replace(project / PROJECT_FILE)
        shown.append(Document.read(project).snapshot.keyframes)
    assert shown == [[5], [0]]


def test_opening_an_older_project_keeps_the_newer_backup(folder, session, reopen):
    draw(session, 0, 1)
    session.close()
    project = session.document.folder
    shutil.copy(project / PROJECT_FILE, folder.parent / "older")
    again = reopen(folder)
    draw(again, 5, 1)
    again.close()
    shutil.copy(folder.parent / "older", project / PROJECT_FILE)
    open_session(folder).close()
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    assert Document.read(project).snapshot.keyframes == [0, 5]


def test_mask_damaged_in_the_backup_is_copied_again(folder, session, reopen):
    draw(session, 0, 1)
    session.close()
    project = session.document.folder
    with closing(sqlite3.connect(project / BACKUP_FILE)) as connection, connection:
        connection.execute("UPDATE masks SET content = x'00'")
    again = reopen(folder)
    draw(again, 5, 1)
    again.close()
    (project / BACKUP_FILE).replace(project / PROJECT_FILE)
    assert (Document.read(project).snapshot.labels(0) == (truth(0) == 1)).all()
    assert not [*project.glob("*.new*")]


def test_full_disk_is_named(video, project):
    with closing(open_document(video)) as document:
        document.database.query("PRAGMA max_page_count = 1")
        full = r"cannot be written \(database or disk is full\); free space"
        with pytest.raises(InputError, match=full):  # noqa: PT012 - the page that is full is a later one
            for _ in range(100):
                editing.set_note(document, 0, "x" * 400)
                editing.set_note(document, 0, "")
        shown = document.log.size
    with closing(open_document(video)) as again:
        assert again.log.size == shown
        editing.set_note(again, 0, "now")


def test_full_disk_refuses_edits_until_there_is_space(folder, reopen):
    session, noise = reopen(folder), np.random.default_rng(0)
    document = session.document
    draw(session, 0, 1)
    start_job(session, 0).wait()

    def draw_noise(frame):
        set_mask(document, frame, 1, noise.random(document.masks.size) < 0.5)

    def describe(document):
        return document.snapshot.digest, list_titles(document), document.log.size

    write_error = pytest.raises(InputError, match=r"project\.sqlite: cannot be written")
    with limit_file_size(document.database.path.stat().st_size + 10_000), write_error:
        for _ in range(1000):
            draw_noise(3)
            acknowledged = describe(document)
    with limit_file_size(0):
        for act in (lambda: draw_noise(3), session.undo, lambda: session.track(0)):
            with write_error:
                act()
    assert describe(document) == acknowledged
    draw_noise(5)
    session.close()
    with closing(open_document(folder)) as again:
        assert describe(again) == describe(document)
        for frame in (3, 5):
            assert (again.snapshot.labels(frame) == document.snapshot.labels(frame)).all()


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
def test_damaged_mask_is_named_and_can_be_drawn_again(folder, session, content, reopen):
    draw(session, 0, 1, 2)
    draw(session, 4, 1, 2)
    start_job(session, 0).wait()
    digest = session.document.snapshot.keyframe(4)[1]
    kept = session.document.database.read_content("masks", digest)
    session.close()
    change_rows(session.document.folder, "DELETE FROM masks WHERE id = ?", digest)
    if content is not None:
        change_rows(session.document.folder, "INSERT INTO masks VALUES (?, ?)", digest, content)
    again = reopen(folder)
    document = again.document
    assert run_action(again, {"do": "describe"}).timeline.marks[1][4] == "G"
    assert (document.snapshot.labels(5) == truth(5)).all()
    sentence = r"frame 4: a drawn mask is damaged; reset the frame, then draw it again"
    for use in (
        lambda: document.snapshot.labels(4),
        lambda: again.export(["masks"]),
        lambda: again.track(0),
        lambda: again.set_status("accepted"),
        lambda: draw(again, 4, 2),
    ):
        with pytest.raises(InputError, match=f"^{sentence}$"):
            use()
    editing.remove_keyframe(document, 4)
    assert (document.snapshot.labels(4) == truth(4)).all()  # the tracked one shows
    draw(again, 4, 1)
    assert document.database.read_content("masks", digest) == kept
    again.undo()
    again.undo()
    assert (document.snapshot.labels(4) == truth(4)).all()


def test_damaged_tracked_mask_is_named_and_can_be_tracked_again(folder, session, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.close()
    change_rows(session.document.folder, "UPDATE results SET content = x'00' WHERE id = 5")
    session = reopen(folder)
    sentence = r"mask of frame 5 is damaged; clear tracking of the frame, then track it again$"
    with pytest.raises(InputError, match=sentence):
        session.document.snapshot.labels(5)
    with pytest.raises(InputError, match=sentence):
        session.set_status("accepted")
    job = start_job(session, 0)
    job.wait()
    assert re.search(sentence, job.problem)
    session.undo()
    editing.drop_results(session.document, 5, 5)
    start_job(session, 0).wait()
    assert (session.document.snapshot.labels(5) == truth(5) * (truth(5) == 1)).all()
    assert session.document.snapshot.list_outdated() == []


def test_unreadable_database_is_not_called_a_damaged_mask(session, monkeypatch):
    draw(session, 0, 1)
    document = Document.read(session.document.folder)

    def fail(*_):
        raise InputError(
            "project.sqlite: cannot be read (database is locked); close the program that uses it"
        )

    monkeypatch.setattr(document.database, "read_content", fail)
    with pytest.raises(InputError, match=r"^frame 0: project\.sqlite: cannot be read"):
        document.snapshot.labels(0)


@pytest.mark.parametrize("name", [".lock", PROJECT_FILE, JOURNAL_FILE, "export"])
def test_links_in_a_project_rejected(video, project, tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("kept")
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(mine)
    assert not read_project(video)
    assert mine.read_text() == "kept"


def test_undo_and_redo_survive_a_restart(folder, session, reopen):
    draw(session, 0, 1)
    editing.clear(session.document, 3, 1)
    session.undo()
    session = reopen(folder)
    assert list_titles(session.document) == ("drawn", "mark absent")
    session.redo()
    assert session.document.snapshot.keyframes == [0, 3]
    for _ in range(3):
        session.undo()
    assert list_titles(session.document) == (None, "new object")
    assert not session.document.snapshot.labels(0).any()


def test_propagated_correction_is_undone_after_a_restart(folder, session, short_pause, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    before = [session.document.snapshot.labels(index) for index in range(LENGTH)]
    stroke = {"do": "paint", "frame": 6, "object_id": 1, "points": [[50, 20]], "radius": 3}
    run_action(session, stroke)
    wait_until(lambda: session.runner.job.layer.is_automatic and not session.runner.job.alive)
    assert session.runner.job.done
    session = reopen(folder)
    assert session.undo().title == "brush"
    assert all((session.document.snapshot.labels(index) == before[index]).all() for index in range(LENGTH))


def test_versions_are_kept_and_restored_in_one_step(session):
    with pytest.raises(InputError, match="no object to keep"):
        session.document.save_version()
    draw(session, 0, 1, 2)
    session.document.with_actor(Actor("Ann")).save_version("both")
    editing.delete_object(session.document, 2)
    editing.clear(session.document, 4, 1)
    session.document.restore_version(1)
    assert (session.document.snapshot.labels(0) == truth(0)).all()
    assert session.document.snapshot.keyframes == [0]
    session.undo()
    assert session.document.snapshot.keyframes == [0, 4]
    assert [*session.document.snapshot.objects] == [1]
    assert [(each.title, each.author) for each in session.document.list_versions()] == [("both", "Ann")]
    with pytest.raises(InputError, match="no such version"):
        session.document.restore_version(2)


def test_layers_beyond_reach_of_redo_are_removed(folder, session, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.undo()
    session = reopen(folder)
    session.redo()
    assert len(session.document.snapshot.tracked_frames) == LENGTH - 1
    session.undo()
    editing.set_note(session.document, 0, "another branch")
    session = reopen(folder)
    assert session.document.database.query("SELECT count(*) FROM results") == [(0,)]


def test_scores_are_those_of_the_masks_that_show(session):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    draw(session, 5, 2)
    document = session.document
    tracked = document.snapshot.scores(5)[1]
    assert tracked.area == (truth(5) == 1).sum()
    set_mask(document, 5, 2, truth(5) == 1)  # covers object 1
    assert document.snapshot.scores(5)[1].area == 0
    assert document.timeline().marks[1][5] == "a"
    set_mask(document, 5, 1, truth(5) == 1)
    assert document.snapshot.scores(5)[1].confidence == 1


def test_scores_of_the_same_mask_tracked_again_are_new(session):
    draw(session, 0, 1)
    draw(session, 5, 2)
    document, index, seen = session.document, 5, []
    for layer_id, confidence in ((1, 0.9), (2, 0.4)):
        document.edit("track", Changes(layers={layer_id: Layer([1], 1, 9)}))
        document.add_result(layer_id, Result(index, {1: Score(confidence, 100, 0.0, 0.0)}), truth(index) == 1)
        seen.append(document.snapshot.scores(index)[1].confidence)
    assert seen == [0.9, 0.4]


@pytest.fixture
def database(tmp_path):
    with closing(Database(tmp_path, writable=True)) as database:
        yield database


def test_edits_of_another_program_are_kept(tmp_path, database):
    record = msgspec.json.encode(StatusRecord("accepted", ""))
    change_rows(tmp_path, "INSERT INTO records VALUES (1, ?)", record)
    with pytest.raises(InputError, match="another program has changed this project"):
        Log(database).append(StatusRecord("rejected", ""))
    with pytest.raises(InputError, match="another program has changed this project"):
        ResultStore(database, (4, 6), 3).put(1, Result(1), np.ones((4, 6), np.uint16))
    assert Log(Database(tmp_path)).status.status == "accepted"


DAMAGE = "UPDATE results SET note = replace(note, '{', 'U') WHERE id = 2"
LOSS = "DELETE FROM results WHERE id = 2"


def test_replaced_result_never_uncovers_its_frame():
    written = []

    class Coverage(np.ndarray):
        def __setitem__(self, frame, value):
            written.append(value)
            super().__setitem__(frame, value)

    layer, result = LayerResults(3), Result(1, {1: Score(1.0, 1, 0.0, 0.0)})
    layer.add(result)
    layer.coverage[1] = layer.coverage[1].view(Coverage)
    layer.add(result)
    layer.add(Result(1, absent=[2]))
    assert written == [1, 0]
    assert [covered[1] for covered in layer.coverage.values()] == [0, -1]


@pytest.mark.parametrize("statement", [DAMAGE, LOSS])
def test_lost_result_costs_its_frame_only(tmp_path, database, statement):
    layers = ResultStore(database, (4, 6), 3)
    for index in range(3):
        layers.put(1, Result(index), np.full((4, 6), index, np.uint16))
    layers.finish(1)
    database.close()
    change_rows(tmp_path, statement)
    with closing(Database(tmp_path, writable=True)) as database:
        layers = ResultStore(database, (4, 6), 3)
        layer = layers.open(1)
        assert (sorted(layer.frames), layer.finished) == ([0, 2], False)
        assert (layers.read(layer, 2) == 2).all()
        layers.put(1, Result(1), np.full((4, 6), 1, np.uint16))
        layers.finish(1)
        layer = ResultStore(database, (4, 6), 3).open(1)
        assert (sorted(layer.frames), layer.finished) == ([0, 1, 2], True)


def test_older_result_shows_if_the_newer_is_damaged(tmp_path, database):
    layers = ResultStore(database, (4, 6), 3)
    layers.put(1, Result(0, provisional=True), np.full((4, 6), 1, np.uint16))
    layers.put(1, Result(0), np.full((4, 6), 2, np.uint16))
    database.close()
    change_rows(tmp_path, DAMAGE)
    with closing(Database(tmp_path, writable=True)) as database:
        layer = ResultStore(database, (4, 6), 3).open(1)
        assert layer.frames[0].provisional


def test_layer_that_could_not_be_read_is_read_again(database, monkeypatch):
    ResultStore(database, (4, 6), 3).put(1, Result(0), np.ones((4, 6), np.uint16))
    layers, query = ResultStore(database, (4, 6), 3), database.query

    def fail(*arguments):
        monkeypatch.setattr(database, "query", query)
        raise InputError("cannot be read")

    monkeypatch.setattr(database, "query", fail)
    with pytest.raises(InputError, match="cannot be read"):
        layers.open(1)
    layers.put(1, Result(1), np.ones((4, 6), np.uint16))
    assert sorted(ResultStore(database, (4, 6), 3).open(1).frames) == [0, 1]


def test_frame_replaced_while_it_is_read_is_intact(database, monkeypatch):
    layers = ResultStore(database, (4, 6), 3)
    layers.put(1, Result(0, provisional=True), np.ones((4, 6), np.uint16))
    layer, sha256 = layers.open(1), hashlib.sha256

    def replace_first(content):
        monkeypatch.undo()
        layers.put(1, Result(0), np.full((4, 6), 2, np.uint16))
        return sha256(content)

    monkeypatch.setattr(hashlib, "sha256", replace_first)
    assert (layers.read(layer, 0) == 1).all()
    assert (layers.read(layer, 0) == 2).all()


@pytest.mark.parametrize("statement", [DAMAGE, LOSS])
def test_frame_of_a_lost_result_is_outdated(folder, session, statement, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.close()
    change_rows(session.document.folder, statement)
    again = reopen(folder)
    assert again.document.snapshot.tracked_frames == [1, *range(3, LENGTH)]
    assert again.document.snapshot.list_outdated() == [(2, 2)]
    start_job(again, 0).wait()
    assert again.document.snapshot.list_outdated() == []


def test_replaced_results_go_unless_a_version_shows_them(folder, session, reopen):
    draw(session, 0, 1)
    session.document.edit("tracking", Changes(layers={1: Layer([1], 1, 3)}))

    def store(x):
        for index in (1, 2, 3):
            session.document.add_result(1, Result(index, {1: Score(1.0, 1, 0.0, 0.0)}), mask(x))

    def mask(x):
        return (np.arange(truth(0).size).reshape(truth(0).shape) == x).astype(np.uint16)

    def reopen_and_count():
        again = reopen(folder)
        return again, again.document.database.query("SELECT count(*) FROM results")[0][0]

    store(5)
    store(6)
    session, count = reopen_and_count()
    assert count == 3
    session.document.save_version("six")
    store(7)
    store(8)
    session.document.finish_layer(1)
    session, count = reopen_and_count()
    assert count == 7
    assert (session.document.snapshot.labels(2) == mask(8)).all()
    session.document.restore_version(1)
    assert (session.document.snapshot.labels(2) == mask(6)).all()


@pytest.mark.parametrize("statement", ["masks", "records"])
def test_drawing_and_its_entry_are_stored_together(folder, session, statement, reopen):
    draw(session, 0, 1)
    before, database = session.document.log.size, session.document.database
    with database.transaction() as connection:
        connection.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON {statement} BEGIN SELECT raise(ABORT, 'full'); END"
        )
    with pytest.raises(InputError, match=r"cannot be written \(full\)"):
        draw(session, 3, 1)
    with database.transaction() as connection:
        connection.execute("DROP TRIGGER full")
    assert database.query("SELECT count(*) FROM records") == [(before,)]
    assert database.query("SELECT count(*) FROM masks") == [(1,)]
    draw(session, 3, 1)
    again = reopen(folder)
    assert (again.document.snapshot.labels(3) == truth(3) * (truth(3) == 1)).all()


def test_mask_of_a_refused_edit_is_not_stored(session):
    draw(session, 0, 1)
    session.document.shared = True
    with pytest.raises(InputError, match="type your name first"):
        draw(session, 3, 1)
    editing.set_note(session.document.with_actor(Actor("Ann")), 3, "look")
    assert session.document.database.query("SELECT count(*) FROM masks") == [(1,)]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from studio.tests.annotation.clips import draw, open_session, set_mask
session = open_session(Path(sys.argv[1]))
draw(session, 0, 1)
mask = np.zeros((40, 60), bool)
for pixel in range(2000):
    mask.flat[pixel] = True
    set_mask(session.document, 1, 1, mask)
    print(pixel, flush=True)
"""


def test_acknowledged_strokes_survive_a_kill(folder, reopen):
    with subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE) as writer:
        seen = [int(writer.stdout.readline()) for _ in range(40)]
        writer.kill()
        seen += [int(line) for line in writer.stdout]
    session = reopen(folder)
    assert session.document.snapshot.labels(1).sum() in (seen[-1] + 1, seen[-1] + 2)


@pytest.mark.parametrize("name", ["100% #1?mode=rw&x", "größe", os.fsdecode(b"\xff")])
def test_project_of_any_name_is_opened(folder, tmp_path, name):
    session = open_session(folder, project=tmp_path / name)
    draw(session, 0, 1)
    session.close()
    assert Document.read(tmp_path / name).snapshot.labels(0).any()
    assert session.document.snapshot.labels(0).any()  # a request that is still being answered
    with pytest.raises(InputError, match="closed meanwhile; open it again"):
        editing.set_note(session.document, 0, "late")


def test_video_of_an_undecodable_name_is_opened_and_exported(folder):
    video = folder.rename(folder.with_name(os.fsdecode(b"\xff")))
    for frame in (0, 1):
        session = open_session(video)
        with closing(Served(session)) as served:  # closes the session
            assert served.open().do("describe")["result"]["name"] == video.name
            draw(session, frame, 1)
            session.export(["masks"])
    assert locate_project(session.document.folder)[0] == video
    assert Document.read(session.document.folder).snapshot.keyframes == [0, 1]


def test_reader_leaves_a_write_of_another_machine(folder, tmp_path, reopen):
    session, copy = reopen(folder), tmp_path / "copy.aotlab"
    draw(session, 0, 1)
    with suppress(ZeroDivisionError), session.document.database.transaction() as connection:
        connection.execute("PRAGMA cache_size = 1")  # writes pages before the end
        connection.execute("UPDATE records SET content = zeroblob(9000)")
        shutil.copytree(session.document.folder, copy)
        raise ZeroDivisionError
    session.close()
    lease = msgspec.json.decode((copy / LEASE).read_bytes())
    (copy / LEASE).write_bytes(msgspec.json.encode({**lease, "kernel": "another"}))
    before = [(copy / name).read_bytes() for name in (PROJECT_FILE, JOURNAL_FILE)]
    with pytest.raises(InputError, match=r"cannot be read"):
        Document.read(copy)
    assert [(copy / name).read_bytes() for name in (PROJECT_FILE, JOURNAL_FILE)] == before
    (copy / LEASE).unlink()
    assert Document.read(copy).snapshot.labels(0).any()


def test_layer_of_a_lost_entry_is_not_adopted(folder, session, reopen):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.close()
    change_rows(session.document.folder, "DELETE FROM records WHERE instr(content, '\"layers\"')")
    reopened = reopen(folder)
    assert reopened.document.snapshot.tracked_frames == []
    start_job(reopened, 0, last=2).wait()
    assert reopened.document.snapshot.tracked_frames == [1, 2]


def test_edit_computes_what_shows_once(session, monkeypatch):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.document.set_status("accepted", "")
    counted, compute = [], Snapshot.newest_layer_ids.func
    monkeypatch.setattr(Snapshot.newest_layer_ids, "func", lambda now: counted.append(1) or compute(now))
    set_mask(session.document, 5, 1, truth(4) == 1)
    assert len(counted) == 1
    session.document.snapshot.list_outdated()
    assert len(counted) == 1


def test_person_is_not_written_into_a_lost_lease(session):
    lease = session.document.folder / LEASE
    other = lease.read_bytes().replace(msgspec.json.decode(lease.read_bytes())["token"].encode(), b"another")
    lease.write_bytes(other)
    with pytest.raises(InputError, match=r"taken over by another program on .* meanwhile"):
        session.document.database.folder_lock.name_person("Ann")
    assert lease.read_bytes() == other
