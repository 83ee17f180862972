"""Jobs: directions, keyframes on the way, chosen objects, pause and stop, undo; corrections that propagate."""

import threading
from contextlib import nullcontext
from itertools import count
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from aotlab import InputError, Prediction
from aotlab.sdk import ObjectProbabilities, merge_predictions
from aotlab_studio.document import editing
from aotlab_studio.document.document import Document
from aotlab_studio.document.events import DocumentEvent, FrameEvent
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import Result
from aotlab_studio.document.planning import plan_corrections
from aotlab_studio.document.scores import Score
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.protocol import JobEvent
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.session import OutdatedError
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.clips import (
    LENGTH,
    WAIT_SECONDS,
    TruthTracker,
    draw,
    equal_labels,
    hold,
    list_labels,
    list_titles,
    outline_message,
    png,
    set_mask,
    square,
    start_job,
    truth,
    wait_until,
    wait_until_propagated,
)


def run_job(session, *args, **options):
    job = start_job(session, *args, **options)
    job.wait()
    return job


def list_visible_frames(session, number=None):
    """Frames that show an object, or any."""
    wanted = [number] if number else [*session.document.snapshot.objects]
    labels = [session.document.snapshot.labels(index) for index in range(LENGTH)]
    return [index for index in range(LENGTH) if np.isin(labels[index], wanted).any()]


def test_forward_reaches_the_end_and_backward_the_start(session):
    draw(session, 4, 1)
    job = run_job(session, 4)
    assert (job.status, job.done, job.total) == ("done", 7, 7)
    assert list_visible_frames(session) == list(range(4, LENGTH))
    run_job(session, 4, "backward")
    assert list_visible_frames(session) == list(range(LENGTH))
    assert all(
        (session.document.snapshot.labels(index) == (truth(index) == 1)).all() for index in range(LENGTH)
    )


def test_directions_of_an_object_of_both_keyframes_are_merged(session):
    draw(session, 2, 1)
    draw(session, 8, 1, 2)
    job = run_job(session, 2, "both")
    assert job.done == job.total == 8 + 9
    snapshot = session.document.snapshot
    for object_id, between in ((1, 0), (2, None)):
        assert list_visible_frames(session, object_id) == list(range(LENGTH))
        assert snapshot.scores(5)[object_id].disagreement == between
        assert snapshot.scores(10)[object_id].disagreement is None


def test_both_directions_carry_an_object_given_late(session):
    draw(session, 2, 1)
    draw(session, 8, 2)
    run_job(session, 8, "both")
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    assert list_visible_frames(session, 2) == list(range(LENGTH))
    assert all((session.document.snapshot.labels(index) == truth(index)).all() for index in range(LENGTH))


@pytest.mark.parametrize("keyframe", [0, 7, 11])
def test_both_directions_carry_what_the_visible_frame_shows(session, keyframe):
    draw(session, 6, 2)
    run_job(session, 6, last=8)
    editing.reset_frame(session.document, 6)
    draw(session, keyframe, 1)
    run_job(session, 7, "both")
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    assert list_visible_frames(session, 2) == list(range(LENGTH))


def test_both_directions_stop_at_an_absent_object(session):
    draw(session, 2, 1)
    draw(session, 8, 1, 2)
    editing.mark_absent(session.document, 2, 2)
    run_job(session, 8, "both")
    assert list_visible_frames(session, 2) == list(range(6, LENGTH))


