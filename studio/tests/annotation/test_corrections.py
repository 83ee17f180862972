"""Corrections: the frames that an edit outdates are tracked again in the background."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.events import DocumentEvent
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.planning import plan_corrections
from aotlab_studio.document.scores import Score
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.document.states import find_outdated, list_corrections, list_outdated
from aotlab_studio.protocol import JobEvent, PixelCount
from aotlab_studio.session.actions import Describe, Export, Track, run_action
from aotlab_studio.session.session import UnfinishedError
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.clips import LENGTH, png, square, truth
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    find_pending,
    finish_corrections,
    hold,
    list_labels,
    list_titles,
    list_visible_frames,
    outline_message,
    run_job,
    start_held_job,
    start_job,
    wait_for,
    wait_until_propagated,
)
from studio.tests.annotation.trackers import Greedy, TruthTracker
from tests.processes import wait_for_event, wait_until


def propagate(session):
    """Propagate a correction now, and wait for its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aotlab_studio.tracking.jobs.CORRECTION_DELAY", 0)
        assert finish_corrections(session)


def wait_for_correction(session, done):
    """Wait until a correction has tracked this number of frames; return its job."""
    wait_until(lambda: session.runner.job.is_correction and session.runner.job.done >= done)
    return session.runner.job


def stroke(frame, *point, object_id=1):
    """The message of a dot on an object that propagates."""
    return {"do": "paint", "frame": frame, "object_id": object_id, "points": [point], "radius": 3}


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_job_tracks_from_its_own_revision(session, document, direction, long_pause):
    tracker = hold(session, 6)
    start = LENGTH - 1 if direction == "backward" else 0
    draw(session, start, 1)
    job = start_job(session, start, direction)
    wait_until(lambda: job.done >= 4)
    job.pause()
    tracker.release_frames()
    wait_until(lambda: job.status == "paused")
    corrected = abs(start - 2)
    run_action(session, stroke(corrected, 50, 20))
    tracker.calls.clear()
    job.resume()
    wait_for(job)
    assert job.status == "done"
    assert (corrected, [1]) not in tracker.calls
    assert list_outdated(document.snapshot)
    propagate(session)
    assert (corrected, [1]) in tracker.calls
    assert list_outdated(document.snapshot) == []
    document.undo()
    document.undo()
    assert list_visible_frames(session) == [start]


def test_correction_propagates_over_other_objects_masks(session, document, short_pause):
    draw_and_track(session, 1)
    draw(session, 9, 1)
    run_action(session, {"do": "segment", "frame": 5, "object_id": None, "box": [38, 23, 14, 14]})
    wait_until_propagated(session)
    assert list_visible_frames(session, 2) == list(range(5, LENGTH))
    assert list_titles(document) == ("prompt", None)
    document.undo()
    assert list_visible_frames(session, 2) == []
    assert list_visible_frames(session, 1) == list(range(LENGTH))


def test_correction_changes_frames_since_the_last_drawn_one(folder, long_pause, reopen):
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    draw_and_track(session, 1, 2)
    tracker.calls.clear()
    run_action(session, stroke(6, 50, 20))
    (layer_id,) = find_pending(session.document.snapshot)
    layer = session.document.snapshot.state.layers[layer_id]
    assert (layer.first, layer.last, layer.reference_frame) == (1, LENGTH - 1, 6)
    assert (layer.drawn_frames, layer.objects) == ([0], [1])
    propagate(session)
    order = [index for index, _ in tracker.calls]
    assert order == [0, *range(6, LENGTH), 6, *range(5, 0, -1), 0, *range(1, 6)]
    assert session.runner.job.report().done == session.runner.job.report().total


def test_correction_ends_at_the_last_result_before_a_drawing(session, document, long_pause):
    draw(session, 0, 1)
    run_job(session, 0, last=5)
    draw(session, 6, 2)
    run_action(session, stroke(3, 50, 20))
    (layer_id,) = find_pending(document.snapshot)
    layer = document.snapshot.state.layers[layer_id]
    assert (layer.reference_frame, layer.last, layer.objects) == (3, 5, [1])


