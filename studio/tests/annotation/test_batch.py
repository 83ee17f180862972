"""A batch on one server: its list, clips of several people, status, tracking, exports, and folders that it opens."""

import io
import json
import platform
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus

from aotlab import InputError, JobOptions, TrackerOptions, open_frames, track, write_mask
from aotlab.configs.files import ROOT
from aotlab.internal import write_job_record
from aotlab.sdk import JOB_RECORD, JobRecord
from aotlab_studio import annotate as cli
from aotlab_studio.batch import batch as batches
from aotlab_studio.batch import clips, open_clips
from aotlab_studio.batch.batch import Batch
from aotlab_studio.batch.clips import find_clips
from aotlab_studio.document import editing, lock
from aotlab_studio.document.document import Document
from aotlab_studio.document.folder import find_project
from aotlab_studio.document.log import Actor, Changes, Layer
from aotlab_studio.document.outdated import list_outdated
from aotlab_studio.review.checks import REVIEW_FILE, Check, VideoReview
from aotlab_studio.review.output import THUMBNAIL_HEIGHT, draw_thumbnail
from aotlab_studio.server.batch_app import build_batch_app
from aotlab_studio.session.export import export_masks
from aotlab_studio.session.opening import open_document
from aotlab_studio.tracking.models import TrackerLoader
from aotlab_studio.utils.files import STAGED, read_json
from studio.tests.annotation.clips import HEIGHT, LENGTH, WIDTH, draw_folder, image, truth
from studio.tests.annotation.results import (
    change_record,
    find_clip,
    open_clip,
    replace_results,
    set_status,
    statuses,
    wait_until_tracked,
    write_results,
)
from studio.tests.annotation.served import Served
from studio.tests.annotation.sessions import (
    change_rows,
    draw,
    list_titles,
    list_tracked_frames,
    open_session,
    restore_backup,
    start_held_job,
    wait_for,
)
from studio.tests.annotation.trackers import TruthTracker
from tests.processes import WAIT_SECONDS, wait_for_event, wait_until


def post_status(served, name, person="", **values):
    """Set a status as the list does; return the answer."""
    return served.post(f"/clip/{name}/edits", [{"do": "set_status", **values}], person).json()[0]


def test_list_starts_with_the_worst_video(batch, served_list):
    clips = json.loads(served_list.get("/clips").content)
    assert [clip["name"] for clip in clips] == ["b", "a", "c"]
    assert clips[0]["sentences"] == ["frame 3: object 1 is lost"]
    assert {clip["status"] for clip in clips} == {"open"}
    assert b"batch.js" in served_list.get("/").content
    thumbnail = served_list.get("/thumbnail/b").headers
    assert (thumbnail["content-type"], thumbnail["cache-control"]) == ("image/jpeg", "no-store")
    assert "max-age" in served_list.get("/thumbnail/b?digest=1").headers["cache-control"]
    assert served_list.get("/thumbnail/x").status_code == 409
    with batch.use("b", "Ann") as session:
        for index in range(LENGTH):
            draw(session, index, 1)
    assert [(clip.name, clip.sentences) for clip in batch.list_clips()] == [("a", []), ("b", []), ("c", [])]


def test_clip_is_served_below_its_name(served_list):
    assert b"main.js" in served_list.get("/clip/b/").content
    assert served_list.get("/clip/b/page/main.js").status_code == 200
    assert served_list.get("/clip/b/labels/0").status_code == 200
    connection = served_list.open("clip/b/socket")
    described = connection.do("describe")["result"]
    assert described["name"] == "b"
    assert served_list.get("/clip/x/").text == "x: no such clip; open the list"
    connection.socket.close()


def test_first_edit_and_finishing_set_the_status(batch, served_list):
    connection = served_list.open("clip/b/socket", "Zoë")
    assert statuses(batch)["b"] == "open"
    connection.do("paint", frame=2, object_id=1, points=[[10, 10]], radius=3)
    assert statuses(batch)["b"] == "in progress"
    (clip, *_) = batch.list_clips()
    assert clip.author == "Zoë"
    assert clip.holder.startswith("Zoë on ")
    assert "error" not in post_status(served_list, "b", "Zoë", status="rejected", note="blurred")
    (clip, *_) = batch.list_clips()
    assert (clip.status, clip.note) == ("rejected", "blurred")
    assert [version["title"] for version in connection.do("list_versions")["result"]] == ["rejected: blurred"]
    connection.do("undo")
    (clip, *_) = batch.list_clips()
    assert (clip.status, clip.note) == ("in progress", "")  # the note was another person's
    connection.socket.close()


