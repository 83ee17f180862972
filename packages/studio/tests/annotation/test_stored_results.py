"""Stored results: edits by other programs, damage, replacement, writes that stop midway."""

import hashlib
from contextlib import closing

import msgspec
import numpy as np
import OpenEXR
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.database import Database
from aotlab_studio.document.log import Changes, DoneRecord, Layer, Log
from aotlab_studio.document.masks import LayerFrame, TrackedLayer, TrackedMaskStore
from aotlab_studio.document.scores import Score, measure_scores
from aotlab_studio.document.states import list_outdated
from aotlab_studio.session.actions import Describe
from aotlab_studio.session.export import snapshot_for_export
from aotlab_studio.session.opening import open_document
from aotlab_testing.limits import limit_file_size
from aotlab_testing.processes import read_line, start_python
from studio.tests.annotation.clips import LENGTH, truth
from studio.tests.annotation.results import store_results
from studio.tests.annotation.sessions import change_rows, draw, draw_and_track, list_tracked_frames, run_job, set_mask


def test_scores_belong_to_the_shown_masks(session):
    draw_and_track(session, 1)
    draw(session, 5, 2)
    document = session.document
    tracked = document.snapshot.scores(5)[1]
    assert tracked.area == (truth(5) == 1).sum()
    set_mask(document, 5, 2, truth(5) == 1)  # covers object 1
    assert document.snapshot.scores(5)[1].area == 0
    assert document.timeline().marks[1][5] == "a"
    set_mask(document, 5, 1, truth(5) == 1)
    assert document.snapshot.scores(5)[1].confidence == 1


def test_opening_measures_only_edited_frames_and_does_not_block(folder, session, monkeypatch, reopen):
    draw(session, 0, 1, 2)
    run_job(session, 0, last=5)
    editing.ChangeObject(1, locked=True).run(session.document)
    run_job(session, 0, last=5)  # object 2 only: frames of two layers, measured when they are stored
    editing.ChangeObject(1, locked=False).run(session.document)
    set_mask(session.document, 5, 1, truth(5) == 1)
    draw(session, 9, 1, 2)
    session.close()
    session, measured = reopen(folder), []

    def measure(labels, *values):
        assert not session.document.lock._is_owned()
        measured.append(labels)
        return measure_scores(labels, *values)

    monkeypatch.setattr("aotlab_studio.document.snapshot.measure_scores", measure)
    assert [row[0] + row[5] + row[9] for row in Describe().run(session).timeline.marks.values()] == ["GGG", "G8G"]
    assert [(labels == truth(5)).all() for labels in measured] == [True]
    session.close()
    change_rows(session.document.folder, "UPDATE scores SET content = x'00'")  # measured again
    assert [*Describe().run(reopen(folder)).timeline.marks] == [1, 2]


def test_scores_of_the_same_mask_tracked_again_are_new(session):
    draw(session, 0, 1)
    draw(session, 5, 2)
    document, index, seen = session.document, 5, []
    for layer_id, confidence in ((1, 0.9), (2, 0.4)):
        document.edit("track", Changes(layers={layer_id: Layer([1], 1, 9)}))
        document.add_tracked_masks(
            layer_id, LayerFrame(index, {1: Score(confidence, 100, 0.0, 0.0)}), truth(index) == 1
        )
        seen.append(document.snapshot.scores(index)[1].confidence)
    assert seen == [0.9, 0.4]


@pytest.fixture
def database(tmp_path):
    with closing(Database.open_for_writing(tmp_path)) as database:
        yield database


def test_edits_of_another_program_are_kept(tmp_path, database):
    record = msgspec.json.encode(DoneRecord(True))
    change_rows(tmp_path, "INSERT INTO records VALUES (1, ?)", record)
    with pytest.raises(InputError, match="another program has changed this project"):
        Log(database).append(DoneRecord(False))
    with pytest.raises(InputError, match="another program has changed this project"):
        TrackedMaskStore(database, (4, 6), 3).put(1, LayerFrame(1), np.ones((4, 6), np.uint16))
    assert Log(Database.open(tmp_path)).last_done.done


DAMAGE = "UPDATE tracked_masks SET description = replace(description, '{', 'U') WHERE id = 2"
LOSS = "DELETE FROM tracked_masks WHERE id = 2"


def test_replaced_result_never_uncovers_its_frame():
    written = []

    class Presence(np.ndarray):
        def __setitem__(self, frame, value):
            written.append(value)
            super().__setitem__(frame, value)

    layer, result = TrackedLayer(3), LayerFrame(1, {1: Score(1.0, 1, 0.0, 0.0)})
    layer.add(result)
    layer.presence[1] = layer.presence[1].view(Presence)
    layer.add(result)
    layer.add(LayerFrame(1, absent=[2]))
    assert written == [1, 0]
    assert [presence[1] for presence in layer.presence.values()] == [0, -1]


