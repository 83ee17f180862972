"""Projects belong to one video, survive edits by other programs, and are refused in one sentence otherwise."""

import os
import shutil
from contextlib import closing
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import aotlab_video
from aotlab import InputError
from aotlab_studio import annotate as cli
from aotlab_studio.document import editing
from aotlab_studio.document.database import PROJECT_FILE
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import locate_project
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import list_outdated
from aotlab_studio.session.actions import Describe, Export, Track
from aotlab_studio.session.opening import open_document
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder, truth, write_video
from studio.tests.annotation.results import change_record, write_results
from studio.tests.annotation.served import Served
from studio.tests.annotation.sessions import (
    change_rows,
    draw,
    draw_and_track,
    list_tracked_frames,
    open_session,
    run_job,
    set_mask,
)


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


def test_digest_changes_with_any_image(folder):
    before, image = aotlab_video.digest_video(folder), folder / "00011.png"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 1
    image.write_bytes(content)
    after = aotlab_video.digest_video(folder)
    assert after["bytes"] == before["bytes"]
    assert after != before


def test_command_refuses_a_changed_video(folder, session, never_served):
    draw(session, 0, 1)
    session.close()
    Image.fromarray(np.full((40, 60, 3), 9, np.uint8)).save(folder / "00000.png")
    assert cli.main([str(folder), "--no-browser"]) == 2
    assert cli.main([str(folder), "--no-browser", "--same-video"]) == 0


def test_reopened_project_holds_everything(folder, session, document, reopen):
    draw_and_track(session, 1, 2)
    editing.MarkAbsent(7, 2).run(document)
    editing.ChangeObject(2, name="box", locked=True).run(document)
    session_scores = document.snapshot.scores(5)
    session.close()
    for path in (folder, folder.parent / "clip.aotlab"):
        again = reopen(path)
        assert again.document.snapshot.objects[2].name == "box"
        assert again.document.snapshot.objects[2].locked
        np.testing.assert_array_equal(again.document.snapshot.labels(5), truth(5))
        np.testing.assert_array_equal(again.document.snapshot.labels(7), np.where(truth(7) == 1, 1, 0))
        assert set(again.document.snapshot.drawn_masks(7)) == {2}
        assert again.document.snapshot.scores(5) == session_scores
        assert len(list_tracked_frames(again.document.snapshot)) == LENGTH - 1


def test_project_moves_with_its_video(folder, session, tmp_path, reopen):
    draw(session, 0, 1)
    session.close()
    target = tmp_path / "elsewhere"
    target.mkdir()
    folder.rename(target / "clip")
    (tmp_path / "clip.aotlab").rename(target / "clip.aotlab")
    again = reopen(target / "clip.aotlab")
    np.testing.assert_array_equal(again.document.snapshot.labels(0), truth(0) == 1)


def test_project_in_use_or_of_another_video_rejected(folder, session, tmp_path):
    editing.AddObject().run(session.document)
    with pytest.raises(InputError, match="open elsewhere since"):
        open_session(folder)
    session.close()
    (folder / "00011.png").unlink()
    with pytest.raises(InputError, match="12 frames, 60×40, this one has 11 frames, 60×40"):
        open_session(folder)


def test_error_names_the_missing_video_of_a_project(folder, session, tmp_path):
    editing.AddObject().run(session.document)
    session.close()
    folder.rename(tmp_path / "other")
    with pytest.raises(InputError, match="its video clip is missing"):
        open_session(tmp_path / "clip.aotlab")


def test_layers_beyond_reach_of_redo_are_removed(folder, session, reopen):
    draw_and_track(session, 1)
    session.document.undo()
    session = reopen(folder)
    session.document.redo()
    assert len(list_tracked_frames(session.document.snapshot)) == LENGTH - 1
    session.document.undo()
    editing.AddObject().run(session.document)
    session = reopen(folder)
    assert session.document.database.query("SELECT count(*) FROM tracked_masks") == [(0,)]


def test_project_of_a_project_rejected(folder, session, tmp_path):
    session.close()
    with pytest.raises(InputError, match=r"is a project already; remove the option"):
        open_session(session.document.folder, project=tmp_path / "other")