def test_documented_program_accepts_all_clips(batch, served_list):
    page = (ROOT / "docs" / "reference" / "http.md").read_text()
    (program,) = re.findall(r"```python\n(from urllib.*?)```", page, re.DOTALL)
    exec(program, {"url": served_list.url})
    assert {clip.status for clip in batch.list_clips()} == {"accepted"}
    assert {clip.author for clip in batch.list_clips()} == {"Ann"}


def test_change_without_a_name_is_rejected_in_a_list(batch, served_list):
    connection = served_list.open("clip/b/socket")
    answer = connection.do("paint", frame=2, object_id=1, points=[[10, 10]], radius=3)
    assert "type your name" in answer["error"]
    assert statuses(batch)["b"] == "open"
    connection.socket.close()


def test_status_is_stored_under_the_name_of_who_set_it(batch, served_list):
    connection = served_list.open("clip/b/socket", "Ann")
    connection.do("describe")
    set_status(batch, "b", "Bob", "accepted")
    clip = find_clip(batch, "b")
    assert (clip.status, clip.author) == ("accepted", "Bob")
    connection.socket.close()


def test_rejected_page_does_not_log_an_error(served_list, caplog):
    connection = served_list.open("clip/b/socket", "Ann")
    connection.do("describe")
    with pytest.raises(InvalidStatus):
        served_list.open("clip/b/socket", "Bob")
    connection.socket.close()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_second_person_is_rejected_until_the_first_leaves(batch, served_list):
    connection = served_list.open("clip/b/socket", "Ann")
    connection.do("describe")
    refused = served_list.get("/clip/b/", person="Bob")
    assert refused.status_code == 409
    assert "Ann has it open" in refused.text
    masks = served_list.post("/clip/b/masks/0", [], "Bob")
    assert (masks.status_code, "Ann has it open" in masks.text) == (409, True)
    # a status in the list, and what a page sends when it closes
    for message in ({"do": "set_status", "status": "rejected", "note": "dark"}, {"do": "add_object"}):
        (answer,) = served_list.post("/clip/b/edits", [message], "Bob").json()
        assert "error" not in answer
    assert batch.list_clips()[0].holder.startswith("Ann on ")
    assert not batch.list_clips("Ann")[0].holder
    connection.socket.close()
    wait_until(lambda: not batch.list_clips()[0].holder)
    assert served_list.get("/clip/b/", person="Bob").status_code == 200


def test_invalid_status_rejected(served_list):
    assert "Invalid enum value 'perfect' - at `status`" in post_status(served_list, "a", status="perfect")["error"]
    assert "unknown field `color`" in post_status(served_list, "a", status="open", color=1)["error"]
    assert served_list.post("/clip/a/edits", b"[").status_code == 422
    assert served_list.get("/clip/a/edits", "POST", content=b"[]").status_code == 403  # no Origin


def test_incomplete_status_request_does_not_log_an_error(batch, served_list, caplog):
    request = f"POST /clip/b/edits HTTP/1.1\r\nHost: {served_list.host}\r\nOrigin: {served_list.address}\r\n"
    with socket.create_connection(served_list.host.split(":"), timeout=WAIT_SECONDS) as client:
        client.sendall(f"{request}Cookie: {served_list.cookie}\r\nContent-Length: 9\r\n\r\nhalf".encode())
    served_list.close()
    assert "Traceback" not in caplog.text
    assert not caplog.records


def test_two_clips_open_side_by_side(results, make_batch, begin_request):
    both = threading.Barrier(2, timeout=WAIT_SECONDS)

    def open_together(folder, project):
        both.wait()  # broken after the timeout if the second clip waits for the first
        return open_clip(folder, project)

    batch = make_batch(results, open_together)
    with ThreadPoolExecutor() as pool:
        opened = list(pool.map(lambda name: begin_request(batch, name), ["a", "b"]))
    assert [session.document.frames.name for session in opened] == ["a", "b"]
    assert sorted(clip.holder for clip in batch.list_clips()) == ["", "this program", "this program"]
    batch.close()
    assert not any(clip.holder for clip in batch.list_clips())


def test_page_that_connects_continues_corrections(batch, served_list, long_pause, monkeypatch, begin_request):
    with batch.use("a", "Ann") as session:
        draw(session, 4, 2)
        assert list_outdated(session.document.snapshot)
    monkeypatch.setattr("aotlab_studio.tracking.jobs.CORRECTION_DELAY", 0)
    session = begin_request(batch, "a", "Ann", is_page=True)
    assert list_outdated(session.document.snapshot)
    connection = served_list.open("clip/a/socket", "Ann")
    wait_until(lambda: not list_outdated(session.document.snapshot))
    connection.socket.close()