@pytest.mark.parametrize("statement", [DAMAGE, LOSS])
def test_lost_result_costs_its_frame_only(tmp_path, database, statement):
    layers = TrackedMaskStore(database, (4, 6), 3)
    for index in range(3):
        layers.put(1, LayerFrame(index), np.full((4, 6), index, np.uint16))
    layers.finish(1)
    database.close()
    change_rows(tmp_path, statement)
    with closing(Database.open_for_writing(tmp_path)) as database:
        layers = TrackedMaskStore(database, (4, 6), 3)
        layer = layers.layer(1)
        assert (sorted(layer.frames), layer.finished) == ([0, 2], False)
        np.testing.assert_array_equal(layers.read(layer.frames[2]), 2)
        layers.put(1, LayerFrame(1), np.full((4, 6), 1, np.uint16))
        layers.finish(1)
        layer = TrackedMaskStore(database, (4, 6), 3).layer(1)
        assert (sorted(layer.frames), layer.finished) == ([0, 1, 2], True)


def test_older_result_shows_if_the_newer_is_damaged(tmp_path, database):
    layers = TrackedMaskStore(database, (4, 6), 3)
    layers.put(1, LayerFrame(0, model="first"), np.full((4, 6), 1, np.uint16))
    layers.put(1, LayerFrame(0), np.full((4, 6), 2, np.uint16))
    database.close()
    change_rows(tmp_path, DAMAGE)
    with closing(Database.open_for_writing(tmp_path)) as database:
        layer = TrackedMaskStore(database, (4, 6), 3).layer(1)
        assert layer.frames[0].model == "first"


def test_layer_that_could_not_be_read_is_read_again(database, monkeypatch):
    TrackedMaskStore(database, (4, 6), 3).put(1, LayerFrame(0), np.ones((4, 6), np.uint16))
    layers, query = TrackedMaskStore(database, (4, 6), 3), database.query

    def fail(*arguments):
        monkeypatch.setattr(database, "query", query)
        raise InputError("cannot be read")

    monkeypatch.setattr(database, "query", fail)
    with pytest.raises(InputError, match="cannot be read"):
        layers.layer(1)
    layers.put(1, LayerFrame(1), np.ones((4, 6), np.uint16))
    assert sorted(TrackedMaskStore(database, (4, 6), 3).layer(1).frames) == [0, 1]


def test_frame_replaced_while_it_is_read_is_intact(database, monkeypatch):
    layers = TrackedMaskStore(database, (4, 6), 3)
    layers.put(1, LayerFrame(0), np.ones((4, 6), np.uint16))
    layer, sha256 = layers.layer(1), hashlib.sha256
    first = layer.frames[0]

    def replace_first(content):
        monkeypatch.undo()
        layers.put(1, LayerFrame(0), np.full((4, 6), 2, np.uint16))
        return sha256(content)

    monkeypatch.setattr(hashlib, "sha256", replace_first)
    np.testing.assert_array_equal(layers.read(first), 1)
    np.testing.assert_array_equal(layers.read(layer.frames[0]), 2)


@pytest.mark.parametrize("statement", [DAMAGE, LOSS])
def test_frame_of_a_lost_result_is_outdated(folder, session, statement, reopen):
    draw_and_track(session, 1)
    session.close()
    change_rows(session.document.folder, statement)
    again = reopen(folder)
    assert list_tracked_frames(again.document.snapshot) == [1, *range(3, LENGTH)]
    assert list_outdated(again.document.snapshot) == [(2, 2)]
    run_job(again, 0)
    assert list_outdated(again.document.snapshot) == []


def test_replaced_results_go_at_the_next_start(folder, session, reopen):
    draw(session, 0, 1)
    session.document.edit("tracking", Changes(layers={1: Layer([1], 1, 4)}))

    def store(x):
        for index in (1, 2, 3):
            session.document.add_tracked_masks(1, LayerFrame(index, {1: Score(1.0, 1, 0.0, 0.0)}), mask(x))

    def mask(x):
        return (np.arange(truth(0).size).reshape(truth(0).shape) == x).astype(np.uint16)

    def reopen_and_count():
        again = reopen(folder)
        return again, again.document.database.query("SELECT count(*) FROM tracked_masks")[0][0]

    store(5)
    store(6)
    session, count = reopen_and_count()
    assert count == 3
    store(7)
    session.document.finish_layer(1)
    session.document.undo()
    draw(session, 9, 1)  # no redo leads to the layer
    assert reopen_and_count()[1] == 0