def test_correction_before_a_backward_result_goes_on_backward(session, document):
    draw(session, 6, 1)
    run_job(session, 6, "backward")
    draw(session, 3, 1)
    layer = document.snapshot.state.layers[list_corrections(document.snapshot)[-1]]
    assert (layer.first, layer.last, layer.drawn_frames) == (0, 5, [])


def test_objects_that_lose_drawn_pixels_are_tracked_again(session, document, long_pause):
    for frame in (0, 6):
        draw(session, frame, 1, 2)
    run_job(session, 0)
    editing.Paint(6, 1, [(46, 30)], 3).run(document)
    assert Describe().run(session).outdated == {1: [(1, 5), (7, 11)], 2: [(1, 5), (7, 11)]}
    propagate(session)
    assert list_outdated(document.snapshot) == []
    editing.Paint(6, 1, [(46, 30)], 20).run(document)  # all of the other object, which is absent now
    propagate(session)
    assert Describe().run(session).outdated == {2: [(7, 11)]}  # nothing to track these from
    document.undo()
    draw(session, 10, 2)
    editing.Paint(6, 1, [(46, 30)], 20).run(document)
    propagate(session)
    assert list_outdated(document.snapshot) == []
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 6]


def test_merged_drawings_keep_results_current(session, document, long_pause):
    draw_and_track(session, 1, 2)
    draw(session, 5, 1)
    propagate(session)
    editing.ResetFrame(5).run(document)
    propagate(session)
    editing.MergeObjects(2, 1).run(document)
    assert not find_pending(document.snapshot)
    assert list_outdated(document.snapshot) == []


@pytest.mark.parametrize(("object_id", "into"), [(2, 1), (1, 2)])
def test_object_merged_where_it_was_lost_is_tracked_again(session, document, short_pause, object_id, into):
    session.runner.make_tracker = lambda: TruthTracker(lose=range(4, LENGTH))
    draw_and_track(session, 1)
    session.runner.make_tracker = TruthTracker
    draw(session, 6, 2)
    propagate(session)
    editing.MergeObjects(object_id, into).run(document)
    propagate(session)
    assert list_outdated(document.snapshot) == []


def test_reset_of_the_first_mask_tracks_the_frames_before_it(session, document, short_pause):
    draw(session, 5, 1)
    run_job(session, 5, "both")
    draw(session, 8, 1)
    propagate(session)
    editing.ResetFrame(5).run(document)
    propagate(session)
    assert list_outdated(document.snapshot) == []
    assert list_visible_frames(session) == list(range(LENGTH))


def test_reset_between_two_requests_tracks_all_frames(session, document, short_pause):
    draw(session, 0, 1)
    run_job(session, 0, last=4)
    draw(session, 5, 1)
    run_job(session, 5)
    editing.ResetFrame(5).run(document)
    propagate(session)
    assert list_outdated(document.snapshot) == []
    assert list_visible_frames(session) == list(range(LENGTH))


def test_correction_does_not_track_cleared_frames(session, short_pause):
    draw(session, 0, 1)
    job, tracker = start_held_job(session, 5, done=4)
    job.stop(interrupt=True)
    wait_for(job)
    editing.ClearTracking(3, 7).run(session.document)
    tracker.release_frames()
    run_action(session, stroke(2, 50, 20))
    propagate(session)
    assert list_visible_frames(session) == [0, 1, 2]


def test_object_merged_with_tracked_pixels_is_tracked_again(session, document, long_pause):
    draw(session, 0, 1, 2)
    draw(session, 5, 1)
    run_job(session, 0)
    editing.MergeObjects(2, 1).run(document)
    assert Describe().run(session).outdated == {1: [(1, 4), (6, 11)]}
    propagate(session)
    assert list_outdated(document.snapshot) == []


def test_loaded_masks_are_tracked_from(session, document, long_pause):
    for frame in (0, 6):
        draw(session, frame, 1, 2)
    run_job(session, 0)
    labels = np.where(truth(6) == 2, 0, truth(6))
    labels[25:35, 42:46] = 1
    load_upload(document, 6, png(labels))
    assert Describe().run(session).outdated == {1: [(1, 5), (7, 11)], 2: [(1, 5), (7, 11)]}
    propagate(session)
    assert list_outdated(document.snapshot) == []