def test_keyframe_on_the_way_is_a_reference(folder, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    draw(session, 0, 1, 2)
    draw(session, 6, 1)
    editing.mark_absent(session.document, 6, 2)
    run_job(session, 0)
    assert (6, [1]) in tracker.calls
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    assert list_visible_frames(session, 2) == list(range(6))


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_old_results_of_an_absent_object_are_removed(session, direction):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    editing.mark_absent(session.document, 6, 2)
    if direction == "both":
        draw(session, 8, 1)
    run_job(session, 6 if direction == "forward" else 0, direction)
    assert list_visible_frames(session, 1) == list(range(LENGTH))
    # in both directions, each frame goes to the nearer of the keyframes 0 and 6
    assert list_visible_frames(session, 2) == list(range(6 if direction == "forward" else 3))
    assert all(2 not in session.document.snapshot.scores(index) for index in range(8, LENGTH))
    session.document.undo()
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_old_results_of_locked_objects_stay(session):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    editing.mark_absent(session.document, 6, 2)
    editing.change_object(session.document, 2, locked=True)
    run_job(session, 6)
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_later_start_uses_earlier_keyframes(folder, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    draw(session, 0, 1)
    draw(session, 6, 1)
    run_job(session, 6)
    assert tracker.calls[:3] == [(0, [1]), (6, [1]), (7, None)]


def test_backward_job_uses_the_keyframe_that_it_starts_at(session):
    draw(session, 2, 1)
    draw(session, 8, 1)
    assert run_job(session, 8, "backward").done == 8
    assert list_visible_frames(session) == list(range(9))


def test_job_that_cannot_start_leaves_the_document_unchanged(session):
    draw(session, 0, 1)
    run_job(session, 0)
    head = session.document.log.head

    def make_tracker():
        raise InputError("checkpoint: missing")

    session.runner.make_tracker = make_tracker
    job = run_job(session, 0)
    assert (job.status, job.problem) == ("failed", "checkpoint: missing")
    assert session.document.log.head == head
    assert session.document.snapshot.list_outdated() == []


def test_failed_request_after_an_edit_keeps_results_current(session):
    draw(session, 0, 1)

    def make_tracker():
        editing.set_note(session.document, 3, "blurred")
        raise InputError("checkpoint: missing")

    session.runner.make_tracker = make_tracker
    assert run_job(session, 0).status == "failed"
    assert list_titles(session.document) == ("note", None)
    assert session.document.snapshot.list_outdated() == []


@pytest.mark.parametrize("undone", [True, False])
def test_only_what_undo_or_redo_leads_to_is_an_edit(session, undone):
    document = session.document
    document.edit("tracking", Changes(layers={1: Layer([1], 1, 3)}))
    if undone:
        document.undo()
    else:
        document.cancel(1)
    assert document.log.edited == undone


def test_only_unlocked_objects_are_written(session):
    draw(session, 0, 1, 2)
    editing.change_object(session.document, 1, locked=True)
    run_job(session, 0)
    assert list_visible_frames(session, 1) == [0]
    assert list_visible_frames(session, 2) == list(range(LENGTH))
    editing.change_object(session.document, 1, locked=False)
    editing.change_object(session.document, 2, locked=True)
    draw(session, 0, 1)
    before = session.document.snapshot.labels(5) == 2
    run_job(session, 0)
    assert (before == (session.document.snapshot.labels(5) == 2)).all()
    assert list_visible_frames(session, 1) == list(range(LENGTH))


def test_pause_and_stop_act_within_a_frame(session, monkeypatch):
    tracker, seconds = hold(session, 3), count()
    monkeypatch.setattr("aotlab_studio.tracking.jobs.time.perf_counter", lambda: next(seconds))
    draw(session, 0, 1)
    events = []
    session.document.listeners.append(events.append)
    job = start_job(session, 0)
    job.pause()
    tracker.allow(1)
    wait_until(lambda: job.status == "paused")
    done = job.done
    assert list_visible_frames(session) == list(range(1 + done))
    seconds = count(1000)
    job.resume()
    tracker.allow(2)
    wait_until(lambda: job.done >= done + 2)
    job.stop()
    job.wait(60)
    assert job.status == "stopped"
    assert len(list_visible_frames(session)) == 1 + job.done < LENGTH
    reports = [event.job for event in events if isinstance(event, JobEvent)]
    assert reports[-1].status == "stopped"
    assert {report.speed for report in reports} == {0, 1}  # without the pause
    session.document.undo()
    assert list_visible_frames(session) == [0]


def test_frame_stored_during_a_stop_counts(session, monkeypatch):
    draw(session, 0, 1)
    document, add_result = session.document, session.document.add_result

    def stop_and_add(*values):
        session.stop()
        return add_result(*values)

    monkeypatch.setattr(document, "add_result", stop_and_add)
    job = run_job(session, 0)
    assert (job.status, job.done) == ("stopped", 1)
    assert list_visible_frames(session) == [0, 1]


@pytest.mark.parametrize("loading", [True, False])
def test_stop_before_the_first_frame_removes_the_step(session, loading):
    tracker, loads, loaded = TruthTracker(), threading.Event(), threading.Event()

    def make_tracker():
        loads.set()
        loaded.wait(60)
        return tracker

    session.runner.make_tracker = make_tracker
    draw(session, 0, 1)
    with nullcontext() if loading else session.runner._changed:  # its thread waits for the lock
        job = start_job(session, 0)
        if loading:
            loads.wait(60)
        session.stop()
    loaded.set()
    job.wait(60)
    assert (job.status, tracker.calls, loads.is_set()) == ("stopped", [], loading)
    assert list_titles(session.document) == ("drawn", None)
    assert session.document.snapshot.list_outdated() == []


def test_second_job_rejected_and_deletion_allowed_while_one_runs(session):
    tracker = hold(session, 2)
    draw(session, 0, 1, 2)
    job = start_job(session, 0)
    with pytest.raises(InputError, match="stop it first"):
        run_action(session, {"do": "track", "frame": 0})
    run_action(session, {"do": "delete_object", "object_id": 2})
    tracker.allow()
    job.wait(60)
    assert list_visible_frames(session) == list_visible_frames(session, 1) == list(range(LENGTH))
    session.document.undo()
    assert list_visible_frames(session, 2) == list(range(LENGTH))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3,), "no mask to track"),
        ((99,), "has no frame 99"),
        ((0, "both", 2, 6), "does not contain frame 0"),
        ((0, "backward"), "no further frame"),
        ((0, "forward"), "all objects are locked"),
    ],
)
def test_invalid_request_rejected(session, arguments, words):
    draw(session, 0, 1)
    if words == "no mask to track":
        session.document.undo()
    editing.change_object(session.document, 1, locked="locked" in words)
    with pytest.raises(InputError, match=words):
        session.track(*arguments)


