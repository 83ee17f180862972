"""Damaged files and backups of a project."""

import json
import math
import os
import re
from contextlib import closing, suppress
from operator import methodcaller
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document import editing
from aotlab_studio.document.database import BACKUP_FILE, JOURNAL_FILE, PROJECT_FILE, Database
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import FORMAT_VERSION, locate_project
from aotlab_studio.document.log import Changes, DoneRecord, State
from aotlab_studio.document.masks import LayerFrame, TrackedMaskStore, encode_png
from aotlab_studio.document.objects import make_object
from aotlab_studio.document.scores import Score
from aotlab_studio.document.states import list_outdated
from aotlab_studio.session.actions import Export, Track, run_action
from aotlab_studio.session.opening import open_document
from aotlab_testing.drawn_clips import write_plain
from aotlab_testing.limits import limit_file_size
from aotlab_testing.mutations import replace_values
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from studio.tests.annotation.clips import LENGTH, truth
from studio.tests.annotation.results import write_results
from studio.tests.annotation.sessions import (
    change_rows,
    draw,
    draw_and_track,
    list_labels,
    list_titles,
    list_tracked_frames,
    open_session,
    restore_backup,
    run_job,
    set_mask,
)


@pytest.mark.parametrize("version", [b"12", b"13", b"999"])
def test_project_of_another_version_rejected(video, project, version):
    ((header,),) = change_rows(project, "SELECT content FROM header")
    other = re.sub(rb'("version": ?)[0-9]+', rb"\g<1>" + version, header)
    change_rows(project, "UPDATE header SET content = ?", other)
    for path in (video, project):
        problem = f"version {version.decode()}; this program reads {FORMAT_VERSION}"
        with pytest.raises(InputError, match=f"project.sqlite: {problem}; move its folder"):
            open_session(path)


SIZE = (24, 32)


@pytest.fixture
def video(tmp_path):
    """A folder of three frames."""
    return write_plain(tmp_path / "clip", 3, SIZE)


@pytest.fixture
def project(video, tmp_path):
    """A project of the video with an object that is drawn on frame 0."""
    with closing(open_document(video)) as document:
        editing.AddObject().run(document)
        mask = np.zeros(SIZE, bool)
        mask[4:10, 4:10] = True
        set_mask(document, 0, 1, mask)
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
        assert all(index < 3 for index in [*document.snapshot.drawn_frames, *list_tracked_frames(document.snapshot)])
        assert all(document.snapshot.scores(index) is not None for index in range(3))
        list_outdated(document.snapshot)
        assert document.status
    finally:
        document.close()
    return True


@pytest.mark.slow
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
        with pytest.raises(InputError, match=r"the header: not readable \(.*\); replace it by project.sqlite.bak"):
            open_document(path)


@pytest.mark.slow
def test_replaced_fields_of_the_log_are_read_or_rejected(video, project):
    assert read_project(video)
    for number, record in change_rows(project, "SELECT id, content FROM records"):
        for changed in replace_values(json.loads(record)):
            content = json.dumps(changed).encode()
            change_rows(project, "UPDATE records SET content = ? WHERE id = ?", content, number)
            read_project(video)
        change_rows(project, "UPDATE records SET content = ? WHERE id = ?", record, number)