def test_clip_is_closed_if_its_name_cannot_be_written(batch, monkeypatch, begin_request):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0)
    with monkeypatch.context() as patch:
        patch.setattr(lock.FolderLock, "name_person", lambda *_: open_document(Path("missing")))
        with pytest.raises(InputError, match="missing"):
            begin_request(batch, "a", "Ann", is_page=True)
    open_clip(batch.folder / "a").close()


def test_clip_requested_twice_is_opened_once(results, make_batch, begin_request):
    opened = []

    def count_openings(folder, project):
        opened.append(folder.name)
        return open_clip(folder, project)

    batch = make_batch(results, count_openings)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: begin_request(batch, "a"), range(4)))
    assert opened == ["a"]
    assert len(batch.open_clips._clips["a"].people) == 4


def test_clip_without_a_mask_is_repaired_in_place(results, batch, make_batch, begin_request):
    change_record(results / "a", written=[], status="failed", error="no mask")
    (clip, *_) = batch.list_clips()
    assert (clip.name, clip.error) == ("a", "no mask")
    with batch.use("a", "Ann", is_page=True) as session:
        draw(session, 0, 1)
    clip = find_clip(batch, "a")
    assert (clip.status, clip.error, clip.sentences) == ("in progress", "", [])
    change_record(results / "a", video=str(results / "none"))
    batch.close()
    with pytest.raises(InputError, match="no such file or folder"):
        begin_request(make_batch(results), "a")


def test_list_reads_only_changed_records(results, batch, monkeypatch):
    shown, read = batch.list_clips(), []
    read_job = clips.read_job
    monkeypatch.setattr(clips, "read_job", lambda folder: [read.append(folder.name), read_job(folder)][1])
    assert batch.list_clips() == shown
    assert read == []
    change_record(results / shown[0].name, status="failed", error="damaged video")
    assert find_clip(batch, shown[0].name).error == "damaged video"
    assert read == [shown[0].name]


def test_opening_a_clip_removes_files_of_a_killed_export(results, batch):
    (results / "a" / STAGED).mkdir()
    with batch.use("a", "Ann"):
        assert not (results / "a" / STAGED).exists()


def test_clips_of_a_killed_list_are_shown(results, make_batch):
    change_record(results / "c", status="unfinished")
    batch = make_batch(results)
    assert [clip.name for clip in batch.list_clips()] == ["b", "a"]


def test_folder_of_videos_opens_as_a_batch(tmp_path, make_batch):
    folder = tmp_path / "videos"
    for name in ("one", "two", "three"):
        draw_folder(folder / name)
    assert find_clips(folder / "one") == []  # a folder of frames
    batch = make_batch(folder)
    assert [(clip.name, clip.status, clip.untracked) for clip in batch.list_clips()] == [
        (name, "open", False) for name in ("one", "three", "two")
    ]
    for name in ("one", "two"):
        with batch.use(name, "Ann") as session:
            draw(session, 3, 1)
            editing.change_object(session.document, 1, class_name=f"class {name}")
            editing.add_object(session.document)
            editing.change_object(session.document, 2, class_name="late")
            classes = {"class one": 0, "late": None} if name == "one" else {"class one": 3, "late": 5}
            session.document.edit("load masks", Changes(classes=classes))
    with pytest.raises(InputError, match="type your name first"):
        set_status(batch, "one", "", "accepted")
    assert batch.track_all("Ann") == 2
    wait_until_tracked(batch)
    for name in ("one", "two"):
        np.testing.assert_array_equal(
            Document.read(folder / f"{name}.aotlab").snapshot.labels(9), truth(9) * (truth(9) == 1)
        )
        set_status(batch, name, "Ann", "accepted")
    assert batch.export_all(["coco", "cvat"]).names == ["one", "two"]
    assert sorted(path.name for path in (folder / "two.masks").iterdir()) == [".corrected", "coco.json", "cvat.xml"]
    for name in ("one", "two"):  # a class of a later clip is in those written before it; its first id stays
        tree = json.loads((folder / f"{name}.masks" / "coco.json").read_text())
        assert {each["name"]: each["id"] for each in tree["categories"]} == {"class one": 0, "class two": 1, "late": 5}
    assert [clip.name for clip in batch.list_clips()] == ["one", "three", "two"]