def test_corrections_of_many_masks_are_planned_in_one_pass(session, document, long_pause, monkeypatch):
    calls, read = [], Snapshot.drawn_masks
    monkeypatch.setattr(Snapshot, "drawn_masks", lambda now, index: calls.append(index) or read(now, index))
    draw(session, 0, 1, 2)
    snapshot = document.snapshot

    def count_calls(before, *frames):
        """Return the calls to plan masks on frames, and the number of layers."""
        digests = dict.fromkeys((1, 2), "0" * 32)
        after = before.with_changes(Changes(drawn_masks=dict.fromkeys(frames, digests)))
        calls.clear()
        layers = [*plan_corrections(before, after, frames)]
        return len(calls), len(layers)

    assert count_calls(snapshot, *range(1, LENGTH)) == (0, 0)  # nothing is tracked
    run_job(session, 0)
    (few, _), (many, _) = (count_calls(document.snapshot, *range(2, end, 2)) for end in (4, 12))
    assert many <= 5 * few


def test_layer_stores_the_masks_near_its_range(session, document, long_pause):
    draw_and_track(session, 1)
    for frame in range(1, LENGTH):
        draw(session, frame, 1)
    document.edit("tracking", Changes(layers={50: Layer([1], 2, 2, 1, "correction")}))
    assert not document.snapshot.find_changed_frames(50, 1).any()
    sources = document.snapshot.state.layers[50].sources
    assert [*sources[1]] == [1, 2, 3]


def test_frame_between_changed_masks_is_tracked_once(session, long_pause):
    draw_and_track(session, 1)
    before, marks = session.document.snapshot, {frame: {1: f"{frame:032}"} for frame in (3, 6, 9)}
    after = before.with_changes(Changes(drawn_masks=marks))
    layers = plan_corrections(before, after, [*marks])
    assert [(layer.first, layer.last) for layer in layers] == [(1, 3), (4, 6), (7, LENGTH - 1)]


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        (2, Layer([1], 1, 5, 2, "correction", takes_from=[])),
        (6, Layer([1], 3, 8, 6, "correction", [2], takes_from=[])),
    ],
)
def test_correction_reaches_as_far_as_drawn_in_its_example(session, document, long_pause, edited, expected):
    draw(session, 2, 1)
    draw(session, 6, 1)
    for layer_id, (first, last) in enumerate([(1, 5), (7, 8)], start=1):
        document.edit("tracking", Changes(layers={layer_id: Layer([1], first, last, 2)}))
        for frame in {*range(first, last + 1)} - {2}:
            document.add_tracked_masks(layer_id, LayerFrame(frame, {1: Score(1.0, 1, 0.0, 0.0)}), truth(frame) == 1)
    after = document.snapshot.with_changes(Changes(drawn_masks={edited: {1: "0" * 32}}))
    assert [*plan_corrections(document.snapshot, after, [edited])] == [expected]


def test_drawings_beyond_tracked_frames_track_nothing(session, document, long_pause):
    draw(session, 0, 1)
    run_job(session, 0, last=3)
    for frame, object_id in ((6, 1), (7, 2), (8, 2), (9, 1)):  # frames 7 and 8 show another object only
        draw(session, frame, object_id)
    assert len(document.snapshot.state.layers) == 1


def test_tracking_from_a_drawing_replaces_its_correction(session, document, long_pause):
    draw_and_track(session, 1)
    draw(session, 4, 2)
    assert list_corrections(document.snapshot)
    run_job(session, 4)
    assert (list_corrections(document.snapshot), list_outdated(document.snapshot)) == ([], [])


