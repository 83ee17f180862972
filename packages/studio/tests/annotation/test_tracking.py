"""Requests to track: directions, drawn frames on the way, chosen objects, pause and stop, undo."""

import threading
from functools import partial
from itertools import count
from unittest.mock import Mock

import msgspec
import numpy as np
import pytest
import torch

from aotlab import InputError, Prediction
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.events import DocumentEvent, FrameEvent, ResultsEvent
from aotlab_studio.document.log import Changes, Layer, Origin
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.scores import Score, measure_scores
from aotlab_studio.document.states import find_outdated, list_outdated
from aotlab_studio.protocol import JobEvent
from aotlab_studio.session.actions import Describe, Export, ListFramesToCheck, Stop, Track, run_action
from aotlab_studio.session.session import UnfinishedError
from aotlab_testing.processes import wait_for_event, wait_until
from aotlab_video import ObjectProbabilities, merge_predictions
from studio.tests.annotation.clips import LENGTH, truth
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    find_pending,
    hold,
    list_labels,
    list_titles,
    list_tracked_frames,
    list_visible_frames,
    run_job,
    start_held_job,
    start_job,
    wait_for,
)
from studio.tests.annotation.trackers import TruthTracker


def test_forward_reaches_the_end_and_backward_the_start(session):
    draw(session, 4, 1)
    job = run_job(session, 4)
    assert (job.status, job.done, job.total) == ("done", 7, 7)
    assert list_visible_frames(session) == list(range(4, LENGTH))
    run_job(session, 4, "backward")
    assert list_visible_frames(session) == list(range(LENGTH))
    np.testing.assert_array_equal(list_labels(session.document), [truth(index) == 1 for index in range(LENGTH)])


def test_directions_of_an_object_drawn_on_two_frames_are_merged(session):
    draw(session, 2, 1)
    draw(session, 8, 1, 2)
    job = run_job(session, 2, "both")
    assert job.done == job.total == 8 + 9
    snapshot = session.document.snapshot
    for object_id, between in ((1, 0), (2, None)):
        assert list_visible_frames(session, object_id) == list(range(LENGTH))
        assert snapshot.scores(5)[object_id].disagreement == between
        assert snapshot.scores(10)[object_id].disagreement is None
    np.testing.assert_array_equal(list_labels(session.document), [truth(index) for index in range(LENGTH)])


@pytest.mark.parametrize("drawn_frame", [0, 7, 11])
def test_both_directions_start_from_the_visible_mask(session, drawn_frame):
    draw(session, 6, 2)
    run_job(session, 6, last=8)
    editing.BackToTracked(6, 2).run(session.document)
    draw(session, drawn_frame, 1)
    run_job(session, 7, "both")
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    assert list_visible_frames(session, 2) == list(range(LENGTH))


def test_both_directions_stop_at_an_absent_object(session):
    draw(session, 2, 1)
    draw(session, 8, 1, 2)
    editing.MarkAbsent(2, 2).run(session.document)
    run_job(session, 8, "both")
    assert list_visible_frames(session, 2) == list(range(6, LENGTH))