def test_batch_tracks_the_range_of_a_clip(tmp_path, make_batch):
    folder = tmp_path / "videos"
    for name in ("four", "one", "three", "two"):
        draw_folder(folder / name)
    batch = make_batch(folder)
    for name, frame in (("one", 3), ("two", 0), ("three", 3), ("four", 1)):
        with batch.use(name, "Ann") as session:
            editing.set_range(session.document, 1, 4)
            draw(session, frame, 1)
    with batch.use("four", "Ann") as session:
        editing.mark_absent(session.document, 3, 1)
    set_status(batch, "three", "Ann", "accepted", outdated="proceed")
    assert [clip.name for clip in batch.list_clips() if clip.untracked] == ["four", "one"]
    assert batch.track_all("Ann") == 2
    wait_until_tracked(batch)
    assert Document.read(folder / "one.aotlab").snapshot.annotated_frames == [1, 2, 3, 4]
    assert Document.read(folder / "four.aotlab").snapshot.annotated_frames == [1, 2, 3]  # then it is absent
    assert not any(clip.untracked for clip in batch.list_clips())
    assert statuses(batch)["three"] == "accepted"


def test_videos_with_the_most_to_check_come_first(tmp_path, make_batch, monkeypatch):
    monkeypatch.setattr(
        "aotlab_studio.batch.clips.list_checks", lambda now: [Check(0, 1, "jump", 1.0)] * len(now.drawn_frames)
    )
    for name, count in (("one", 0), ("three", 4), ("two", 5)):
        with closing(open_session(draw_folder(tmp_path / name))) as session:
            for index in range(count):
                draw(session, index, 1)
    batch = make_batch(tmp_path)
    assert [(clip.name, len(clip.sentences)) for clip in batch.list_clips()] == [("two", 3), ("three", 3), ("one", 0)]


def test_thumbnail_shows_the_masks_of_a_project(tmp_path, make_batch):
    draw_folder(tmp_path / "one")
    batch = make_batch(tmp_path)
    width, height = round(WIDTH * THUMBNAIL_HEIGHT / HEIGHT), THUMBNAIL_HEIGHT

    def read():
        return np.array(Image.open(io.BytesIO(batch.draw_thumbnail("one")))).astype(int)

    assert read().shape == (height, width, 3)
    assert abs(read() - draw_thumbnail(image(0), np.zeros((HEIGHT, WIDTH)))).mean() < 3
    with closing(open_session(tmp_path / "one")) as session:
        for index in (3, 5):
            draw(session, index, 1)
    assert read().shape == (height, 2 * width + 8, 3)
    assert abs(read()[:, :width] - draw_thumbnail(image(3), truth(3) == 1)).mean() < 3


def test_clip_without_edits_gets_the_masks_of_the_last_tracking(results, batch):
    set_status(batch, "a", "Ann", "accepted")
    replace_results(results, "a", 3)
    assert statuses(batch)["a"] == "in progress"
    with batch.use("a", "Ann") as session:
        document = session.document
        np.testing.assert_array_equal(document.snapshot.labels(9), np.roll(truth(9), 3, 0))
        assert (document.log.has_history, document.tracked_again_warning, list_titles(document)) == (
            False,
            "",
            (None, None),
        )
    replace_results(results, "a", 3, range(2, 6))
    with batch.use("a", "Ann") as session:
        assert session.document.snapshot.editable_range == (2, 5)
    assert find_clip(batch, "a").frames == 4
    with batch.use("a", "Ann") as session:
        session.document.restore_version(1)  # the accepted masks
        np.testing.assert_array_equal(session.document.snapshot.labels(9), truth(9))


def test_import_after_a_canceled_request_is_not_an_edit(results):
    with closing(open_document(results / "a")) as document:
        document.edit("tracking", Changes(layers={document.make_layer_id(): Layer([1], 1, 3)}))
        assert document.cancel(document.log.head)
    replace_results(results, "a", 3)
    with closing(open_document(results / "a")) as document:
        np.testing.assert_array_equal(document.snapshot.labels(9), np.roll(truth(9), 3, 0))
        assert (document.log.has_history, document.undo()) == (False, None)


def test_backup_of_a_clip_without_edits_shows_its_results(results, batch):
    with batch.use("a", "Ann") as session:
        folder = session.document.folder
    batch.close()
    for path in (results / "a", folder):
        restore_backup(folder)
        with closing(open_clip(path)) as session:
            np.testing.assert_array_equal(session.document.snapshot.labels(5), truth(5))


def test_project_of_results_opens_the_last_tracking(results):
    open_document(results / "a").close()
    replace_results(results, "a", 3)
    with closing(open_document(results / "a.aotlab")) as document:
        np.testing.assert_array_equal(document.snapshot.labels(9), np.roll(truth(9), 3, 0))
        assert not document.log.has_history