def test_layer_is_pending_until_newer_ones_track_all_its_objects(session, document):
    draw(session, 0, 1, 2)
    for layer_id, object_ids in ((1, [1, 2]), (2, [1])):
        document.edit("tracking", Changes(layers={layer_id: Layer(object_ids, 1, 3)}))
    assert find_pending(document.snapshot) == {1: [1, 2, 3], 2: [1, 2, 3]}
    document.add_tracked_masks(2, LayerFrame(2, {1: Score(1.0, 1, 0.0, 0.0)}), truth(2) == 1)
    assert document.timeline().marks[1].startswith("G-9-")
    outdated = find_outdated(document.snapshot)
    assert [np.flatnonzero(outdated[object_id]).tolist() for object_id in (1, 2)] == [[1, 3], [1, 2, 3]]
    assert list_outdated(document.snapshot, 2, 2) == [(2, 2)]
    editing.DeleteObject(2).run(document)
    assert find_pending(document.snapshot) == {2: [1, 3]}


def test_later_stroke_replaces_an_earlier_correction(session, short_pause):
    draw_and_track(session, 1)
    tracker = hold(session, 3)
    run_action(session, stroke(2, 30, 20))
    first = wait_for_correction(session, 1)
    run_action(session, stroke(2, 33, 20))
    assert len(find_pending(session.document.snapshot)) == 1
    wait_until(lambda: session.runner.job is not first)
    assert first.status == "stopped"
    assert first.done < first.total
    tracker.release_frames()
    job = run_job(session, 2)
    assert job.status == "done"
    assert job.layer.kind != "correction"


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(
    ("object_id", "outcome"), [(1, nullcontext()), (7, pytest.raises(InputError, match="no such object"))]
)
def test_stroke_elsewhere_does_not_restart_a_correction(session, short_pause, object_id, outcome, paused):
    draw_and_track(session, 1)
    tracker = hold(session, 6)
    run_action(session, stroke(5, 50, 20))
    first = wait_for_correction(session, 4)
    if paused:
        run_action(session, {"do": "pause"})
    with outcome:
        run_action(session, stroke(8, 50, 20, object_id=object_id))
    tracker.release_frames()
    if paused:
        wait_until(lambda: first.status == "paused")
        assert (session.runner.running_job, first.paused) == (first, True)
        run_action(session, {"do": "resume"})
    wait_for(first)
    assert (first.status, first.done) == ("done", first.total)
    wait_until(lambda: not list_outdated(session.document.snapshot))


def test_stopped_correction_waits_for_the_next_edit(session, document, short_pause):
    draw_and_track(session, 1)
    tracker = hold(session, 3)
    run_action(session, stroke(5, 50, 20))
    wait_for_correction(session, 1)
    run_action(session, {"do": "stop"})
    wait_for(session.runner.job)
    assert session.runner.running_job is None
    assert list_outdated(document.snapshot)
    assert len(list_corrections(document.snapshot)) == 1
    tracker.release_frames()
    run_action(session, stroke(8, 50, 20))
    wait_until_propagated(session)
    assert list_outdated(document.snapshot) == []


def test_corrections_wait_for_each_other_and_survive_a_kill(folder, session, long_pause, monkeypatch, reopen):
    draw_and_track(session, 1, 2)
    run_action(session, stroke(8, 50, 20))
    run_action(session, stroke(3, 50, 20, object_id=2))
    assert len(find_pending(session.document.snapshot)) == 2
    assert Describe().run(session).outdated == {1: [(1, 7), (9, 11)], 2: [(1, 2), (4, 11)]}
    session.close()
    monkeypatch.setattr("aotlab_studio.tracking.jobs.CORRECTION_DELAY", 0.02)
    tracker = TruthTracker()
    session = reopen(folder, tracker)
    events = []
    session.document.listeners[events.append] = None
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


def test_undone_correction_waits_again_after_redo(session, document, long_pause):
    draw_and_track(session, 1)
    run_action(session, stroke(5, 50, 20))
    run_action(session, stroke(5, 50, 30))
    (second,) = find_pending(document.snapshot)
    document.undo()
    (first,) = find_pending(document.snapshot)
    assert first < second
    document.undo()
    assert not find_pending(document.snapshot)
    assert list_outdated(document.snapshot) == []
    document.redo()
    assert [*find_pending(document.snapshot)] == [first]
    run_job(session, 0)
    assert not find_pending(document.snapshot)
    document.undo()
    assert [*find_pending(document.snapshot)] == [first]