def test_failed_tracker_is_reported_and_results_stay(folder, reopen):
    session = reopen(folder, TruthTracker(fail_at=4))
    draw(session, 0, 1)
    job = run_job(session, 0)
    assert job.status == "failed"
    assert "out of memory" in job.problem
    assert list_visible_frames(session) == [0, 1, 2, 3]


def test_frames_left_by_a_failed_tracker_are_outdated(folder, reopen):
    session = reopen(folder, TruthTracker(fail_at=5))
    draw(session, 0, 1)
    run_job(session, 0)
    assert session.document.snapshot.list_outdated() == [(5, LENGTH - 1)]
    with pytest.raises(OutdatedError):
        session.set_status("accepted")
    session.runner.make_tracker = TruthTracker
    run_job(session, 4)
    assert session.document.snapshot.list_outdated() == []
    session.set_status("accepted")


@pytest.mark.parametrize("locked", [False, True])
def test_request_stopped_in_its_first_direction_is_undone(session, locked):
    hold(session, 5)
    draw(session, 2, 1)
    draw(session, 8, 1)
    job = start_job(session, 2, "both")
    wait_until(lambda: job.done == 4)
    assert list_visible_frames(session) == [2, 8]
    if locked:
        run_action(session, {"do": "change_object", "object_id": 1, "locked": True})
        job.wait(60)
        assert (job.status, job.done) == ("stopped", 4)
        return
    session.stop()
    job.wait(60)
    assert list_titles(session.document) == ("drawn", None)
    assert session.document.snapshot.list_outdated() == []


@pytest.mark.parametrize("frame", [1, 9])
def test_mask_drawn_outside_a_range_keeps_its_results_current(session, long_pause, frame):
    draw(session, 4, 1)
    run_job(session, 4, "both", 3, 7)
    run_action(session, stroke(frame, 50, 20))
    assert session.document.snapshot.list_outdated() == []


def test_object_locked_between_both_directions_stops_the_run(session):
    draw(session, 0, 1, 2)
    draw(session, 11, 1)
    tracker = hold(session, 6)
    job = start_job(session, 0, "both")
    wait_until(lambda: job.done == 5)
    editing.change_object(session.document, 1, locked=True)
    before = list_labels(session.document)
    tracker.allow()
    job.wait()
    assert job.status == "stopped"
    assert equal_labels(list_labels(session.document), before)
    assert list_visible_frames(session, 1) == [0, 11]
    assert session.document.snapshot.list_outdated() == [(1, 11)]
    run_job(session, 0, "both")
    assert list_visible_frames(session, 2) == list(range(LENGTH))
    assert not session.document.snapshot.outdated[2].any()
    with pytest.raises(OutdatedError, match="Unlock their objects"):
        session.set_status("accepted")
    editing.change_object(session.document, 1, locked=False)
    assert Document.read(session.document.folder).snapshot.list_outdated() == [(1, 10)]
    run_job(session, 0, "both")
    assert session.document.snapshot.list_outdated() == []


def test_strips_show_given_absent_lost_and_tracked(folder, reopen):
    session = reopen(folder, TruthTracker(lose=range(4, LENGTH)))
    draw(session, 0, 1)
    editing.mark_absent(session.document, 11, 1)
    events = []
    session.document.listeners.append(events.append)
    run_job(session, 0, "forward", 0, 10)
    assert session.document.timeline().marks[1] == "G999lllllllg"
    assert "".join(event.marks[1] for event in events if isinstance(event, FrameEvent)) == "999aaaalll"
    checks = session.review()
    assert (checks[0].frame, checks[0].sentence.partition(",")[0]) == (8, "object 1 is lost")
    assert all(check.object_ids == [1] for check in checks)


def test_strip_of_a_backward_run_is_lost_up_to_where_it_is_seen(folder, reopen):
    session = reopen(folder, TruthTracker(lose=range(6)))
    draw(session, 11, 1)
    events = []
    session.document.listeners.append(events.append)
    run_job(session, 11, "backward")
    assert session.document.timeline().marks[1] == "llllll99999G"
    assert "".join(event.marks[1] for event in events if isinstance(event, FrameEvent)) == "99999aaaall"


def test_refining_click_changes_the_existing_mask(served):
    session = served.session
    draw(session, 0, 1, 2)
    merged = truth(0) > 0
    set_mask(session.document, 0, 1, merged)
    connection = served.open()
    answer = connection.do("suggest", frame=0, object_id=1, negative=[[45, 30]], separate=True)
    assert "error" not in answer
    labels = session.document.snapshot.labels(0)
    assert ((labels == 1) == (truth(0) == 1)).mean() > 0.99
    assert "give a box" in connection.do("suggest", frame=0, object_id=1, negative=[[45, 30]])["error"]
    assert (
        "extend" in connection.do("suggest", frame=0, object_id=1, negative=[[45, 30]], extend="yes")["error"]
    )
    both = {"positive": [[10, 10]], "negative": [[45, 30]], "separate": True}
    assert "give either" in connection.do("suggest", frame=0, object_id=1, **both)["error"]