def test_damaged_result_is_removed_and_the_older_one_kept(database):
    layers = TrackedMaskStore(database, (4, 6), 3)
    for layer_id in (1, 1, 2):
        layers.put(layer_id, LayerFrame(0), np.ones((4, 6), np.uint16))
    with database.transaction() as connection:
        connection.execute(DAMAGE)
    layers.delete_unreachable({1})
    assert database.query("SELECT id FROM tracked_masks") == [(1,)]
    layers.delete_unreachable(set())
    assert database.query("SELECT id FROM tracked_masks") == []


@pytest.mark.parametrize("statement", ["masks", "records"])
def test_drawing_and_its_entry_are_stored_together(folder, session, document, statement, reopen):
    draw(session, 0, 1)
    before, database = document.log.size, document.database
    with database.transaction() as connection:
        connection.execute(f"CREATE TRIGGER full BEFORE INSERT ON {statement} BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(InputError, match=r"cannot be written \(full\)"):
        draw(session, 3, 1)
    with database.transaction() as connection:
        connection.execute("DROP TRIGGER full")
    assert database.query("SELECT count(*) FROM records") == [(before,)]
    assert database.query("SELECT count(*) FROM masks") == [(1,)]
    draw(session, 3, 1)
    again = reopen(folder)
    np.testing.assert_array_equal(again.document.snapshot.labels(3), truth(3) * (truth(3) == 1))


def test_mask_of_a_rejected_edit_is_not_stored(session, document):
    draw(session, 0, 1)
    with limit_file_size(0), pytest.raises(InputError, match="cannot be written"):
        draw(session, 3, 1)
    editing.AddObject().run(document)
    assert document.database.query("SELECT count(*) FROM masks") == [(1,)]


WRITER = """
import sys
from pathlib import Path
import numpy as np
import OpenEXR
from studio.tests.annotation.sessions import draw, open_session, set_mask
session = open_session(Path(sys.argv[1]))
draw(session, 0, 1)
mask = np.zeros((40, 60), bool)
for pixel in range(2000):
    mask.flat[pixel] = True
    set_mask(session.document, 1, 1, mask)
    print(pixel, flush=True)
"""


def test_acknowledged_strokes_survive_a_kill(folder, reopen):
    with start_python("-c", WRITER, folder, stderr=None) as writer:
        lines = [read_line(writer) for _ in range(40)]
        writer.kill()
        lines += writer.stdout
    last = int(lines[-1])
    assert reopen(folder).document.snapshot.labels(1).sum() in (last + 1, last + 2)


def test_snapshot_for_export_keeps_results_that_are_replaced(session):
    document = session.document
    draw(session, 0, 1)
    document.edit("tracking", Changes(layers={1: Layer([1], 1, 4)}))
    snapshots = []
    for column in (5, 6):
        ids = np.zeros((40, 60), np.uint16)
        ids[:, column] = 1
        document.add_tracked_masks(1, LayerFrame(2, measure_scores(ids, [1])), ids)
        snapshots.append(snapshot_for_export(document)[0])
    assert [np.flatnonzero(snapshot.labels(2).any(0)).tolist() for snapshot in snapshots] == [[5], [6]]


def test_results_are_shown_by_their_input_transform(tmp_path):
    video = tmp_path / "shot"
    video.mkdir()
    OpenEXR.File({}, {"RGB": np.full((8, 8, 3), 0.5, np.float16)}).write(str(video / "00000.exr"))
    labels = {0: np.pad(np.ones((4, 4), np.uint8), 2)}
    store_results(tmp_path / "results", video, labels, inputs={"source": {"levels": [0, 1], "input_transform": "srgb"}})
    with closing(open_document(tmp_path / "results")) as document:
        assert document.frames.read(0).max() == 128


def test_storing_a_frame_reads_no_older_layers(session, monkeypatch):
    draw(session, 0, 1)
    document, read, calls, counts = session.document, TrackedMaskStore.layer, [], []
    monkeypatch.setattr(TrackedMaskStore, "layer", lambda *values: calls.append(values) or read(*values))
    for layer_id in range(1, 31):
        document.edit("track", Changes(layers={layer_id: Layer([1], 1, 9)}))
        assert document.snapshot.newest_layers
        assert document.snapshot.waiting  # all layers are read once after an edit
        calls.clear()
        document.add_tracked_masks(layer_id, LayerFrame(5, {1: Score(1.0, 1, 0.0, 0.0)}), truth(5) == 1)
        counts.append(len(calls))
        assert document.snapshot.newest_layers[1].layer_ids[5] == layer_id
    assert counts[-1] == counts[1]  # the first one replaces no masks