def test_batch_of_links_finds_projects_of_their_videos(tmp_path, make_batch):
    for name in ("one", "two"):
        video = draw_folder(tmp_path / "videos" / name)
        (tmp_path / "links").mkdir(exist_ok=True)
        (tmp_path / "links" / name).symlink_to(video)
    for path in (tmp_path / "videos" / "one", tmp_path / "links" / "two"):
        with closing(open_session(path, project=path.with_name(f"{path.name}.aotlab"))) as session:
            draw(session, 0, 1)
    batch = make_batch(tmp_path / "links")
    assert [clip.objects for clip in batch.list_clips()] == [1, 1]
    for name in ("one", "two"):
        with batch.use(name, "Ann") as session:
            assert session.document.snapshot.labels(0).any()


def test_edited_clip_keeps_its_masks_and_shows_a_warning(results, batch):
    with batch.use("a", "Ann") as session:
        draw(session, 4, 2)
        before = session.document.snapshot.masks_digest
    set_status(batch, "a", "Ann", "accepted", outdated="proceed")
    replace_results(results, "a", 3)
    clip = find_clip(batch, "a")
    assert clip.status == "in progress"
    assert clip.sentences[0].startswith("the video was tracked again")
    exported = batch.export_all([])
    assert exported.names == []
    assert exported.problems == ["a: tracked again since it was accepted; set its status again"]
    with batch.use("a", "Ann") as session:
        assert session.document.snapshot.masks_digest == before
        assert session.describe().problems == [session.document.tracked_again_warning] != [""]
    set_status(batch, "a", "Ann", "accepted", outdated="proceed")
    clip = find_clip(batch, "a")
    assert clip.status == "accepted"
    assert not any("tracked again" in sentence for sentence in clip.sentences)
    assert batch.export_all([]).names == ["a"]


def test_list_names_clips_that_wait_for_an_export(batch, monkeypatch):
    for name in ("a", "b"):
        set_status(batch, name, "Ann", "accepted", outdated="proceed")

    def list_waiting(*_):
        waiting.append([clip.name for clip in batch.list_clips() if clip.sentences == ["waits for export"]])
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


def test_edited_clip_of_an_unknown_tracking_is_marked(results, batch):
    with batch.use("a", "Ann") as session:
        draw(session, 4, 2)
    batch.open_clips.close_if_unused("a")
    statement = 'UPDATE records SET content = replace(content, \'"source_digest":"\', \'"other":"\')'
    change_rows(results / "a.aotlab", statement)
    clip = find_clip(batch, "a")
    assert "tracked again" in clip.sentences[0]


def test_status_of_masks_that_changed_since_is_rejected(results, batch, served_list):
    def accept():
        return post_status(served_list, "a", "Ann", status="accepted", digest=digest)

    def edit():
        with batch.use("a", "Bob") as session:
            draw(session, 4, 2)

    for change in (lambda: replace_results(results, "a", 3), edit):
        digest = find_clip(batch, "a").digest
        assert "error" not in accept()
        digest = find_clip(batch, "a").digest
        change()
        problem = "a: changed since the list was read; look at it, then set the status again"
        assert accept()["error"] == problem
        assert statuses(batch)["a"] == "in progress"


def test_export_names_who_made_it(results, batch, served_list, begin_request):
    for name in ("a", "b"):
        set_status(batch, name, "Ann", "accepted")
    session = begin_request(batch, "b", "Ann")
    answer = served_list.post("/export", [], "Bob")
    assert answer.json()["names"] == ["a", "b"]
    records = [json.loads((results / name / ".corrected").read_text()) for name in ("a", "b")]
    assert [record["person"] for record in records] == ["Bob", "Bob"]
    assert session.document.log.status.author == "Ann"


def test_model_choice_reaches_the_pages_of_all_clips(results, tmp_path, make_batch):
    loader, told = TrackerLoader(TrackerOptions(), [tmp_path / "other.safetensors"]), {}
    batch = make_batch(results, partial(cli.open_session, loader=loader))
    for name in ("a", "b"):
        with batch.use(name, "Ann", is_page=True) as session:
            session.document.listeners[partial(told.__setitem__, name)] = None
    session.set_model("other")
    batch.open_clips.close_if_unused("a")
    session.set_model(next(iter(loader.models)))
    assert {name: event.model for name, event in told.items()} == {"a": "other", "b": next(iter(loader.models))}


def test_clip_accepted_while_it_waits_is_not_tracked(tmp_path, make_batch):
    begun, accepted = threading.Event(), threading.Event()

    class WaitingTracker(TruthTracker):
        def step(self, *values):
            begun.set()
            wait_for_event(accepted)
            return super().step(*values)

    for name in ("one", "two"):
        draw_folder(tmp_path / name)
    batch = make_batch(tmp_path, lambda path, project: open_session(path, WaitingTracker(), project=project))
    for name in ("one", "two"):
        with batch.use(name, "Ann") as session:
            draw(session, 3, 1)
    assert batch.track_all("Ann") == 2
    wait_for_event(begun)
    again = batch._tracking.submit(batch._track, "one", "Bob")  # two requests may choose a clip at once
    set_status(batch, "two", "Bob", "accepted", outdated="proceed")
    accepted.set()
    wait_until(lambda: all(run.done() for run in batch._tracking_runs.values()))
    assert statuses(batch) == {"one": "in progress", "two": "accepted"}
    assert [run.result() for run in (again, *batch._tracking_runs.values())] == ["", "", ""]
    assert len(Document.read(tmp_path / "one.aotlab").snapshot.state.layers) == 1