def test_failed_correction_stays_outdated(session, document, short_pause):
    draw_and_track(session, 1)
    fail = Mock(side_effect=InputError("no model"))
    session.runner.make_tracker = fail
    run_action(session, stroke(5, 50, 20))
    wait_until(lambda: session.runner.job and session.runner.job.status == "failed")
    assert (len(find_pending(document.snapshot)), fail.call_count) == (1, 1)  # it is not tried again
    assert list_outdated(document.snapshot) == [(1, 4), (6, 11)]


def test_failed_correction_keeps_others_enabled(session, short_pause):
    draw_and_track(session, 1)
    began, failing = threading.Event(), threading.Event()

    def fail():
        began.set()
        wait_for_event(failing)
        raise InputError("no model")

    session.runner.make_tracker = fail
    run_action(session, stroke(5, 50, 20))
    wait_for_event(began)
    session.runner.make_tracker = TruthTracker
    job = start_job(session, 0, last=3)
    failing.set()
    wait_for(job)
    wait_until_propagated(session)


def test_correction_undone_at_its_start_keeps_others_running(session, monkeypatch, caplog):
    monkeypatch.setattr("aotlab_studio.tracking.jobs.CORRECTION_DELAY", 0)
    draw_and_track(session, 1)
    document = session.document

    def undo_meanwhile(snapshot):
        waiting = list_corrections(snapshot)
        if waiting and list_titles(document)[0] == "brush":
            is_free = page.submit(document.lock.acquire, False).result()
            undo = page.submit(document.undo)
            if is_free:
                undo.result()
                page.submit(document.lock.release)
        return waiting

    monkeypatch.setattr("aotlab_studio.tracking.jobs.list_corrections", undo_meanwhile)
    with ThreadPoolExecutor(1) as page:
        run_action(session, stroke(5, 50, 20))
        wait_until(lambda: list_titles(document)[0] == "tracking")
    monkeypatch.setattr("aotlab_studio.tracking.jobs.list_corrections", list_corrections)
    assert caplog.text == ""
    document.redo()
    assert finish_corrections(session)
    assert list_outdated(document.snapshot) == []


def test_next_edit_propagates_after_a_locked_database(session, short_pause, monkeypatch, caplog):
    draw_and_track(session, 1)
    failed = threading.Event()

    def fail(_):
        failed.set()
        raise InputError("database is locked")

    monkeypatch.setattr("aotlab_studio.tracking.jobs.list_corrections", fail)
    run_action(session, stroke(5, 50, 20))
    wait_for_event(failed)
    wait_until(lambda: "database is locked" in caplog.text)
    monkeypatch.setattr("aotlab_studio.tracking.jobs.list_corrections", list_corrections)
    run_action(session, stroke(8, 50, 20))
    assert finish_corrections(session)
    assert list_outdated(session.document.snapshot) == []


def test_reset_frame_is_tracked_again_from_the_mask_before(session, document, short_pause):
    draw(session, 0, 1)
    draw(session, 9, 1)
    run_job(session, 0)
    run_action(session, stroke(5, 50, 20))
    wait_until_propagated(session)
    tracker = hold(session, 0)
    run_action(session, {"do": "reset_frame", "frame": 5})
    assert list_outdated(document.snapshot) == [(1, 8)]
    tracker.release_frames()
    wait_until_propagated(session)
    assert list_outdated(document.snapshot) == []
    np.testing.assert_array_equal(document.snapshot.labels(5), np.where(truth(5) == 1, 1, 0))


def test_absence_on_a_frame_does_not_propagate(session, short_pause):
    draw_and_track(session, 1, 2)
    run_action(session, {"do": "mark_absent", "frame": 5, "object_id": 2})
    assert list_outdated(session.document.snapshot) == []
    assert list_visible_frames(session, 2) == [index for index in range(LENGTH) if index != 5]


