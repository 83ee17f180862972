"""Exports of all clips of a batch."""

import errno
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from aotlab import InputError
from aotlab_studio.batch import batch as batches
from aotlab_studio.document import editing
from aotlab_studio.document.log import Changes
from aotlab_studio.server.batch_app import build_batch_app
from aotlab_studio.session.export import export_masks
from studio.tests.annotation.clips import draw_folder
from studio.tests.annotation.results import (
    find_clip,
    mark_done,
    write_results,
)
from studio.tests.annotation.served import Served
from studio.tests.annotation.sessions import (
    draw,
)


def test_exported_clips_share_their_classes(results, batch):
    for name, classes in (("a", {"class a": 0, "late": None}), ("b", {"class a": 3, "late": 5})):
        with batch.use(name) as session:
            for object_id, class_name in ((1, f"class {name}"), (2, "late")):
                editing.ChangeObject(object_id, class_name=class_name).run(session.document)
            session.document.edit("load masks", Changes(classes=classes))
        mark_done(batch, name)
    assert batch.export_all(["coco"]).names == ["a", "b"]
    for name in ("a", "b"):  # a class of a later clip is in those written before it; its first id stays
        tree = json.loads((results / name / "coco.json").read_text())
        assert {each["name"]: each["id"] for each in tree["categories"]} == {"class a": 0, "class b": 1, "late": 5}


def test_video_of_a_list_is_exported_beside_it(tmp_path, make_batch):
    draw_folder(tmp_path / "one")
    batch = make_batch(tmp_path)
    with batch.use("one") as session:
        draw(session, 3, 1)
    mark_done(batch, "one")
    assert batch.export_all(["coco", "cvat"]).names == ["one"]
    written = [path.name for path in (tmp_path / "one.masks").iterdir()]
    assert sorted(written) == ["coco.json", "cvat.xml", "export.json"]
    assert find_clip(batch, "one").status == "done"


def test_list_names_clips_that_wait_for_an_export(batch, monkeypatch):
    for name in ("a", "b"):
        mark_done(batch, name)

    def list_waiting(*_):
        waiting.append([clip.name for clip in batch.list_clips() if clip.exporting])
        return []

    waiting = []
    monkeypatch.setattr(batches, "export_clip", list_waiting)
    batch.export_all(["coco"])
    list_waiting()
    (batch.folder / "classes.json").write_text("{")
    with pytest.raises(InputError, match=r"classes\.json"):
        batch.export_all(["coco"])
    list_waiting()
    assert list(map(sorted, waiting)) == [["a", "b"], ["b"], [], []]


def test_export_error_hides_the_servers_folders(results, batch):
    mark_done(batch, "a")
    (results / "a" / "coco.json").unlink(missing_ok=True)
    (results / "a" / "coco.json").mkdir()
    (results / "a" / "coco.json" / "own.txt").touch()
    (problem,) = batch.export_all(["coco"]).problems
    assert problem == "a: a/coco.json/own.txt: not written by an export; move it away"


def test_export_to_a_folder_that_cannot_be_written_names_it(results, batch, monkeypatch, tmp_path):
    mark_done(batch, "a")
    make_folder = Path.mkdir

    def refuse(path, *args, **options):
        if path.parent == results / "a":
            raise PermissionError(errno.EACCES, "Permission denied")
        make_folder(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    (problem,) = batch.export_all(["coco"]).problems
    assert problem == "a: cannot be written (Permission denied); choose another folder"
    assert batch.export_all(["coco"], folder=tmp_path / "elsewhere").names == ["a"]
    assert (tmp_path / "elsewhere" / "a" / "coco.json").is_file()
    assert (tmp_path / "elsewhere" / "a" / "masks").is_dir()
    assert not (results / "a" / "coco.json").exists()


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("out", "folder out: not an absolute path; begin it with /"),
        ("/nowhere/out", "/nowhere/out: cannot be written (No such file or directory); choose another folder"),
    ],
)
def test_unusable_folder_of_an_export_rejected(batch, folder, problem):
    with pytest.raises(InputError, match=re.escape(problem)):
        batch.export_all(["coco"], folder=Path(folder))


def test_killed_export_is_replaced_by_the_next(results, batch, monkeypatch):
    mark_done(batch, "a")
    with monkeypatch.context() as patch:
        patch.setattr("aotlab_video.Results.write", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            batch.export_all(["coco"])
    answer = batch.export_all(["coco"])
    assert (answer.names, answer.problems) == (["a"], [])


def test_exports_wait_for_each_other(results, batch, monkeypatch):
    mark_done(batch, "a")
    running = []

    def write(*args, **options):
        running.append(threading.get_ident())
        time.sleep(0.05)  # others would begin meanwhile
        assert running == [threading.get_ident()]
        exported = export_masks(*args, **options)
        running.clear()
        return exported

    monkeypatch.setattr("aotlab_studio.batch.export.export_masks", write)
    with ThreadPoolExecutor(2) as threads:
        exports = [threads.submit(batch.export_all, ["coco"]) for _ in range(4)]
    assert [(export.result().names, export.result().problems) for export in exports] == [(["a"], [])] * 4


def test_clip_stays_open_while_it_is_exported(batch, monkeypatch):
    with batch.use("a", is_page=True):
        pass

    def export(export, document, classes, folder):
        batch.open_clips.close_if_unused("a")
        document.database.folder_lock.check_held()

    monkeypatch.setattr("aotlab_studio.batch.batch.export_clip", export)
    mark_done(batch, "a")
    assert batch.export_all([]).names == ["a"]


def test_moved_batch_opens_and_exports(tmp_path, make_batch):
    write_results(tmp_path / "old", ["a"])
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new" / "batch" / "a" / "thumbnail.jpg").unlink()
    batch = make_batch(tmp_path / "new" / "batch")
    with closing(Served(batch, build_batch_app(batch))) as served:
        assert served.get("/thumbnail/a").headers["content-type"] == "image/jpeg"
        mark_done(batch, "a")
        assert batch.export_all(["coco"]).names == ["a"]
    (tmp_path / "new").rename(tmp_path / "newer")
    batch = make_batch(tmp_path / "newer" / "batch")
    assert batch.export_all(["coco"]).names == ["a"]
    (tmp_path / "newer" / "videos").rename(tmp_path / "elsewhere")
    (problem,) = batch.export_all(["coco"]).problems  # the folder of results has the name of the video
    assert "its video a is missing" in problem