def test_work_on_all_clips_needs_a_name(served_list):
    for path in ("/track", "/export"):
        answer = served_list.post(path, [])
        assert (answer.status_code, answer.text.startswith("name: type your name first")) == (409, True)


def test_clip_that_another_person_has_open_is_not_tracked(tmp_path, make_batch, begin_request):
    folder = tmp_path / "videos"
    draw_folder(folder / "one")
    batch = make_batch(folder)
    session = begin_request(batch, "one", "Ann", is_page=True)
    editing.set_range(session.document, 1, 4)
    draw(session, 1, 1)
    titles = list_titles(session.document)
    assert batch.track_all("Bob") == 1
    wait_until_tracked(batch)
    assert batch.list_clips()[0].sentences == ["one: Ann has it open; choose another clip, or wait"]
    assert list_titles(session.document) == titles


def test_export_error_hides_the_servers_folders(results, batch):
    set_status(batch, "a", "Ann", "accepted")
    (results / "a" / "coco.json").unlink(missing_ok=True)
    (results / "a" / "coco.json").mkdir()
    (results / "a" / "coco.json" / "own.txt").touch()
    (problem,) = batch.export_all(["coco"]).problems
    assert problem == "a: a/coco.json/own.txt: not written by an export; move it away"


def test_killed_export_is_replaced_by_the_next(results, batch, monkeypatch):
    set_status(batch, "a", "Ann", "accepted")
    with monkeypatch.context() as patch:
        patch.setattr("aotlab.internal.write_job_record", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            batch.export_all(["coco"])
    answer = batch.export_all(["coco"])
    assert (answer.names, answer.problems) == (["a"], [])


def test_exports_wait_for_each_other(results, batch, monkeypatch):
    set_status(batch, "a", "Ann", "accepted")
    running = []

    def write(*args, **options):
        running.append(threading.get_ident())
        time.sleep(0.05)  # others would begin meanwhile
        assert running == [threading.get_ident()]
        export_masks(*args, **options)
        running.clear()

    monkeypatch.setattr("aotlab_studio.batch.export.export_masks", write)
    with ThreadPoolExecutor(2) as threads:
        exports = [threads.submit(batch.export_all, ["coco"]) for _ in range(4)]
    assert [(export.result().names, export.result().problems) for export in exports] == [(["a"], [])] * 4


def test_clip_stays_open_while_it_is_exported(batch, monkeypatch):
    with batch.use("a", "Ann", is_page=True):
        pass

    def export(export, document, classes):
        batch.open_clips.close_if_unused("a")
        document.database.folder_lock.check_held()

    monkeypatch.setattr("aotlab_studio.batch.batch.export_clip", export)
    set_status(batch, "a", "Ann", "accepted")
    assert batch.export_all([]).names == ["a"]


def test_clip_stays_open_while_it_is_tracked(batch, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.01)
    with batch.use("a", "Ann") as session:
        job, tracker = start_held_job(session, 2)
    assert find_clip(batch, "a").holder.startswith("Ann on ")
    tracker.allow()
    wait_for(job)
    assert job.done == LENGTH - 1
    wait_until(lambda: not find_clip(batch, "a").holder)


def test_masks_beside_videos_are_not_listed(tmp_path):
    for name in ("a.mp4", "b.mp4", "a.png", "b.masks/00000.png", "c/00000.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [clip.name for clip in find_clips(tmp_path)] == ["a.mp4", "b.mp4", "c"]
    (tmp_path / "cover.jpg").touch()
    assert len(find_clips(tmp_path)) == 3
    for name in ("00001.png", "00002.png"):
        (tmp_path / name).touch()
    assert len(find_clips(tmp_path)) == 3  # folders of frames count too
    (tmp_path / "00003.png").touch()
    assert find_clips(tmp_path) == []  # a folder of frames


def test_folder_of_tiff_images_is_no_batch(tmp_path):
    for index in range(3):
        (tmp_path / f"{index:05d}.tif").touch()
    assert find_clips(tmp_path) == []


def test_link_and_its_target_have_one_project(tmp_path):
    video, link = draw_folder(tmp_path / "videos" / "one"), tmp_path / "link"
    link.symlink_to(video)
    with closing(open_session(link)) as session:
        assert session.document.folder == find_project(video) == tmp_path / "videos" / "one.aotlab"


def break_start(session):
    session.runner.start = lambda *_: 1 / 0


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (
            lambda session: editing.change_object(session.document, 1, locked=True),
            "tracking: all objects are locked; unlock one first",
        ),
        (break_start, "internal error; the program's output has the details"),
    ],
)
def test_others_are_tracked_after_a_failed_clip(tmp_path, make_batch, monkeypatch, prepare, problem):
    for name in ("one", "two"):
        draw_folder(tmp_path / name)
    batch = make_batch(tmp_path)
    use = batch.use
    for name in ("one", "two"):
        with use(name, "Ann") as session:
            draw(session, 3, 1)

    @contextmanager
    def use_late(name, person, **options):
        with use(name, person, **options) as session:
            if name == "one":
                prepare(session)
            yield session

    monkeypatch.setattr(batch, "use", use_late)
    assert batch.track_all("Ann") == 2
    wait_until_tracked(batch)
    one, two = batch.list_clips()
    assert one.sentences == [problem]
    assert not two.untracked
    with batch.use("one", "Ann", is_page=True):
        assert find_clip(batch, "one").sentences == []