@pytest.mark.parametrize("content", [
    b"{",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    b'{"type":"head","move":"redo"}',
    b'{"type":"head","move":"undo"}',
    None,
])  # fmt: skip
def test_error_names_the_damaged_record(video, project, content):
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
            document.log.append(DoneRecord(False, f"{index} " + "x" * 3000))
    with (project / PROJECT_FILE).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek({"start": 0, "schema": 100, "middle": size // 2 // 4096 * 4096, "end": size - 9000}[place])
        file.write(b"X" * 5000)
    with pytest.raises(InputError, match=r"project.sqlite: cannot be .*; replace it by project.sqlite.bak and delete"):
        open_document(video)
    restore_backup(project)
    with closing(open_document(video)) as document:
        assert document.log.size == 102
        assert document.snapshot.labels(0).any()


@pytest.mark.parametrize("old", [b"TABLE masks", b"tracked_masks"])
def test_schema_that_is_not_text_is_damaged(video, project, old):
    path = project / PROJECT_FILE
    path.write_bytes(path.read_bytes().replace(old, b"\xff" + old[1:]))
    with pytest.raises(InputError, match=r"project.sqlite: cannot be opened \(.*\); replace it by project.sqlite.bak"):
        open_document(video)


def test_failed_backup_is_reported(folder, session, caplog):
    draw(session, 0, 1)
    with limit_file_size(0):
        session.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert re.match(r".*clip\.aotlab: no backup was made \(.*cannot be written", caplog.text)
    assert not list(session.document.folder.glob("*.bak*"))
    open_session(folder).close()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("damage", [methodcaller("unlink"), methodcaller("write_bytes", b"")])
def test_missing_file_does_not_replace_its_backup(video, project, damage):
    backup = (project / BACKUP_FILE).read_bytes()
    damage(project / PROJECT_FILE)
    with pytest.raises(InputError, match=r"missing or empty; replace it by project.sqlite.bak"):
        open_document(video)
    assert (project / BACKUP_FILE).read_bytes() == backup


def open_until_killed(path, function):
    kill_at_call(function)
    open_document(path)


@pytest.mark.parametrize(
    "function", ["document.database._create_tables", "session.opening.recover_export", "document.folder.encode_json"]
)
def test_video_is_opened_after_a_kill_during_its_first_opening(video, tmp_path, function, make_batch):
    project = tmp_path / "clip.aotlab"
    assert not survives_in_subprocess(open_until_killed, video, f"aotlab_studio.{function}")
    assert (project / PROJECT_FILE).is_file()
    assert locate_project(video) == (video, project)
    assert BatchClip(tmp_path, "clip", is_video=True).read_document() is None
    (clip,) = make_batch(tmp_path, open_session).list_clips()
    assert (clip.status, clip.error) == ("to do", "")
    with pytest.raises(InputError, match=r"clip.aotlab: not a project yet; open its video"):
        open_document(project)
    open_document(video).close()
    assert Document.read(project).log.size == 0


def test_project_without_its_header_is_damaged(video, project):
    change_rows(project, "DELETE FROM header")
    with pytest.raises(InputError, match="the header: not readable"):
        open_document(video)


def test_database_without_tables_is_damaged(video, project):
    change_rows(project, "DROP TABLE header")
    with pytest.raises(InputError, match=r"no such table: header.; replace it by"):
        open_document(video)


def test_result_that_cannot_be_read_again_is_not_stored(document):
    results, ids = document.tracked_masks, truth(0)
    with pytest.raises(ValueError, match="float"):
        results.put(1, LayerFrame(0, {1: Score(math.nan, 1, 0.0, 0.0)}), ids)
    results.put(1, LayerFrame(1, {1: Score(1.0, 1, 0.0, 0.0)}), ids)
    again = TrackedMaskStore(document.database, ids.shape, LENGTH)
    assert [*again.layer(1).frames] == [1]


def test_order_of_objects_is_not_part_of_a_state():
    one, two = make_object(1), make_object(2)
    states = [State().apply(Changes(objects=objects)) for objects in ({1: one, 2: two}, {2: two, 1: one})]
    assert repr(states[0]) == repr(states[1])


def test_results_that_a_backup_omits_are_outdated(folder, session, reopen):
    draw_and_track(session, 1)
    session.close()
    restore_backup(session.document.folder)
    again = reopen(folder)
    document = again.document
    np.testing.assert_array_equal(document.snapshot.labels(0), truth(0) * (truth(0) == 1))
    assert list_outdated(document.snapshot) == [(1, LENGTH - 1)]
    run_job(again, 0)
    assert list_outdated(document.snapshot) == []


def test_changed_project_replaces_its_backup(folder, session, reopen):
    draw(session, 0, 1)
    session.close()
    backup = session.document.folder / BACKUP_FILE
    backup.write_bytes(b"damaged")
    reopen(folder).close()
    assert backup.read_bytes() == b"damaged"
    session = reopen(folder)
    draw(session, 5, 1)
    session.close()
    restore_backup(session.document.folder)
    assert Document.read(session.document.folder).snapshot.drawn_frames == [0, 5]
    assert not [*session.document.folder.glob("*.new*")]


def test_project_of_another_program_survives_a_failed_opening(folder, monkeypatch):
    def make_project(*args):
        monkeypatch.undo()
        open_session(folder).close()  # after this opening has seen no project
        monkeypatch.setattr("aotlab_studio.session.opening.Document", lambda *_: 1 / 0)
        return Database.open_for_writing(*args)

    monkeypatch.setattr(Database, "open_for_writing", make_project)
    with pytest.raises(ZeroDivisionError):
        open_document(folder)
    assert Document.read(folder.with_name("clip.aotlab")).log.size == 0


def test_failed_opening_does_not_create_a_project(folder, monkeypatch):
    monkeypatch.setattr("aotlab_studio.session.opening.Document", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_document(folder)
    assert not folder.with_name("clip.aotlab").exists()


def test_full_disk_is_reported(video, project):
    with closing(open_document(video)) as document:
        document.database.query("PRAGMA max_page_count = 1")
        full = r"cannot be written \(database or disk is full\); free space"
        with pytest.raises(InputError, match=full):  # noqa: PT012 - the page that is full is a later one
            for _ in range(1000):
                editing.AddObject().run(document)
        shown = document.log.size
    with closing(open_document(video)) as again:
        assert again.log.size == shown
        editing.AddObject().run(again)


def test_full_disk_refuses_edits_until_there_is_space(folder, reopen):
    session, noise = reopen(folder), np.random.default_rng(0)
    document = session.document
    draw_and_track(session, 1)

    def draw_noise(frame):
        set_mask(document, frame, 1, noise.random(document.masks.size) < 0.5)

    def describe(document):
        return document.snapshot.masks_digest, list_titles(document), document.log.size

    write_error = pytest.raises(InputError, match=r"project\.sqlite: cannot be written")
    with limit_file_size(document.database.path.stat().st_size + 10_000), write_error:
        for _ in range(1000):
            draw_noise(3)
            acknowledged = describe(document)
    with limit_file_size(0):
        for act in (lambda: draw_noise(3), session.document.undo, lambda: Track(0).run(session)):
            with write_error:
                act()
    assert describe(document) == acknowledged
    draw_noise(5)
    session.close()
    with closing(open_document(folder)) as again:
        assert describe(again) == describe(document)
        for frame in (3, 5):
            np.testing.assert_array_equal(again.snapshot.labels(frame), document.snapshot.labels(frame))


@pytest.mark.parametrize("content", [
    None,
    b"",
    encode_png(np.zeros(SIZE, bool))[:-9],
    encode_png(np.ones(SIZE, bool)),
    encode_png(np.ones((5, 7), bool)),
    b"GIF89a",
])  # fmt: skip
def test_damaged_mask_is_reported_and_can_be_drawn_again(folder, session, content, reopen):
    draw(session, 0, 1, 2)
    draw(session, 4, 1, 2)
    run_job(session, 0)
    digest = session.document.snapshot.drawn_masks(4)[1]
    kept = session.document.database.read_content("masks", digest)
    session.close()
    change_rows(session.document.folder, "DELETE FROM masks WHERE id = ?", digest)
    if content is not None:
        change_rows(session.document.folder, "INSERT INTO masks VALUES (?, ?)", digest, content)
    again = reopen(folder)
    document = again.document
    assert run_action(again, {"do": "describe"}).timeline.marks[1][4] == "G"
    np.testing.assert_array_equal(document.snapshot.labels(5), truth(5))
    sentence = r"frame 4, object 1: the drawn mask is damaged; press R to remove it, then draw it again"
    for use in (
        lambda: document.snapshot.labels(4),
        lambda: Export(["masks"]).run(again),
        lambda: Track(0).run(again),
        lambda: draw(again, 4, 2),
    ):
        with pytest.raises(InputError, match=f"^{sentence}$"):
            use()
    editing.BackToTracked(4, 1).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(4), truth(4))  # the tracked one shows
    draw(again, 4, 1)
    assert document.database.read_content("masks", digest) == kept
    again.document.undo()
    again.document.undo()
    np.testing.assert_array_equal(document.snapshot.labels(4), truth(4))


def test_damaged_result_is_reported_and_can_be_tracked_again(folder, session, reopen):
    draw_and_track(session, 1)
    session.close()
    change_rows(session.document.folder, "UPDATE tracked_masks SET content = x'00' WHERE id = 5")
    session = reopen(folder)
    sentence = r"mask of frame 5 is damaged; clear tracking of the frame, then track it again$"
    with pytest.raises(InputError, match=sentence):
        session.document.snapshot.labels(5)
    job = run_job(session, 0)
    assert re.search(sentence, job.problem)
    session.document.undo()
    editing.ClearTracking(5, 5).run(session.document)
    run_job(session, 0)
    np.testing.assert_array_equal(session.document.snapshot.labels(5), truth(5) * (truth(5) == 1))
    assert list_outdated(session.document.snapshot) == []


def test_unreadable_database_is_not_called_a_damaged_mask(session, monkeypatch):
    draw(session, 0, 1)
    document = Document.read(session.document.folder)

    fail = Mock(
        side_effect=InputError("project.sqlite: cannot be read (database is locked); close the program that uses it")
    )
    monkeypatch.setattr(document.database, "read_content", fail)
    with pytest.raises(InputError, match=r"^frame 0, object 1: project\.sqlite: cannot be read"):
        document.snapshot.labels(0)


@pytest.mark.parametrize("name", [".lock", PROJECT_FILE, JOURNAL_FILE, "export"])
def test_links_in_a_project_rejected(video, project, tmp_path, name):
    mine = tmp_path / "mine"
    mine.write_text("kept")
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(mine)
    assert not read_project(video)
    assert mine.read_text() == "kept"


def test_restored_backup_shows_the_results_on_disk(tmp_path, reopen):
    results = write_results(tmp_path, ["a"]) / "a"
    session = reopen(results)
    editing.ChangeObject(1, name="cat").run(session.document)
    step = session.document.log.head
    session.document.set_done(True)
    before, project = list_labels(session.document), session.document.folder
    session.close()
    restore_backup(project)
    again = reopen(results)
    np.testing.assert_array_equal(before, list_labels(again.document))
    assert list_outdated(again.document.snapshot) == []
    assert again.document.status == "done"
    editing.RestoreStep(step).run(again.document)
    np.testing.assert_array_equal(before, list_labels(again.document))
    again.close()
    restore_backup(project)
    (results / "masks" / "00005.png").write_bytes(b"damaged")
    again = reopen(results)
    assert again.document.snapshot.objects[1].name == "cat"
    assert list_outdated(again.document.snapshot) == [(0, LENGTH - 1)]