def test_drawn_frame_on_the_way_is_a_reference(folder, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    draw(session, 0, 1, 2)
    draw(session, 6, 1)
    editing.MarkAbsent(6, 2).run(session.document)
    run_job(session, 0)
    assert (6, [1]) in tracker.calls
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    assert list_visible_frames(session, 2) == list(range(6))


# in both directions, each frame goes to the nearer of the drawn frames 0 and 6
@pytest.mark.parametrize(("start", "direction", "count"), [(6, "forward", 6), (0, "both", 3)])
def test_old_results_of_an_absent_object_are_removed(session, document, start, direction, count):
    draw_and_track(session, 1, 2)
    editing.MarkAbsent(6, 2).run(document)
    draw(session, 8, 1)
    run_job(session, start, direction)
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    assert list_visible_frames(session, 2) == list(range(count))
    assert all(2 not in document.snapshot.scores(index) for index in range(8, LENGTH))
    document.undo()
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_absence_at_the_start_removes_old_results_before_it(session):
    draw(session, 11, 2)
    run_job(session, 11, "backward", first=3)
    editing.MarkAbsent(11, 2).run(session.document)
    for frame in (0, 11):
        draw(session, frame, 1)
    run_job(session, 11, "both")
    assert list_visible_frames(session, 2) == []


def test_old_results_of_locked_objects_stay(session, document):
    draw_and_track(session, 1, 2)
    editing.MarkAbsent(6, 2).run(document)
    editing.ChangeObject(2, locked=True).run(document)
    run_job(session, 6)
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_later_start_uses_earlier_drawn_frames(folder, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    draw(session, 0, 1)
    draw(session, 6, 1)
    run_job(session, 6)
    assert tracker.calls[:3] == [(0, [1]), (6, [1]), (7, None)]


def test_start_uses_the_four_nearest_earlier_frames(folder, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    for index in range(7):
        draw(session, index, 1)
    run_job(session, 6)
    assert [index for index, _ in tracker.calls[:6]] == [2, 3, 4, 5, 6, 7]


def test_backward_job_uses_the_drawn_frame_it_starts_at(session):
    draw(session, 2, 1)
    draw(session, 8, 1)
    assert run_job(session, 8, "backward").done == 8
    assert list_visible_frames(session) == list(range(9))


def test_tracking_stays_inside_the_range_of_a_job(session, document):
    document.edit("job", Changes(ranges={"job": (2, 5)}))
    draw(session, 4, 1)
    run_job(session, 4, "both")
    assert list_visible_frames(session) == [2, 3, 4, 5]


def test_job_that_cannot_start_does_not_change_the_document(session, document):
    draw_and_track(session, 1)
    head = document.log.head

    def make_tracker():
        raise InputError("checkpoint: missing")

    session.runner.make_tracker = make_tracker
    job = run_job(session, 0)
    assert (job.status, job.problem) == ("failed", "checkpoint: missing")
    assert document.log.head == head
    assert list_outdated(document.snapshot) == []


def test_failed_request_after_an_edit_keeps_results_current(session, document):
    draw(session, 0, 1)

    def make_tracker():
        editing.ChangeObject(1, name="cat").run(document)
        raise InputError("checkpoint: missing")

    session.runner.make_tracker = make_tracker
    assert run_job(session, 0).status == "failed"
    assert list_titles(document) == ("change object 1", None)
    assert list_outdated(document.snapshot) == []


@pytest.mark.parametrize("undone", [True, False])
def test_history_keeps_undone_but_not_canceled_tracking(session, undone):
    document = session.document
    document.edit("tracking", Changes(layers={1: Layer([1], 1, 3)}))
    if undone:
        document.undo()
    else:
        document.cancel(1)
    assert document.log.has_history == undone


def test_only_unlocked_objects_are_written(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(1, locked=True).run(document)
    run_job(session, 0)
    assert list_visible_frames(session, 1) == [0]
    assert list_visible_frames(session, 2) == list(range(LENGTH))
    editing.ChangeObject(1, locked=False).run(document)
    editing.ChangeObject(2, locked=True).run(document)
    draw(session, 0, 1)
    before = document.snapshot.labels(5) == 2
    run_job(session, 0)
    np.testing.assert_array_equal(before, document.snapshot.labels(5) == 2)
    assert list_visible_frames(session, 1) == list(range(LENGTH))


def test_pause_and_stop_act_within_a_frame(session, document, monkeypatch):
    tracker, seconds = hold(session, 3), count()
    monkeypatch.setattr("aotlab_studio.tracking.jobs.time.perf_counter", lambda: next(seconds))
    draw(session, 0, 1)
    events = []
    document.listeners[events.append] = None
    job = start_job(session, 0)
    job.pause()
    tracker.release_frames(1)
    wait_until(lambda: job.status == "paused")
    done = job.done
    assert list_visible_frames(session) == list(range(1 + done))
    seconds = count(1000)
    job.resume()
    tracker.release_frames(2)
    wait_until(lambda: job.done >= done + 2)
    job.stop()
    wait_for(job)
    assert job.status == "stopped"
    assert len(list_visible_frames(session)) == 1 + job.done < LENGTH
    reports = [event.job for event in events if isinstance(event, JobEvent)]
    assert reports[-1].status == "stopped"
    assert {report.speed for report in reports} == {0, 1}  # without the pause
    document.undo()
    assert list_visible_frames(session) == [0]


def test_frame_stored_during_a_stop_counts(session, monkeypatch):
    draw(session, 0, 1)
    document, add_tracked_masks = session.document, session.document.add_tracked_masks

    def stop_and_add(*values):
        Stop().run(session)
        return add_tracked_masks(*values)

    monkeypatch.setattr(document, "add_tracked_masks", stop_and_add)
    job = run_job(session, 0)
    assert (job.status, job.done) == ("stopped", 1)
    assert list_visible_frames(session) == [0, 1]


def test_stop_before_the_first_frame_removes_the_step(session, document):
    tracker, loads, loaded = TruthTracker(), threading.Event(), threading.Event()

    def make_tracker():
        loads.set()
        wait_for_event(loaded)
        return tracker

    session.runner.make_tracker = make_tracker
    draw(session, 0, 1)
    job = start_job(session, 0)
    wait_for_event(loads)
    Stop().run(session)
    loaded.set()
    wait_for(job)
    assert (job.status, tracker.calls) == ("stopped", [])
    assert list_titles(document) == ("drawn object 1", None)
    assert list_outdated(document.snapshot) == []


def test_pause_after_a_stop_does_not_delay_the_end(session):
    draw(session, 0, 1)
    job, _ = start_held_job(session, 2)
    job.stop()
    job.pause()
    assert wait_for(job).status == "stopped"


@pytest.mark.parametrize("interrupt_first", [True, False])
def test_interrupt_leaves_its_layer_pending_in_any_order(session, interrupt_first):
    draw(session, 0, 1)
    job, _ = start_held_job(session, 2)
    for interrupt in (interrupt_first, not interrupt_first):
        job.stop(interrupt=interrupt)
    wait_for(job)
    assert list_outdated(session.document.snapshot)[-1][1] == LENGTH - 1


def test_second_job_rejected_and_deletion_allowed_while_one_runs(session):
    tracker = hold(session, 2)
    draw(session, 0, 1, 2)
    job = start_job(session, 0)
    with pytest.raises(InputError, match="stop it first"):
        run_action(session, {"do": "track", "frame": 0})
    run_action(session, {"do": "delete_object", "object_id": 2})
    tracker.release_frames()
    wait_for(job)
    assert list_visible_frames(session) == list_visible_frames(session, 1) == list(range(LENGTH))
    session.document.undo()
    assert list_visible_frames(session, 2) == list(range(LENGTH))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((99,), "frame 99: no such frame"),
        ((0, "both", 2, 6), "does not contain frame 0"),
        ((0, "backward"), "no further frame"),
        ((0, "both", 0, 0), "no further frame"),
    ],
)
def test_invalid_request_rejected(session, arguments, words):
    draw(session, 0, 1)
    with pytest.raises(InputError, match=words):
        Track(*arguments).run(session)


def test_request_without_masks_of_unlocked_objects_rejected(session, document):
    editing.AddObject().run(document)
    with pytest.raises(InputError, match="no mask to track"):
        Track(3).run(session)
    draw(session, 0, 1)
    editing.ChangeObject(1, locked=True).run(document)
    with pytest.raises(InputError, match="all objects are locked"):
        Track(0, "forward").run(session)
    editing.AddObject().run(document)
    with pytest.raises(InputError, match="no mask to track"):
        Track(0, "forward").run(session)


def test_frames_left_by_a_failed_tracker_are_outdated(folder, reopen):
    session = reopen(folder, TruthTracker(fail_at=5))
    draw(session, 0, 1)
    job = run_job(session, 0)
    assert (job.status, job.problem) == ("failed", "tracking failed: out of memory")
    assert list_visible_frames(session) == [0, 1, 2, 3, 4]
    assert list_outdated(session.document.snapshot) == [(5, LENGTH - 1)]
    with pytest.raises(UnfinishedError):
        Export(["masks"]).run(session)
    session.runner.make_tracker = TruthTracker
    run_job(session, 4)
    assert list_outdated(session.document.snapshot) == []


@pytest.fixture
def job_in_its_first_direction(session):
    hold(session, 5)
    draw(session, 2, 1)
    draw(session, 8, 1)
    job = start_job(session, 2, "both")
    wait_until(lambda: job.done == 4)
    assert list_visible_frames(session) == [2, 8]
    return job


def test_lock_stops_a_request_in_its_first_direction(session, job_in_its_first_direction):
    run_action(session, {"do": "change_object", "object_id": 1, "locked": True})
    wait_for(job_in_its_first_direction)
    assert (job_in_its_first_direction.status, job_in_its_first_direction.done) == ("stopped", 4)


def test_request_stopped_in_its_first_direction_is_undone(session, document, job_in_its_first_direction):
    Stop().run(session)
    wait_for(job_in_its_first_direction)
    assert list_titles(document) == ("drawn object 1", None)
    assert list_outdated(document.snapshot) == []


def test_request_of_a_page_is_canceled_at_a_stop(session, document):
    document.listeners[lambda event: None] = "page 1"
    draw(session, 0, 1)
    hold(session, 0)
    run_action(session, {"do": "track", "frame": 0}, Origin(page="page 1"))
    Stop().run(session)
    job = wait_for(session.runner.job)
    assert (job.status, job.problem) == ("stopped", None)
    assert list_titles(document) == ("drawn object 1", None)
    assert not find_pending(document.snapshot)


def test_object_locked_between_both_directions_stops_the_run(session, document):
    draw(session, 0, 1, 2)
    draw(session, 11, 1)
    tracker = hold(session, 6)
    job = start_job(session, 0, "both")
    wait_until(lambda: job.done == 5)
    editing.ChangeObject(1, locked=True).run(document)
    before = list_labels(document)
    tracker.release_frames()
    wait_for(job)
    assert job.status == "stopped"
    np.testing.assert_array_equal(list_labels(document), before)
    assert list_visible_frames(session, 1) == [0, 11]
    assert list_outdated(document.snapshot) == [(1, 11)]
    run_job(session, 0, "both")
    assert list_visible_frames(session, 2) == list(range(LENGTH))
    assert not find_outdated(document.snapshot)[2].any()
    with pytest.raises(UnfinishedError, match="unlock locked objects, and track again"):
        Export(["masks"]).run(session)
    editing.ChangeObject(1, locked=False).run(document)
    assert list_outdated(Document.read(document.folder).snapshot) == [(1, 10)]
    run_job(session, 0, "both")
    assert list_outdated(document.snapshot) == []


def test_strips_show_drawn_absent_lost_and_tracked(folder, reopen):
    session = reopen(folder, TruthTracker(lose=range(4, LENGTH)))
    draw(session, 0, 1, 2)
    editing.ChangeObject(2, locked=True).run(session.document)
    editing.MarkAbsent(11, 1).run(session.document)
    events = []
    session.document.listeners[events.append] = None
    run_job(session, 0, "forward", 0, 10)
    assert session.document.timeline().marks == {1: "G888lllllllg", 2: "G-----------"}
    assert "".join(event.marks[1] for event in events if isinstance(event, FrameEvent)) == "888aaaalll"
    assert isinstance(events[-1], ResultsEvent)  # pages ask for the timeline, as earlier marks differ
    checks = ListFramesToCheck().run(session)
    assert (checks[0].frame, checks[0].sentence.partition(",")[0]) == (8, "object 1 is lost")
    assert all(check.object_ids == [1] for check in checks)


def test_backward_strip_is_lost_before_the_object_appears(folder, reopen):
    session = reopen(folder, TruthTracker(lose=range(6)))
    draw(session, 11, 1)
    events = []
    session.document.listeners[events.append] = None
    run_job(session, 11, "backward")
    assert session.document.timeline().marks[1] == "llllll99999G"
    assert "".join(event.marks[1] for event in events if isinstance(event, FrameEvent)) == "99999aaaall"


def test_end_of_tracking_describes_the_page_state_once(session, document):
    draw(session, 0, 1)
    events = []
    document.listeners[events.append] = None
    run_job(session, 0)
    last = max(index for index, event in enumerate(events) if isinstance(event, FrameEvent))
    states = [event.state for event in events[last:] if isinstance(event, DocumentEvent)]
    assert [state.outdated for state in states] == [{}]
    assert states[0] == document.describe_page_state()


def test_tracking_is_cleared_from_a_frame_on_in_one_step(session, document):
    draw_and_track(session, 1, 2)
    draw(session, 8, 1)
    editing.ClearTracking(5).run(document)
    assert list_tracked_frames(document.snapshot) == [1, 2, 3, 4]
    np.testing.assert_array_equal(document.snapshot.labels(8) == 1, truth(8) == 1)
    assert not document.snapshot.labels(7).any()
    with pytest.raises(InputError, match="no tracked masks"):
        editing.ClearTracking(5).run(document)
    document.undo()
    np.testing.assert_array_equal(document.snapshot.labels(7), truth(7))


def test_cleared_range_ends_at_the_last_frame(session, document):
    draw_and_track(session, 1)
    editing.ClearTracking(5, 99).run(document)
    assert document.snapshot.state.layers[2].last == LENGTH - 1


def test_cleared_tracking_of_a_merged_object_is_hidden(session, document):
    draw_and_track(session, 1, 2)
    editing.MergeObjects(2, 1).run(document)
    editing.ClearTracking(5).run(document)
    assert list_visible_frames(session) == [0, 1, 2, 3, 4]


def test_dropping_results_spares_locked_objects(session, document):
    draw_and_track(session, 1, 2)
    editing.ChangeObject(2, locked=True).run(document)
    editing.ClearTracking(3, 4).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(3), np.where(truth(3) == 2, 2, 0))
    assert set(document.snapshot.scores(3)) == {2}
    np.testing.assert_array_equal(document.snapshot.labels(5), truth(5))
    editing.ClearTracking(0).run(document)
    np.testing.assert_array_equal(document.snapshot.labels(6), np.where(truth(6) == 2, 2, 0))


def test_undo_cancels_a_running_job_and_redo_marks_it_cut_off(session, document):
    draw(session, 0, 1)
    job, _ = start_held_job(session, 4, done=2)
    run_action(session, {"do": "undo"})
    wait_for(job)
    assert job.status == "stopped"
    assert job.done < job.total
    assert list_visible_frames(session) == [0]
    document.redo()
    assert set(list_visible_frames(session)) >= {0, 1, 2}
    assert list_outdated(document.snapshot)[-1][1] == LENGTH - 1


def test_request_redone_while_it_is_cancelled_stays_incomplete(session, monkeypatch):
    document, add_tracked_masks = session.document, session.document.add_tracked_masks
    draw(session, 0, 1)

    def cancel(layer_id, result, ids):
        if result.frame < 3:
            return add_tracked_masks(layer_id, result, ids)
        document.undo()
        overwritten_pixels = add_tracked_masks(layer_id, result, ids)
        document.redo()
        return overwritten_pixels

    monkeypatch.setattr(document, "add_tracked_masks", cancel)
    assert run_job(session, 0).status == "stopped"
    assert list_outdated(document.snapshot) == [(3, LENGTH - 1)]


def test_merged_confidence_is_calibrated():
    logits = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    forward = Prediction((1,), logits, logits.max(0).indices, temperature=2.0)
    merged, disagreement = merge_predictions(forward, ObjectProbabilities((1,), forward.probabilities), {1: 0.5})
    np.testing.assert_array_equal(merged.labels, forward.labels)
    assert merged.confidence == pytest.approx(forward.confidence)
    assert disagreement == {1: 0}


def stop_while_loading(session):
    session.runner.job.stop()
    return TruthTracker()


@pytest.mark.parametrize(
    ("load", "status"),
    [(stop_while_loading, "stopped"), (Mock(side_effect=InputError("checkpoint: not readable")), "failed")],
    ids=["stopped", "failed"],
)
def test_failed_or_stopped_tracking_keeps_redo(folder, session, document, load, status, reopen):
    draw(session, 0, 1)
    draw(session, 3, 1)
    document.undo()
    titles = list_titles(document)
    session.runner.make_tracker = partial(load, session)
    assert run_job(session, 0).status == status
    assert list_titles(document) == titles
    again = reopen(folder)
    assert list_titles(again.document) == titles
    again.document.redo()
    assert again.document.snapshot.drawn_frames == [0, 3]


def test_edit_after_the_last_frame_does_not_stop_a_request(session, document):
    def edit(event):
        if isinstance(event, JobEvent) and event.job.done == event.job.total:
            session.runner.stop_if_invalid()

    draw(session, 0, 1)
    document.listeners[edit] = None
    assert run_job(session, 0).status == "done"
    assert document.tracked_masks.layer(1).finished


def test_request_that_cannot_be_undone_is_reported(session, document):
    draw(session, 0, 1)
    title = list_titles(document)[0]

    def make_tracker():
        with document.database.transaction() as connection:
            connection.execute("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT raise(ABORT, 'full'); END")
        raise InputError("checkpoint: missing")

    session.runner.make_tracker = make_tracker
    job = run_job(session, 0)
    assert job.status == "failed"
    assert "project.sqlite: cannot be written (full)" in job.problem
    with document.database.transaction() as connection:
        connection.execute("DROP TRIGGER full")
    document.undo()
    assert (list_titles(document)[0], list_outdated(document.snapshot)) == (title, [])


def test_scores_exclude_pixels_of_locked_objects(session):
    draw_and_track(session, 1, 2)
    document, everywhere = session.document, np.full((40, 60), 2, np.uint16)
    editing.ChangeObject(1, locked=True).run(document)
    layer_id = document.make_layer_id()
    document.edit("tracking", Changes(layers={layer_id: Layer([2], 1, 5)}))
    document.add_tracked_masks(layer_id, LayerFrame(3, {2: Score(0.9, everywhere.size, 30.0, 20.0)}), everywhere)
    covered = np.where(truth(4) == 1, 2, 0).astype(np.uint16)
    document.add_tracked_masks(layer_id, LayerFrame(4, {2: Score(0.9, 100, 10.0, 10.0)}), covered)
    editing.ChangeObject(1, locked=False).run(document)
    editing.DeleteObject(1).run(document)
    assert document.snapshot.scores(4)[2] == Score(0.0, 0, 0.0, 0.0)
    assert document.snapshot.scores(3)[2].area == (document.snapshot.labels(3) == 2).sum() == everywhere.size - 100


def test_undone_deletion_of_the_only_object_keeps_its_tracking(session):
    draw(session, 0, 1)
    job, tracker = start_held_job(session, 3)
    run_action(session, {"do": "delete_object", "object_id": 1})
    wait_for(job)
    run_action(session, {"do": "undo"})
    tracker.release_frames()
    assert list_visible_frames(session) == list(range(job.done + 1))
    assert list_outdated(session.document.snapshot) == [(job.done + 1, LENGTH - 1)]


@pytest.mark.parametrize("cleared", [2, 6], ids=["done", "ahead"])
def test_clearing_all_that_is_left_to_track_stops_a_request(session, cleared):
    draw(session, 1, 1)
    run_job(session, 1)
    job, tracker = start_held_job(session, 4, 1, done=3)  # and a frame for the reference
    run_action(session, {"do": "clear_tracking", "frame": cleared})
    tracker.release_frames(100)
    wait_for(job)
    assert job.status == "stopped"
    assert list_visible_frames(session) == [*range(1, cleared)]
    assert list_outdated(session.document.snapshot) == []


def test_scores_of_a_merged_object_include_all_pixels(session):
    draw(session, 0, 1, 2)
    document, labels = session.document, truth(3)
    labels[26:35] = 0  # of object 2, a row is left
    layer_id = document.make_layer_id()
    document.edit("tracking", Changes(layers={layer_id: Layer([1, 2], 1, 5)}))
    document.add_tracked_masks(layer_id, LayerFrame(3, measure_scores(labels, (1, 2), {1: 0.9, 2: 0.5})), labels)
    editing.MergeObjects(2, 1).run(document)
    scores, (rows, columns) = document.snapshot.scores(3), np.nonzero(labels)
    assert scores == {1: scores[1]}
    assert scores[1].area == len(rows) == 110
    assert (scores[1].x, scores[1].y) == pytest.approx((columns.mean(), rows.mean()), abs=0.05)
    assert scores[1].confidence == 0.9  # of the larger one


def test_first_tracking_shows_no_frame_as_outdated(session):
    draw(session, 0, 1)
    job, tracker = start_held_job(session, 2)
    assert Describe().run(session).outdated == {}
    assert list_outdated(session.document.snapshot)  # an export asks
    tracker.release_frames()
    wait_for(job)


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_cut_off_request_continues(session, folder, reopen, direction):
    draw(session, 5, 1)
    tracker = hold(session, 2)
    job = start_job(session, 5, direction)
    wait_until(lambda: job.done >= 1)
    job.stop(interrupt=True)
    tracker.release_frames()
    wait_for(job)
    again = reopen(folder)
    cut_off = Describe().run(again).cut_off
    request = msgspec.structs.asdict(cut_off)
    assert 0 < request.pop("frames") < LENGTH
    run_job(again, **request)
    assert Describe().run(again).cut_off is None
    frames = {"forward": range(5, LENGTH), "backward": range(6), "both": range(LENGTH)}[direction]
    assert list_visible_frames(again) == [*frames]
