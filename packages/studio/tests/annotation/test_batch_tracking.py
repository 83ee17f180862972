"""Tracking of all clips of a batch, and clips that were tracked again."""

import threading
from contextlib import closing, contextmanager

import numpy as np
import pytest

from aotlab_studio.batch import open_clips
from aotlab_studio.batch.batch import TRACKING_FILE, Batch
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.session.actions import Describe
from aotlab_studio.session.opening import open_document
from aotlab_testing.processes import wait_for_event, wait_until
from aotlab_video import Results
from studio.tests.annotation.clips import LENGTH, draw_folder, truth
from studio.tests.annotation.results import (
    change_record,
    find_clip,
    mark_done,
    open_clip,
    replace_results,
    statuses,
    wait_until_tracked,
    write_results,
)
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


def test_drawn_clips_of_a_list_are_tracked(tmp_path, make_batch):
    for name in ("one", "two", "three"):
        draw_folder(tmp_path / name)
    batch = make_batch(tmp_path)
    for name in ("one", "two"):
        with batch.use(name) as session:
            draw(session, 3, 1)
    assert batch.track_all() == 2
    wait_until_tracked(batch)
    for name in ("one", "two"):
        labels = Document.read(tmp_path / f"{name}.aotlab").snapshot.labels(9)
        np.testing.assert_array_equal(labels, truth(9) == 1)
    assert not (tmp_path / "three.aotlab").exists()


def test_list_knows_what_track_all_had_left(tmp_path, make_batch, monkeypatch):
    for name in ("one", "two"):
        draw_folder(tmp_path / name)
    with closing(Batch(tmp_path, open_clip)) as batch:
        for name in ("one", "two"):
            with batch.use(name) as session:
                draw(session, 3, 1)
        monkeypatch.setattr(batch, "_track", lambda name: "")  # as if the program was killed
        assert batch.track_all() == 2
    again = make_batch(tmp_path)
    rows = {clip.name: (clip.cut_off, clip.frames_left) for clip in again.list_clips()}
    assert rows == dict.fromkeys(("one", "two"), (True, LENGTH - 1))
    again.track_all()
    wait_until_tracked(again)
    wait_until(lambda: not (tmp_path / TRACKING_FILE).exists())
    assert not any(clip.cut_off for clip in again.list_clips())


def test_batch_tracks_clips_with_frames_left(tmp_path, make_batch):
    folder = tmp_path / "videos"
    for name in ("four", "one", "three", "two"):
        draw_folder(folder / name)
    batch = make_batch(folder)
    for name, frame in (("one", 3), ("two", 0), ("three", 3), ("four", 1)):
        with batch.use(name) as session:
            draw(session, frame, 1)
    with batch.use("four") as session:
        editing.MarkAbsent(3, 1).run(session.document)
    mark_done(batch, "three")
    assert [clip.name for clip in batch.list_clips() if clip.trackable] == ["four", "one", "two"]
    assert batch.track_all() == 3
    wait_until_tracked(batch)
    assert Document.read(folder / "one.aotlab").snapshot.annotated_frames == [*range(LENGTH)]
    assert Document.read(folder / "four.aotlab").snapshot.annotated_frames == [0, 1, 2, 3]  # then it is absent
    assert not any(clip.trackable for clip in batch.list_clips())
    assert statuses(batch)["three"] == "done"


def track_held_batch(tmp_path, make_batch):
    """Track two clips, whose tracker waits; return the batch, and the event that releases it."""
    begun, released = threading.Event(), threading.Event()

    class HeldTracker(TruthTracker):
        def step(self, *values):
            begun.set()
            wait_for_event(released)
            return super().step(*values)

    for name in ("one", "two"):
        draw_folder(tmp_path / name)
    batch = make_batch(tmp_path, lambda path, project: open_session(path, HeldTracker(), project=project))
    for name in ("one", "two"):
        with batch.use(name) as session:
            draw(session, 3, 1)
    assert batch.track_all() == 2
    wait_for_event(begun)
    return batch, released


def test_track_all_stops(tmp_path, make_batch):
    batch, released = track_held_batch(tmp_path, make_batch)
    batch.stop_tracking()
    released.set()
    wait_until_tracked(batch)
    rows = batch.list_clips()
    assert [(row.trackable, row.tracking, row.tracked, row.cut_off) for row in rows] == [
        (True, False, False, False)
    ] * 2
    batch.track_all()
    wait_until_tracked(batch)
    assert [(row.trackable, row.tracked) for row in batch.list_clips()] == [(False, True)] * 2


def test_clip_done_while_it_waits_is_not_tracked(tmp_path, make_batch):
    batch, released = track_held_batch(tmp_path, make_batch)
    again = batch._tracking.submit(batch._track, "one")  # two requests may choose a clip at once
    mark_done(batch, "two")
    released.set()
    wait_until(lambda: all(run.done() for run in batch._tracking_runs.values()))
    assert statuses(batch) == {"one": "in progress", "two": "done"}
    assert [run.result() for run in (again, *batch._tracking_runs.values())] == ["", "", ""]
    assert len(Document.read(tmp_path / "one.aotlab").snapshot.state.layers) == 1