def test_status_waiting_for_corrections_does_not_block_others(batch):
    request = batch.use("a", "Ann")
    waits, corrected = threading.Event(), threading.Event()
    request.__enter__().runner.wait = lambda *_: (waits.set(), wait_for_event(corrected))
    with ThreadPoolExecutor() as pool:
        stored = pool.submit(set_status, batch, "a", "Ann", "accepted", outdated="wait")
        wait_for_event(waits)
        try:
            pool.submit(request.__exit__, None, None, None).result(WAIT_SECONDS)  # stays open for who waits
        finally:
            corrected.set()
        stored.result(WAIT_SECONDS)
    assert statuses(batch)["a"] == "accepted"


@pytest.mark.parametrize(
    "edit",
    [lambda session: draw(session, 3, 1), lambda session: editing.change_object(session.document, 1, class_name="dog")],
    ids=["mask", "object"],
)
def test_edit_while_a_status_waits_refuses_it(batch, served_list, edit, begin_request):
    session = begin_request(batch, "a", "Ann")
    session.runner.wait = lambda *_: edit(session.with_actor(Actor(author="Bob")))
    digest = find_clip(batch, "a").digest
    answer = post_status(served_list, "a", "Ann", status="accepted", outdated="wait", digest=digest)
    assert answer["error"] == "a: changed meanwhile; look at it, then set the status again"
    assert statuses(batch)["a"] == "in progress"


def test_same_video_opens_clips_of_a_list(results, make_batch, begin_request):
    open_document(results / "a").close()
    frame = results.parent / "videos" / "a" / "00000.png"
    frame.write_bytes((frame.parent / "00001.png").read_bytes())
    refusing = make_batch(results, partial(cli.open_session, loader=None))
    with pytest.raises(InputError, match="annotate --same-video"):
        begin_request(refusing, "a")
    batch = make_batch(results, partial(cli.open_session, loader=None, same_video=True))
    assert begin_request(batch, "a").document.frames.name == "a"


def test_damaged_project_is_listed_with_its_error(results, batch):
    set_status(batch, "a", "Ann", "accepted")
    change_rows(results / "a.aotlab", "UPDATE header SET content = '{'")
    clips = {clip.name: clip for clip in batch.list_clips()}
    assert "project.sqlite: the header: not readable" in clips["a"].error
    assert clips["b"].error == clips["c"].error == ""


def test_folder_without_batch_rejected(tmp_path):
    with pytest.raises(InputError, match="holds neither videos nor results"):
        Batch(draw_folder(tmp_path / "clip"), open_clip)


def test_list_does_not_write_to_clips_open_here(batch, monkeypatch):
    with batch.use("a", "Ann"):
        monkeypatch.setattr("aotlab.internal.locked", lambda *_, **__: 1 / 0)
        assert [clip.holder for clip in batch.list_clips() if clip.holder] == [f"Ann on {platform.node()}"]


def test_command_serves_a_batch(results, capsys, never_served):
    assert cli.main([str(results), "--no-browser"]) == 0
    assert "batch: 3 videos" in capsys.readouterr().out
    assert cli.main([str(results), "--no-browser", "--project", "p"]) == 2
    assert "--project p: a batch has" in capsys.readouterr().err


class DoubtfulTracker(TruthTracker):
    """Is unsure of frame 7."""

    def change_logits(self, logits, index, *, is_drawn):
        return logits / 10 if index == 7 else logits