def test_results_are_dropped_from_a_frame_on_in_one_step(session):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    draw(session, 8, 1)
    editing.clear_tracking(session.document, 5)
    assert session.document.snapshot.tracked_frames == [1, 2, 3, 4]
    assert ((session.document.snapshot.labels(8) == 1) == (truth(8) == 1)).all()
    assert not session.document.snapshot.labels(7).any()
    with pytest.raises(InputError, match="no tracked masks"):
        editing.clear_tracking(session.document, 5)
    session.document.undo()
    assert (session.document.snapshot.labels(7) == truth(7)).all()


def test_dropping_results_spares_locked_objects(session):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    editing.change_object(session.document, 2, locked=True)
    editing.clear_tracking(session.document, 3, 4)
    assert (session.document.snapshot.labels(3) == np.where(truth(3) == 2, 2, 0)).all()
    assert set(session.document.snapshot.scores(3)) == {2}
    assert (session.document.snapshot.labels(5) == truth(5)).all()
    editing.clear_tracking(session.document, 0)
    assert (session.document.snapshot.labels(6) == np.where(truth(6) == 2, 2, 0)).all()


def test_preview_of_a_click_leaves_masks_unchanged(served):
    answer = served.open().do("preview", frame=0, positive=[[10, 10]])
    assert answer["result"] == [[[5, 5], [5, 14], [14, 14], [14, 5]]]
    assert not served.session.document.snapshot.labels(0).any()
    served.session.segmenter = None
    assert "no segmenter" in served.open().do("preview", frame=0, positive=[[10, 10]])["error"]