def lock_object(session):
    editing.ChangeObject(1, locked=True).run(session.document)


def break_start(session):
    session.runner.start = lambda *_: 1 / 0


@pytest.mark.parametrize(("prepare", "problem"), [
    (lock_object, "tracking: all objects are locked; unlock one first"),
    (break_start, "internal error; the program's output has the details"),
])  # fmt: skip
def test_others_are_tracked_after_a_failed_clip(tmp_path, make_batch, monkeypatch, prepare, problem):
    for name in ("one", "two"):
        draw_folder(tmp_path / name)
    batch = make_batch(tmp_path)
    use = batch.use
    for name in ("one", "two"):
        with use(name) as session:
            draw(session, 3, 1)

    @contextmanager
    def use_late(name, **options):
        with use(name, **options) as session:
            if name == "one":
                prepare(session)
            yield session

    monkeypatch.setattr(batch, "use", use_late)
    assert batch.track_all() == 2
    wait_until_tracked(batch)
    one, two = batch.list_clips()
    assert one.messages == [problem]
    assert not two.trackable
    with batch.use("one", is_page=True):
        assert problem not in find_clip(batch, "one").messages


def test_clip_stays_open_while_it_is_tracked(batch, monkeypatch):
    monkeypatch.setattr(open_clips, "CLOSE_DELAY", 0.01)
    with batch.use("a") as session:
        job, tracker = start_held_job(session, 2)
    assert batch.open_clips.get_session("a")
    tracker.release_frames()
    wait_for(job)
    assert job.done == LENGTH - 1
    wait_until(lambda: batch.open_clips.get_session("a") is None)


def test_clip_without_edits_gets_the_masks_of_the_last_tracking(results, batch):
    mark_done(batch, "a")
    replace_results(results, "a", 3)
    assert statuses(batch)["a"] == "to do"
    with batch.use("a") as session:
        document = session.document
        np.testing.assert_array_equal(document.snapshot.labels(9), np.roll(truth(9), 3, 0))
        assert not document.log.has_history
        assert (document.tracked_again_warning, list_titles(document)) == ("", (None, None))


def test_import_after_a_canceled_request_is_not_an_edit(results):
    with closing(open_document(results / "a")) as document:
        document.edit("tracking", Changes(layers={document.make_layer_id(): Layer([1], 1, 3)}))
        assert document.cancel(document.log.head)
    replace_results(results, "a", 3)
    with closing(open_document(results / "a")) as document:
        np.testing.assert_array_equal(document.snapshot.labels(9), np.roll(truth(9), 3, 0))
        assert (document.log.has_history, document.undo()) == (False, None)


def test_backup_of_a_clip_without_edits_shows_its_results(results, batch):
    with batch.use("a") as session:
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


def test_edited_clip_keeps_its_masks_and_shows_a_warning(results, batch):
    with batch.use("a") as session:
        draw(session, 4, 2)
        before = session.document.snapshot.masks_digest
    mark_done(batch, "a")
    replace_results(results, "a", 3)
    clip = find_clip(batch, "a")
    assert clip.status == "in progress"
    assert clip.messages[0].startswith("the video was tracked again")
    exported = batch.export_all([])
    assert exported.names == []
    (problem,) = exported.problems
    assert problem.startswith("a: the video was tracked again")
    with batch.use("a") as session:
        assert session.document.snapshot.masks_digest == before
        assert Describe().run(session).problems == [session.document.tracked_again_warning] != [""]
    mark_done(batch, "a")
    clip = find_clip(batch, "a")
    assert clip.status == "done"
    assert not any("tracked again" in sentence for sentence in clip.messages)
    assert batch.export_all([]).names == ["a"]


def test_edited_clip_of_an_unknown_tracking_is_marked(results, batch):
    with batch.use("a") as session:
        draw(session, 4, 2)
    batch.open_clips.close_if_unused("a")
    statement = 'UPDATE records SET content = replace(content, \'"source_digest":"\', \'"other":"\')'
    change_rows(results / "a.aotlab", statement)
    clip = find_clip(batch, "a")
    assert "tracked again" in clip.messages[0]


def test_edited_clip_stays_listed_while_it_is_tracked_again(results, batch):
    mark_done(batch, "a")
    change_record(results / "a", status="unfinished")
    assert statuses(batch).keys() == {"a", "b", "c"}
    exported = batch.export_all([])
    assert any(text.startswith("a") for text in [*exported.names, *exported.problems, *exported.left_out])


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
    change_record(folder, entries=Results.read(folder).entries[3:], first_frame=3, masks=[first_mask])
    state = open_document(folder)
    try:
        assert sorted(state.snapshot.drawn_frames) == [3]
        assert min(list_tracked_frames(state.snapshot)) == 3
        np.testing.assert_array_equal(state.snapshot.labels(3), truth(3))
    finally:
        state.close()