@pytest.mark.parametrize(("delay", "is_running"), [(0.02, True), (60, False)])
def test_correction_of_a_locked_object_waits_for_the_unlock(session, document, monkeypatch, delay, is_running):
    monkeypatch.setattr("aotlab_studio.tracking.jobs.CORRECTION_DELAY", delay)
    draw_and_track(session, 1, 2)
    before = list_labels(document)
    points = [[14, 8]]
    tracker = hold(session, 0)
    run_action(session, {"do": "paint", "frame": 4, "object_id": 1, "points": points, "radius": 2})
    wait_until(lambda: bool(session.runner.running_job) == is_running)
    run_action(session, {"do": "change_object", "object_id": 1, "locked": True})
    tracker.release_frames()
    propagate(session)
    for index in (*range(1, 4), *range(5, LENGTH)):
        np.testing.assert_array_equal(document.snapshot.labels(index), before[index])
    assert list_outdated(document.snapshot) == [(1, 3), (5, LENGTH - 1)]
    with pytest.raises(UnfinishedError, match="unlock locked objects, and track again"):
        Export(["masks"]).run(session)
    run_action(session, {"do": "change_object", "object_id": 1, "locked": False})
    propagate(session)
    assert list_outdated(document.snapshot) == []


def test_second_object_keeps_frames_of_the_first(session, document, short_pause):
    draw_and_track(session, 1)
    before = list_labels(document)
    run_action(session, outline_message(5, None, square(40, 25, 10)))
    wait_until_propagated(session)
    after = list_labels(document)
    assert all((labels == 2).any() for labels in after[5:])
    np.testing.assert_array_equal([labels == 1 for labels in before], [labels == 1 for labels in after])


def count_lost_pixels(before, after, object_id):
    """Return the number of an object's pixels that show another one, on all frames."""
    pairs = zip(before, after, strict=True)
    return sum(int(((old == object_id) & (new != object_id)).sum()) for old, new in pairs)


def outline_beside_a_tracked_object(session):
    """Track an object, then an outline that touches it only on later frames; return the labels before the outline."""
    draw_and_track(session, 1)
    before = list_labels(session.document)
    session.runner.make_tracker = Greedy
    run_action(session, outline_message(5, None, square(40, 25, 10)))
    wait_until_propagated(session)
    return before


def test_correction_takes_nothing_from_untouched_objects(session, document, short_pause):
    before = outline_beside_a_tracked_object(session)
    np.testing.assert_array_equal([labels == 1 for labels in list_labels(document)], [old == 1 for old in before])
    assert session.runner.job.report().lost_pixels == []
    assert session.runner.job.report().kept_pixels == [PixelCount(1, 100 * (LENGTH - 6), [*range(6, LENGTH)])]


def test_left_pixels_are_taken_on_request_and_come_back(session, document, short_pause):
    before = outline_beside_a_tracked_object(session)
    corrected = list_labels(document)
    run_action(session, {"do": "take_pixels", "layer": session.runner.job.report().layer})
    wait_until_propagated(session)
    report = session.runner.job.report()
    lost = count_lost_pixels(before, list_labels(document), 1)
    assert (report.lost_pixels, report.kept_pixels) == ([PixelCount(1, lost, [*range(6, LENGTH)])], [])
    assert lost == 100 * (LENGTH - 6)
    with pytest.raises(InputError, match="something else was done since"):
        run_action(session, {"do": "take_pixels", "layer": 2})
    for labels in (corrected, before):
        run_action(session, {"do": "undo"})
        np.testing.assert_array_equal(list_labels(document), labels)


def test_correction_takes_from_the_object_it_was_drawn_over(session, document, short_pause):
    draw_and_track(session, 1)
    before = list_labels(document)
    rows, columns = np.nonzero(before[5] == 1)
    session.runner.make_tracker = Greedy
    run_action(session, outline_message(5, None, square(int(columns[0]), int(rows[0]), 3)))
    wait_until_propagated(session)
    (taken,) = session.runner.job.report().lost_pixels
    assert (taken.object_id, taken.frames) == (1, [*range(6, LENGTH)])
    after = [*before[:6], *list_labels(document)[6:]]  # without the stroke itself
    assert taken.pixels == count_lost_pixels(before, after, 1)