def test_list_and_page_show_the_same_checks(tmp_path):
    video, clip = draw_folder(tmp_path / "a"), tmp_path / "batch" / "a"
    mask = truth(0)
    mask[30:38, 2:10] = 1  # the drawn mask has two parts
    write_mask(tmp_path / "a.png", mask)
    result = track(open_frames(video), {0: mask}, clip, DoubtfulTracker(), JobOptions(write=("masks", "review")))
    written = [path.name for path in result.written.values()]
    record = JobRecord("a", str(video), frames=LENGTH, written=written, masks=[str(tmp_path / "a.png")])
    write_job_record(clip, record)
    review = read_json(clip / REVIEW_FILE, VideoReview)
    listed = [(check.frame, check.object_id) for check in review.check]
    with closing(open_clip(clip)) as session:
        shown = [(entry.frame, each) for entry in session.review() for each in entry.object_ids]
    assert listed == shown == [(7, 1), (7, 2), (1, 1)]  # frame 0 is drawn, its neighbor differs from it


def test_moved_batch_opens_and_exports(tmp_path, make_batch):
    write_results(tmp_path / "old", ["a"])
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new" / "batch" / "a" / "thumbnail.jpg").unlink()
    batch = make_batch(tmp_path / "new" / "batch")
    with closing(Served(batch, build_batch_app(batch))) as served:
        assert served.get("/thumbnail/a").headers["content-type"] == "image/jpeg"
        set_status(batch, "a", "Ann", "accepted")
        assert batch.export_all(["coco"]).names == ["a"]
    (tmp_path / "new").rename(tmp_path / "newer")
    batch = make_batch(tmp_path / "newer" / "batch")
    assert batch.export_all(["coco"]).names == ["a"]
    (tmp_path / "newer" / "videos").rename(tmp_path / "elsewhere")
    (problem,) = batch.export_all(["coco"]).problems  # the folder of results has the name of the video
    assert "its video a is missing" in problem


def test_results_of_a_header_with_too_many_frames_open_again(tmp_path):
    results = write_results(tmp_path, ["clip"]) / "clip"
    change_record(results, last_frame=LENGTH + 5)
    for _ in range(2):
        with closing(open_document(results)) as document:
            assert document.snapshot.editable_range == (0, LENGTH - 1)


def test_results_from_a_later_frame_keep_their_place(tmp_path):
    folder = write_results(tmp_path, ["a"]) / "a"
    for index in range(3):
        (folder / "masks" / f"{index:05d}.png").unlink()
    first_mask = f"3={folder / 'masks' / '00003.png'}"
    change_record(folder, frames=LENGTH - 3, first_frame=3, masks=[first_mask])
    state = open_document(folder)
    try:
        assert sorted(state.snapshot.drawn_frames) == [3]
        assert min(list_tracked_frames(state.snapshot)) == 3
        np.testing.assert_array_equal(state.snapshot.labels(3), truth(3))
    finally:
        state.close()


def test_edited_clip_stays_listed_while_it_is_tracked_again(results, batch):
    set_status(batch, "a", "Ann", "accepted")
    change_record(results / "a", status="unfinished")
    assert statuses(batch).keys() == {"a", "b", "c"}
    exported = batch.export_all([])
    assert any(text.startswith("a") for text in [*exported.names, *exported.problems, *exported.left_out])


def test_requests_of_a_clip_share_one_timer_that_each_renews(batch, monkeypatch):
    def list_timers():
        close = batch.open_clips.close_if_unused
        return [thread for thread in threading.enumerate() if getattr(thread, "function", None) == close]

    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 60)
    timers = []
    for _ in range(3):
        with batch.use("a", "", is_page=True):
            pass
        wait_until(lambda: len(list_timers()) == 1)
        timers += list_timers()
    assert len({*timers}) == 3
    batch.open_clips.close_if_unused("a")
    wait_until(lambda: not list_timers())


def test_foreign_or_damaged_record_keeps_the_status(results, batch):
    with batch.use("a", "Ada") as session:
        editing.change_object(session.document, 1, name="bear")
    set_status(batch, "a", "Ada", "accepted")
    change_record(results / "a", input_digests={"video": "another"}, fingerprint={"sha256": "0"})
    assert Document.read(results / "a.aotlab").status.value == "accepted"
    change_record(results / "a", fingerprint={})  # tracked again
    assert Document.read(results / "a.aotlab").status.value == "in progress"
    set_status(batch, "a", "Ada", "accepted")
    (results / "a" / JOB_RECORD).write_bytes(b"x")
    assert Document.read(results / "a.aotlab").status.value == "accepted"