def test_project_on_another_drive_is_opened(folder, tmp_path, monkeypatch):
    fail = Mock(side_effect=ValueError("path is on mount 'D:', start on mount 'C:'"))
    monkeypatch.setattr(os.path, "relpath", fail)
    open_session(folder, project=tmp_path / "project").close()
    with closing(open_session(tmp_path / "project")) as session:
        assert session.document.frames.path == folder


@pytest.mark.parametrize("name", ["100% #1?mode=rw&x", "größe", os.fsdecode(b"\xff")])
def test_project_of_any_name_is_opened(folder, tmp_path, name):
    with closing(open_session(folder, project=tmp_path / name)) as session:
        draw(session, 0, 1)
    assert Document.read(tmp_path / name).snapshot.labels(0).any()
    assert session.document.snapshot.labels(0).any()  # a request that is still being answered
    with pytest.raises(InputError, match="was closed; open it again"):
        editing.AddObject().run(session.document)


def test_video_of_an_undecodable_name_is_opened_and_exported(folder):
    clip = folder.rename(folder.with_name(os.fsdecode(b"\xff")))
    for frame in (0, 1):
        session = open_session(clip)
        with closing(Served(session)) as served:  # closes the session
            assert served.open().do("describe")["result"]["name"] == clip.name
            draw(session, frame, 1)
            Export(["masks"]).run(session)
    assert locate_project(session.document.folder)[0] == clip
    assert Document.read(session.document.folder).snapshot.drawn_frames == [0, 1]


ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, zeroblob(9) AS content FROM n"
)


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE header", f"CREATE VIEW header AS {ENDLESS}"],
        ["CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM masks; END"],
        ["DROP TABLE scores", "CREATE TABLE scores (id TEXT PRIMARY KEY, content BLOB AS (zeroblob(1000000000)))"],
        ["CREATE INDEX slow ON masks (length(hex(content)))"],
    ],
)
def test_project_with_other_tables_rejected(folder, session, reopen, statements):
    draw(session, 0, 1)
    session.close()
    for statement in statements:
        change_rows(session.document.folder, statement)
    for read in (lambda: Document.read(session.document.folder), lambda: reopen(folder)):
        with pytest.raises(InputError, match=r"project\.sqlite: .* is not part of a project"):
            read()


def test_recovered_project_is_read(session):
    draw(session, 0, 1)
    session.close()
    change_rows(session.document.folder, "CREATE TABLE lost_and_found(rootpgno INTEGER, c0)")
    assert Document.read(session.document.folder).snapshot.labels(0).any()


def test_layer_of_a_lost_entry_is_not_adopted(folder, session, reopen):
    draw_and_track(session, 1)
    session.close()
    change_rows(session.document.folder, "DELETE FROM records WHERE instr(content, '\"layers\"')")
    reopened = reopen(folder)
    assert list_tracked_frames(reopened.document.snapshot) == []
    run_job(reopened, 0, last=2)
    assert list_tracked_frames(reopened.document.snapshot) == [1, 2]


def test_edit_computes_what_shows_once(session, document, monkeypatch):
    draw_and_track(session, 1)
    document.describe_page_state()
    document.listeners[lambda event: None] = None  # an open page, for which its state is computed
    counted, compute = [], Snapshot.newest_layers.func
    monkeypatch.setattr(Snapshot.newest_layers, "func", lambda now: counted.append(1) or compute(now))
    set_mask(document, 5, 1, truth(4) == 1)
    assert len(counted) == 1
    list_outdated(document.snapshot)
    assert len(counted) == 1


def test_results_open_without_the_masks_they_were_tracked_from(tmp_path, reopen, caplog):
    results = write_results(tmp_path, ["a"]) / "a"
    change_record(results, masks=[str(tmp_path / "gone.png")])
    session = reopen(results)
    assert list_tracked_frames(session.document.snapshot) == [*range(LENGTH)]
    assert "gone.png: no such file; expected a file of masks. The results are used without" in caplog.text