def test_later_stroke_keeps_what_the_earlier_one_may_take(session, document, long_pause):
    draw_and_track(session, 1, 2)
    rows, columns = np.nonzero(document.snapshot.labels(5) == 2)
    found = []
    for frame, point in ((5, (float(columns[0]), float(rows[0]))), (5, (30, 5)), (8, (30, 5))):
        editing.Paint(frame, 1, [point], 2).run(document)
        found.append(max(document.snapshot.state.layers.items())[1].takes_from)
    assert found == [[2], [2], []]


def test_many_strokes_leave_the_layers_that_show_or_wait(session, document, short_pause):
    draw_and_track(session, 1)
    for column in range(10, 30):
        run_action(session, stroke(5, column, 20))
        if column % 2:
            wait_until_propagated(session)
    assert len(document.snapshot.state.layers) <= 3  # of 21
    for _ in range(20):
        document.undo()
    assert [*document.snapshot.state.layers] == [1]


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_object_tracked_alone_takes_no_pixel(session, document, direction):
    draw_and_track(session, 1)
    before = list_labels(document)
    draw(session, 0, 2)
    session.runner.make_tracker = Greedy
    job = run_job(session, 0, direction, object_id=2)
    assert job.layer.objects == [2]
    assert [count.object_id for count in job.report().kept_pixels] == [1]
    after = list_labels(document)
    np.testing.assert_array_equal([labels == 1 for labels in after], [labels == 1 for labels in before])
    assert all((labels == 2).any() for labels in after)


def test_locked_object_is_not_tracked_on_its_own(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(2, locked=True).run(document)
    with pytest.raises(InputError, match="object 2 is locked; unlock one first"):
        Track(0, object_id=2).run(session)


def test_correction_resumed_with_another_model_names_both(session, short_pause):
    draw_and_track(session, 1)
    session.runner.make_tracker = lambda: TruthTracker(fail_at=4, digest="2")
    run_action(session, outline_message(1, 1, square(50, 2, 6)))
    assert not finish_corrections(session)
    session.runner.make_tracker = lambda: TruthTracker(fail_at=3, digest="3")
    assert not finish_corrections(session)
    models = [
        (item["layer"], item["model"].split()[2][0], item["frames"]) for item in session.document.snapshot.list_models()
    ]
    assert models == [(1, "0", [(4, 11)]), (2, "2", [(3, 3)]), (2, "3", [(2, 2)])]


@pytest.mark.parametrize("frame", [1, 9])
def test_mask_drawn_outside_a_range_keeps_its_results_current(session, long_pause, frame):
    draw(session, 4, 1)
    run_job(session, 4, "both", 3, 7)
    run_action(session, stroke(frame, 50, 20))
    assert list_outdated(session.document.snapshot) == []


@pytest.mark.parametrize(
    "message",
    [
        {"do": "paint", "points": [[10, 8]], "radius": 30, "keep_others": True},
        {"do": "fill_polygon", "points": [[0, 0], [60, 0], [60, 40], [0, 40]], "keep_others": True},
        {"do": "segment", "box": [0, 0, 60, 40], "mode": "auto", "keep": "all"},
    ],
    ids=lambda message: message["do"],
)
@pytest.mark.parametrize("object_id", [None, 2])
def test_edit_can_keep_all_pixels_of_others(session, document, long_pause, message, object_id):
    draw_and_track(session, 1)
    draw(session, 5, 2)
    session.prompter.segmenter = lambda frame, prompts: np.full(frame.shape[:2], 1)
    before = document.snapshot.labels(5)
    kept_ids = [1] if object_id else [1, 2]
    result = run_action(session, {**message, "frame": 5, "object_id": object_id})
    after = document.snapshot.labels(5)
    np.testing.assert_array_equal(after[np.isin(before, kept_ids)], before[np.isin(before, kept_ids)])
    assert result.lost_pixels == {}
    assert (after == result.object_id).sum() == (~np.isin(before, kept_ids)).sum() or message["do"] == "paint"
    assert all(
        layer.takes_from == [] for layer in document.snapshot.state.layers.values() if layer.kind == "correction"
    )