def propagate(session):
    """Propagate a correction now, and wait for its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aotlab_studio.tracking.jobs.PROPAGATION_DELAY", 0)
        assert session.runner.wait(WAIT_SECONDS)


def stroke(frame, *point, object_id=1):
    """The message of a dot on an object that propagates."""
    return {
        "do": "paint", "frame": frame, "object_id": object_id, "points": [point], "radius": 3,
    }  # fmt: skip


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_job_tracks_from_its_own_revision(session, direction, long_pause):
    tracker = hold(session, 6)
    start = LENGTH - 1 if direction == "backward" else 0
    draw(session, start, 1)
    job = start_job(session, start, direction)
    wait_until(lambda: job.done >= 4)
    job.pause()
    tracker.allow()
    wait_until(lambda: job.status == "paused")
    corrected = abs(start - 2)
    run_action(session, stroke(corrected, 50, 20))
    tracker.calls.clear()
    job.resume()
    job.wait(60)
    assert job.status == "done"
    assert (corrected, [1]) not in tracker.calls
    assert session.document.snapshot.list_outdated()
    propagate(session)
    assert (corrected, [1]) in tracker.calls
    assert session.document.snapshot.list_outdated() == []
    session.document.undo()
    session.document.undo()
    assert list_visible_frames(session) == [start]


def test_stroke_during_tracking_can_be_undone(session):
    tracker = hold(session, 3)
    draw(session, 0, 1, 2)
    job = start_job(session, 0)
    editing.mark_absent(session.document, 9, 2)
    session.document.undo()
    tracker.allow()
    job.wait(60)
    assert list_visible_frames(session, 2) == list(range(LENGTH))
    session.document.undo()
    assert list_visible_frames(session, 2) == [0]


def test_undo_cancels_a_running_job_and_redo_marks_it_cut_off(session):
    hold(session, 4)
    draw(session, 0, 1)
    job = start_job(session, 0)
    wait_until(lambda: job.done >= 2)
    run_action(session, {"do": "undo"})
    job.wait(60)
    assert job.status == "stopped"
    assert job.done < job.total
    assert list_visible_frames(session) == [0]
    session.document.redo()
    assert set(list_visible_frames(session)) >= {0, 1, 2}
    assert session.document.snapshot.list_outdated()[-1][1] == LENGTH - 1


def test_request_redone_while_it_is_cancelled_stays_incomplete(session, monkeypatch):
    document, add_result = session.document, session.document.add_result
    draw(session, 0, 1)

    def cancel(layer_id, result, ids):
        if result.frame < 3:
            return add_result(layer_id, result, ids)
        document.undo()
        overwritten_pixels = add_result(layer_id, result, ids)
        document.redo()
        return overwritten_pixels

    monkeypatch.setattr(document, "add_result", cancel)
    assert run_job(session, 0).status == "stopped"
    assert document.snapshot.list_outdated() == [(3, LENGTH - 1)]


def test_undo_at_the_end_of_a_job_does_not_deadlock(session, monkeypatch):
    draw(session, 0, 1)
    undo, holds = session.document.undo, threading.Event()

    def end_job():  # as the thread of `JobRunner`
        with session.runner._changed:
            holds.set()
            session.runner.list_corrections()

    def undo_meanwhile():
        threading.Thread(target=end_job, daemon=True).start()
        holds.wait()
        return undo()

    monkeypatch.setattr(session.document, "undo", undo_meanwhile)
    page = threading.Thread(target=session.document.undo, daemon=True)
    page.start()
    page.join(60)
    assert not page.is_alive()


def test_correction_propagates_over_other_objects_keyframes(session, short_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    draw(session, 9, 1)
    run_action(session, {"do": "suggest", "frame": 5, "object_id": None, "box": [38, 23, 14, 14]})
    wait_until_propagated(session)
    assert list_visible_frames(session, 2) == list(range(5, LENGTH))
    assert list_titles(session.document) == ("prompt", None)
    session.document.undo()
    assert list_visible_frames(session, 2) == []
    assert list_visible_frames(session, 1) == list(range(LENGTH))


def test_correction_changes_frames_since_the_last_keyframe(folder, long_pause, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    draw(session, 0, 1, 2)
    run_job(session, 0)
    tracker.calls.clear()
    run_action(session, stroke(6, 50, 20))
    (layer_id,) = session.document.snapshot.pending
    layer = session.document.snapshot.state.layers[layer_id]
    assert (layer.first, layer.last, layer.reference_frame, layer.keyframes, layer.objects) == (
        1,
        LENGTH - 1,
        6,
        [0],
        [1],
    )
    propagate(session)
    order = [index for index, _ in tracker.calls]
    assert order == [0, *range(6, LENGTH), 6, *range(5, 0, -1), 0, *range(1, 6)]
    assert session.runner.job.report().done == session.runner.job.report().total


def test_correction_ends_at_the_last_result_before_a_drawing(session, long_pause):
    draw(session, 0, 1)
    run_job(session, 0, last=5)
    draw(session, 6, 2)
    run_action(session, stroke(3, 50, 20))
    (layer_id,) = session.document.snapshot.pending
    layer = session.document.snapshot.state.layers[layer_id]
    assert (layer.reference_frame, layer.last, layer.objects) == (3, 5, [1])


def test_correction_before_a_backward_result_goes_on_backward(session):
    draw(session, 6, 1)
    run_job(session, 6, "backward")
    draw(session, 3, 1)
    layer = session.document.snapshot.state.layers[session.document.snapshot.pending[-1]]
    assert (layer.first, layer.last, layer.keyframes) == (0, 5, [])


def test_objects_that_lose_drawn_pixels_are_tracked_again(session, long_pause):
    for frame in (0, 6):
        draw(session, frame, 1, 2)
    run_job(session, 0)
    editing.paint(session.document, 6, 1, [(46, 30)], 3)
    assert session.describe().outdated == {1: [(1, 5), (7, 11)], 2: [(1, 5), (7, 11)]}
    propagate(session)
    assert session.document.snapshot.list_outdated() == []
    editing.paint(session.document, 6, 1, [(46, 30)], 20)  # all of the other object, which is absent now
    propagate(session)
    assert session.describe().outdated == {2: [(7, 11)]}  # nothing to track these from
    session.document.undo()
    draw(session, 10, 2)
    editing.paint(session.document, 6, 1, [(46, 30)], 20)
    propagate(session)
    assert session.document.snapshot.list_outdated() == []
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_merged_drawings_keep_results_current(session, long_pause):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    draw(session, 5, 1)
    propagate(session)
    editing.reset_frame(session.document, 5)
    propagate(session)
    editing.merge_objects(session.document, 2, 1)
    assert session.document.snapshot.pending == []
    assert session.document.snapshot.list_outdated() == []


def test_object_merged_with_tracked_pixels_is_tracked_again(session, long_pause):
    draw(session, 0, 1, 2)
    draw(session, 5, 1)
    run_job(session, 0)
    editing.merge_objects(session.document, 2, 1)
    assert session.describe().outdated == {1: [(1, 4), (6, 11)]}
    propagate(session)
    assert session.document.snapshot.list_outdated() == []


def test_loaded_masks_are_tracked_from(session, long_pause):
    for frame in (0, 6):
        draw(session, frame, 1, 2)
    run_job(session, 0)
    labels = np.where(truth(6) == 2, 0, truth(6))
    labels[25:35, 42:46] = 1
    load_upload(session.document, 6, png(labels))
    assert session.describe().outdated == {1: [(1, 5), (7, 11)], 2: [(1, 5), (7, 11)]}
    propagate(session)
    assert session.document.snapshot.list_outdated() == []


def test_corrections_of_many_masks_are_planned_in_one_pass(session, long_pause, monkeypatch):
    calls, keyframe = [], Snapshot.keyframe
    monkeypatch.setattr(Snapshot, "keyframe", lambda now, index: calls.append(index) or keyframe(now, index))
    draw(session, 0, 1, 2)
    snapshot = session.document.snapshot

    def count_calls(before, *frames):
        """Return the calls to plan masks on frames, and the number of layers."""
        digests = dict.fromkeys((1, 2), "0" * 32)
        after = before.with_state(before.state.apply(Changes(keyframes=dict.fromkeys(frames, digests))))
        calls.clear()
        layers = plan_corrections(before, after, frames)
        return len(calls), len(layers)

    assert count_calls(snapshot, *range(1, LENGTH)) == (0, 0)  # nothing is tracked
    run_job(session, 0)
    (few, _), (many, _) = (count_calls(session.document.snapshot, *range(2, end, 2)) for end in (4, 12))
    assert many <= 5 * few


def test_frame_between_changed_masks_is_tracked_once(session, long_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    before, marks = session.document.snapshot, {frame: {1: f"{frame:032}"} for frame in (3, 6, 9)}
    after = before.with_state(before.state.apply(Changes(keyframes=marks)))
    layers = plan_corrections(before, after, [*marks])
    assert [(layer.first, layer.last) for layer in layers] == [(1, 3), (4, 6), (7, LENGTH - 1)]


def test_tracking_from_a_drawing_replaces_its_correction(session, long_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    draw(session, 4, 2)
    assert session.runner.list_corrections()
    run_job(session, 4)
    assert (session.runner.list_corrections(), session.document.snapshot.list_outdated()) == ([], [])


def test_later_stroke_replaces_an_earlier_correction(session, short_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    tracker = hold(session, 3)
    run_action(session, stroke(2, 30, 20))
    wait_until(lambda: session.runner.job.layer.kind == "correction" and session.runner.job.done)
    first = session.runner.job
    run_action(session, stroke(2, 33, 20))
    assert len(session.document.snapshot.pending) == 1
    wait_until(lambda: session.runner.job is not first)
    assert first.status == "stopped"
    assert first.done < first.total
    tracker.allow()
    job = run_job(session, 2)
    assert job.status == "done"
    assert job.layer.kind != "correction"


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("refused", [False, True])
def test_stroke_elsewhere_does_not_restart_a_correction(session, short_pause, refused, paused):
    draw(session, 0, 1)
    run_job(session, 0)
    tracker = hold(session, 6)
    run_action(session, stroke(5, 50, 20))
    wait_until(lambda: session.runner.job.layer.kind == "correction" and session.runner.job.done > 3)
    first = session.runner.job
    if paused:
        run_action(session, {"do": "pause"})
    with pytest.raises(InputError, match="no such object") if refused else nullcontext():
        run_action(session, stroke(8, 50, 20, object_id=7 if refused else 1))
    tracker.allow()
    if paused:
        wait_until(lambda: first.status == "paused")
        assert (session.runner.running_job, first.paused) == (first, True)
        run_action(session, {"do": "resume"})
    first.wait(60)
    assert (first.status, first.done) == ("done", first.total)
    wait_until(lambda: not session.document.snapshot.list_outdated())


def test_stopped_correction_waits_for_the_next_edit(session, short_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    tracker = hold(session, 3)
    run_action(session, stroke(5, 50, 20))
    wait_until(lambda: session.runner.job.layer.kind == "correction" and session.runner.job.done)
    run_action(session, {"do": "stop"})
    session.runner.job.wait()
    assert session.document.snapshot.list_outdated()
    assert len(session.runner.list_corrections()) == 1
    tracker.allow()
    run_action(session, stroke(8, 50, 20))
    wait_until_propagated(session)
    assert session.document.snapshot.list_outdated() == []


def test_corrections_wait_for_each_other_and_survive_a_kill(folder, session, long_pause, monkeypatch, reopen):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    run_action(session, stroke(8, 50, 20))
    run_action(session, stroke(3, 50, 20, object_id=2))
    assert len(session.document.snapshot.pending) == 2
    assert session.describe().outdated == {1: [(1, 7), (9, 11)], 2: [(1, 2), (4, 11)]}
    session.close()
    monkeypatch.setattr("aotlab_studio.tracking.jobs.PROPAGATION_DELAY", 0.02)
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    events = []
    session.document.listeners.append(events.append)
    session.runner.schedule()
    wait_until(
        lambda: (
            not session.runner.running_job
            and any(isinstance(event, DocumentEvent) and not event.state.outdated for event in events)
        )
    )
    jobs = [event.job for event in events if isinstance(event, JobEvent)]
    assert [job.done == job.total for job in jobs if job.status == "done"] == [True, True]
    assert list_titles(session.document)[0] == "brush"


def test_undone_correction_waits_again_after_redo(session, long_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    run_action(session, stroke(5, 50, 20))
    run_action(session, stroke(5, 50, 30))
    (second,) = session.document.snapshot.pending
    session.document.undo()
    (first,) = session.document.snapshot.pending
    assert first < second
    session.document.undo()
    assert session.document.snapshot.pending == []
    assert session.document.snapshot.list_outdated() == []
    session.document.redo()
    assert session.document.snapshot.pending == [first]
    run_job(session, 0)
    assert session.document.snapshot.pending == []
    session.document.undo()
    assert session.document.snapshot.pending == [first]


def test_failed_correction_stays_outdated(session, short_pause):
    draw(session, 0, 1)
    run_job(session, 0)

    fail = Mock(side_effect=InputError("no model"))
    session.runner.make_tracker = fail
    run_action(session, stroke(5, 50, 20))
    wait_until(lambda: session.runner.job.status == "failed")
    assert len(session.document.snapshot.pending) == 1
    assert session.document.snapshot.list_outdated() == [(1, 4), (6, 11)]


def test_correction_undone_at_its_start_keeps_others_running(session, short_pause, monkeypatch):
    draw(session, 0, 1)
    run_job(session, 0)
    list_corrections, document = session.runner.list_corrections, session.document

    def undo_meanwhile():
        waiting = list_corrections()
        if waiting and list_titles(document)[0] == "brush":
            undo = threading.Thread(target=document.undo)
            undo.start()
            undo.join(0.5)
        return waiting

    monkeypatch.setattr(session.runner, "list_corrections", undo_meanwhile)
    run_action(session, stroke(5, 50, 20))
    wait_until(lambda: list_titles(document)[0] == "tracking")
    monkeypatch.setattr(session.runner, "list_corrections", list_corrections)
    session.document.redo()
    assert session.runner.wait(60)
    assert document.snapshot.list_outdated() == []


def test_unreadable_project_leaves_corrections_for_the_next_edit(session, short_pause, monkeypatch, caplog):
    draw(session, 0, 1)
    run_job(session, 0)
    failed, list_corrections = threading.Event(), session.runner.list_corrections

    def fail():
        failed.set()
        raise InputError("database is locked")

    monkeypatch.setattr(session.runner, "list_corrections", fail)
    run_action(session, stroke(5, 50, 20))
    assert failed.wait(60)
    wait_until(lambda: "database is locked" in caplog.text)
    monkeypatch.setattr(session.runner, "list_corrections", list_corrections)
    run_action(session, stroke(8, 50, 20))
    assert session.runner.wait(60)
    assert session.document.snapshot.list_outdated() == []


def test_reset_frame_is_tracked_again_from_the_mask_before(session, short_pause):
    draw(session, 0, 1)
    run_job(session, 0)
    run_action(session, stroke(5, 50, 20))
    wait_until_propagated(session)
    run_action(session, {"do": "reset_frame", "frame": 5})
    assert session.document.snapshot.list_outdated() == [(1, 11)]
    wait_until_propagated(session)
    assert session.document.snapshot.list_outdated() == []
    assert (session.document.snapshot.labels(5) == np.where(truth(5) == 1, 1, 0)).all()


def test_absence_on_a_frame_does_not_propagate(session, short_pause):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    run_action(session, {"do": "mark_absent", "frame": 5, "object_id": 2})
    assert session.document.snapshot.list_outdated() == []
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 5]


def test_merged_confidence_is_calibrated():
    logits = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    forward = Prediction((1,), logits, logits.max(0).indices, temperature=2.0)
    merged = merge_predictions(forward, ObjectProbabilities((1,), forward.probabilities), {1: 0.5})
    assert (merged.labels == forward.labels).all()
    assert merged.confidence == pytest.approx(forward.confidence)
    assert merged.disagreement == {1: 0}


@pytest.mark.parametrize("starts", [True, False])
def test_correction_of_a_locked_object_waits_for_the_unlock(session, short_pause, monkeypatch, starts):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    before = [session.document.snapshot.labels(index) for index in range(LENGTH)]
    points = [[14, 8]]
    tracker = hold(session, 0)
    if not starts:
        monkeypatch.setattr("aotlab_studio.tracking.jobs.PROPAGATION_DELAY", 0.5)
    run_action(session, {"do": "paint", "frame": 4, "object_id": 1, "points": points, "radius": 2})
    if starts:
        wait_until(lambda: session.runner.running_job)
    run_action(session, {"do": "change_object", "object_id": 1, "locked": True})
    tracker.allow()
    assert session.runner.wait(60)
    for index in (*range(1, 4), *range(5, LENGTH)):
        assert (session.document.snapshot.labels(index) == before[index]).all()
    assert session.document.snapshot.list_outdated() == [(1, 3), (5, LENGTH - 1)]
    with pytest.raises(OutdatedError) as refused:
        session.set_status("accepted", outdated="wait")
    assert refused.value.choices == ["proceed"]
    run_action(session, {"do": "change_object", "object_id": 1, "locked": False})
    assert session.runner.wait(60)
    assert session.document.snapshot.list_outdated() == []


def test_object_locked_while_tracked_keeps_its_masks(session):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    before = session.document.snapshot.labels(LENGTH - 1)
    tracker = hold(session, 3)
    job = start_job(session, 0)
    wait_until(lambda: job.done)
    run_action(session, {"do": "change_object", "object_id": 1, "locked": True})
    tracker.allow()
    job.wait(60)
    assert (session.document.snapshot.labels(LENGTH - 1) == before).all()


@pytest.mark.parametrize("stopped", [True, False])
def test_failed_or_stopped_tracking_keeps_redo(folder, session, stopped, reopen):
    draw(session, 0, 1)
    draw(session, 3, 1)
    session.document.undo()
    titles = list_titles(session.document)

    def make_tracker():
        if not stopped:
            raise InputError("checkpoint: not readable")
        session.runner.job.stop()
        return TruthTracker()

    session.runner.make_tracker = make_tracker
    assert run_job(session, 0).status == ("stopped" if stopped else "failed")
    assert list_titles(session.document) == titles
    again = reopen(folder)
    assert list_titles(again.document) == titles
    again.document.redo()
    assert again.document.snapshot.keyframes == [0, 3]


def test_scores_are_of_the_pixels_that_a_locked_object_leaves(session):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    document, everywhere = session.document, np.full((40, 60), 2, np.uint16)
    editing.change_object(document, 1, locked=True)
    layer_id = document.make_layer_id()
    document.edit("tracking", Changes(layers={layer_id: Layer([2], 1, 5)}))
    document.add_result(layer_id, Result(3, {2: Score(0.9, everywhere.size, 30.0, 20.0)}), everywhere)
    editing.change_object(document, 1, locked=False)
    editing.delete_object(document, 1)
    assert (
        document.snapshot.scores(3)[2].area
        == (document.snapshot.labels(3) == 2).sum()
        == everywhere.size - 100
    )


def test_undone_deletion_of_the_only_object_leaves_its_tracking(session):
    draw(session, 0, 1)
    tracker = hold(session, 3)
    job = start_job(session, 0)
    wait_until(lambda: job.done)
    run_action(session, {"do": "delete_object", "object_id": 1})
    job.wait(60)
    run_action(session, {"do": "undo"})
    tracker.allow()
    assert list_visible_frames(session) == list(range(job.done + 1))
    assert session.document.snapshot.list_outdated() == [(job.done + 1, LENGTH - 1)]


@pytest.mark.parametrize(
    "edit",
    [{"do": "delete_object", "object_id": 1}, {"do": "clear_tracking", "frame": 0}],
    ids=lambda edit: edit["do"],
)
def test_unneeded_request_stops(session, edit):
    draw(session, 0, 1)
    hold(session, 3)
    job = start_job(session, 0)
    wait_until(lambda: job.done)
    run_action(session, edit)
    job.wait(60)
    assert job.status == "stopped"
    assert not session.runner.running_job


@pytest.mark.parametrize("cleared", [2, 6], ids=["done", "ahead"])
def test_clearing_all_that_is_left_to_track_stops_a_request(session, cleared):
    draw(session, 1, 1)
    run_job(session, 1)
    tracker = hold(session, 4)
    job = start_job(session, 1)
    wait_until(lambda: job.done == 3)  # and a frame for the reference
    run_action(session, {"do": "clear_tracking", "frame": cleared})
    tracker.allow(100)
    job.wait()
    assert job.status == "stopped"
    assert list_visible_frames(session) == [*range(1, cleared)]
    assert session.document.snapshot.list_outdated() == []


def test_correction_of_a_deleted_object_is_not_tracked(session, long_pause):
    draw(session, 0, 1, 2)
    run_job(session, 0)
    run_action(session, stroke(5, 50, 20))
    assert session.runner.list_corrections()
    run_action(session, {"do": "delete_object", "object_id": 1})
    assert not session.runner.list_corrections()


def test_scores_of_a_merged_object_are_of_all_its_pixels(session):
    draw(session, 0, 1, 2)
    start_job(session, 0).wait()
    parts = session.document.snapshot.scores(3)
    editing.merge_objects(session.document, 2, 1)
    scores, (rows, columns) = session.document.snapshot.scores(3), np.nonzero(truth(3))
    assert scores == {1: scores[1]}
    assert scores[1].area == parts[1].area + parts[2].area == len(rows)
    assert (scores[1].x, scores[1].y) == pytest.approx((columns.mean(), rows.mean()), abs=0.05)
    assert scores[1].confidence == max(parts.values(), key=lambda score: score.area).confidence


def test_second_object_keeps_frames_of_the_first(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    before = list_labels(session.document)
    run_action(session, outline_message(5, None, square(40, 25, 10)))
    wait_until_propagated(session)
    after = list_labels(session.document)
    assert all((labels == 2).any() for labels in after[5:])
    assert equal_labels([labels == 1 for labels in before], [labels == 1 for labels in after])


class Greedy(TruthTracker):
    """Gives every pixel of object 1 to object 2, if it knows object 2."""

    def step(self, frame, mask=None):
        found = super().step(frame, mask)
        if 2 not in self.ids or mask is not None:
            return found
        logits = found.logits.clone()
        one, two = (self.ids.index(each) + 1 for each in (1, 2))
        logits[two] = logits[[one, two]].max(0).values
        logits[one] = -3.0
        return Prediction(self.ids, logits, logits.max(0).indices)


def test_overwritten_pixels_are_counted_and_come_back(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    before = list_labels(session.document)
    session.runner.make_tracker = Greedy
    run_action(session, outline_message(5, None, square(40, 25, 10)))
    wait_until_propagated(session)
    lost = sum(
        int(((old == 1) & (new != 1)).sum())
        for old, new in zip(before, list_labels(session.document), strict=True)
    )
    assert session.runner.job.report().overwritten_pixels == lost == 100 * (LENGTH - 6)
    run_action(session, {"do": "undo"})
    assert equal_labels(list_labels(session.document), before)


def test_correction_resumed_with_another_model_names_both(session, short_pause):
    draw(session, 0, 1)
    start_job(session, 0).wait()
    session.runner.make_tracker = lambda: TruthTracker(fail_at=4, digest="2")
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    session.runner.wait(60)
    session.runner.make_tracker = lambda: TruthTracker(fail_at=3, digest="3")
    session.runner.wait(60)
    models = [
        (item["layer"], item["model"].split()[2][0], item["frames"])
        for item in session.document.snapshot.list_models()
    ]
    assert models == [(1, "0", [(4, 11)]), (2, "2", [(3, 3)]), (2, "3", [(2, 2)])]