@pytest.mark.parametrize("name", ["c" * 61, "traffic\tlight"])
def test_results_with_a_long_or_unprintable_class_are_opened(tmp_path, name):
    results = write_results(tmp_path, ["a"]) / "a"
    change_record(results, classes=aotlab_video.ObjectClasses({1: name}))
    with closing(open_document(results)) as document:
        assert document.snapshot.objects[1].class_name == name.replace("\t", "")[:60]


def test_attributes_of_results_belong_to_the_object(tmp_path):
    results = write_results(tmp_path, ["a"]) / "a"
    info = aotlab_video.VideoInfo("a", (HEIGHT, WIDTH), LENGTH)
    given = aotlab_video.read_annotations(results / "masks", info)
    given.add_attributes({1: {0: {"name": "Rex", "cut": True}}, 2: {0: {"pose": "up"}, 3: {"pose": "down"}}})
    aotlab_video.find_mask_writer("coco").write(tmp_path / "given.json", given, info)
    (results / "masks" / "00000.png").unlink()  # `track --start 1` ignores the mask before it
    entries = aotlab_video.Results.read(results).entries[1:]
    change_record(results, masks=[str(tmp_path / "given.json")], first_frame=1, entries=entries)
    with closing(open_document(results)) as document:
        objects, state = document.snapshot.objects, document.snapshot.state
        assert document.snapshot.drawn_frames == [*range(1, LENGTH)]
        assert objects[1].name == "Rex"
        assert state.attributes == {1: {0: {"cut": True}}, 2: {0: {"pose": "up"}, 3: {"pose": "down"}}}


def test_classes_of_results_are_offered(tmp_path, reopen):
    results = write_results(tmp_path, ["a"]) / "a"
    change_record(results, classes=aotlab_video.ObjectClasses({1: "cat", 2: "dog"}))
    session = reopen(results)
    assert Describe().run(session).classes == ["cat", "dog"]


def test_renamed_video_names_its_project(tmp_path):
    write_video(tmp_path / "old.avi")
    with closing(open_session(tmp_path / "old.avi")) as session:
        draw(session, 0, 1)
    (tmp_path / "old.avi").rename(tmp_path / "new.avi")
    with pytest.raises(InputError, match=r"new.avi: the project old.avi.aotlab beside it .* rename the project to new"):
        open_document(tmp_path / "new.avi")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.avi", "old.avi.aotlab"]
    (tmp_path / "old.avi.aotlab").rename(tmp_path / "new.avi.aotlab")
    with closing(open_session(tmp_path / "new.avi")) as session:
        np.testing.assert_array_equal(session.document.snapshot.labels(0), truth(0) == 1)


def test_copied_video_gets_a_project(tmp_path):
    write_video(tmp_path / "old.avi")
    open_session(tmp_path / "old.avi").close()
    shutil.copy(tmp_path / "old.avi", tmp_path / "copy.avi")
    open_session(tmp_path / "copy.avi").close()
    assert (tmp_path / "copy.avi.aotlab" / PROJECT_FILE).is_file()


def list_contents(folder):
    """Return the content of all files in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_project_on_a_read_only_disk_opens_for_viewing(folder, session, monkeypatch):
    draw_and_track(session, 1)
    session.close()
    before = list_contents(session.document.folder)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    with closing(open_session(folder)) as again:
        assert "opened for viewing; changes are refused" in Describe().run(again).problems[0]
        np.testing.assert_array_equal(again.document.snapshot.labels(5), truth(5) == 1)
        for change in (lambda: draw(again, 3, 1), lambda: again.document.set_done(True), lambda: Track(0).run(again)):
            with pytest.raises(InputError, match="opened for viewing, as it cannot be written; copy it to change it"):
                change()
        Export(["masks"]).run(again)
        assert again.archive.is_file()
    assert list_contents(session.document.folder) == before


def test_read_only_batch_lists_and_opens_clips(tmp_path, make_batch, monkeypatch):
    results = write_results(tmp_path, ["a"])
    with closing(open_session(results / "a")) as session:
        draw(session, 3, 1)
    before = list_contents(session.document.folder)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    batch = make_batch(results)
    with batch.use("a", is_page=True) as session:
        assert Describe().run(session).problems
    batch.close()
    assert list_contents(session.document.folder) == before
