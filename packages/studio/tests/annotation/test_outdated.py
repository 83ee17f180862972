"""Frames that are outdated by changed masks, and frames and objects that tracking leaves as they are."""

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.scores import Score
from aotlab_studio.document.states import find_outdated, list_outdated
from aotlab_studio.session.actions import Describe, Track, run_action
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.clips import LENGTH, png, truth
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    find_pending,
    list_labels,
    list_visible_frames,
    run_job,
    start_held_job,
    wait_for,
)
from studio.tests.annotation.trackers import Greedy, Shifted


def stroke(frame, *point, object_id=1):
    """The message of a dot on an object."""
    return {"do": "paint", "frame": frame, "object_id": object_id, "points": [point], "radius": 3}


def test_frames_tracked_from_a_changed_mask_are_outdated(session, document):
    draw_and_track(session, 1)
    assert list_outdated(document.snapshot) == []
    run_action(session, stroke(5, 50, 20))
    assert list_outdated(document.snapshot) == [(6, LENGTH - 1)]
    document.undo()
    assert list_outdated(document.snapshot) == []
    document.redo()
    run_job(session, 5)
    assert list_outdated(document.snapshot) == []


def test_stroke_during_tracking_outdates_its_frames(session, document):
    draw(session, 0, 1)
    job, tracker = start_held_job(session, 4, done=3)
    run_action(session, stroke(2, 50, 20))
    tracker.release_frames()
    wait_for(job)
    assert job.status == "done"
    assert (2, [1]) not in tracker.calls
    assert list_outdated(document.snapshot) == [(3, LENGTH - 1)]
    document.undo()
    document.undo()
    assert list_visible_frames(session) == [0]


def test_loaded_masks_outdate_tracked_frames(session, document):
    for frame in (0, 6):
        draw(session, frame, 1, 2)
    run_job(session, 0)
    labels = np.where(truth(6) == 2, 0, truth(6))
    labels[25:35, 42:46] = 1
    load_upload(document, 6, png(labels))
    outdated = Describe().run(session).outdated
    assert outdated == {1: [(7, LENGTH - 1)], 2: [(7, LENGTH - 1)]}


def test_merged_drawings_keep_results_current(session, document):
    draw_and_track(session, 1, 2)
    editing.MergeObjects(2, 1).run(document)
    assert not find_pending(document.snapshot)
    assert list_outdated(document.snapshot) == []


@pytest.mark.parametrize("frame", [1, 9])
def test_mask_drawn_outside_a_range_keeps_its_results_current(session, frame):
    draw(session, 4, 1)
    run_job(session, 4, "both", 3, 7)
    run_action(session, stroke(frame, 50, 20))
    assert list_outdated(session.document.snapshot) == []


def test_layer_stores_the_masks_near_its_range(session, document):
    draw_and_track(session, 1)
    for frame in range(1, LENGTH):
        draw(session, frame, 1)
    document.edit("tracking", Changes(layers={50: Layer([1], 2, 2, 1)}))
    assert not document.snapshot.find_changed_frames(50, 1).any()
    assert [*document.snapshot.state.layers[50].sources[1]] == [1, 2, 3]


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


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_object_tracked_alone_takes_no_pixel(session, document, direction):
    draw_and_track(session, 1)
    before = list_labels(document)
    draw(session, 0, 2)
    session.runner.make_tracker = Greedy
    job = run_job(session, 0, direction, object_id=2)
    assert job.layer.objects == [2]
    after = list_labels(document)
    np.testing.assert_array_equal([labels == 1 for labels in after], [labels == 1 for labels in before])
    assert all((labels == 2).any() for labels in after)


def test_locked_object_is_not_tracked_on_its_own(session, document):
    draw(session, 0, 1, 2)
    editing.ChangeObject(2, locked=True).run(document)
    with pytest.raises(InputError, match="object 2 is locked; unlock one first"):
        Track(0, object_id=2).run(session)


def test_tracking_changes_no_checked_frame(session, document):
    draw_and_track(session, 1)
    before = list_labels(document)
    for frame in (5, 8):
        editing.SetChecked(frame, True).run(document)
    session.runner.make_tracker = Shifted
    run_job(session, 0)
    after = list_labels(document)
    np.testing.assert_array_equal([after[5], after[8]], [before[5], before[8]])
    assert (after[4] != before[4]).any()
    run_action(session, stroke(3, 50, 20))
    assert list_outdated(document.snapshot) == [(4, 4), (6, 7), (9, LENGTH - 1)]
    assert Describe().run(session).checked == [5, 8]
    editing.SetChecked(5, False).run(document)
    run_job(session, 3)
    assert (document.snapshot.labels(5) != before[5]).any()


def test_mark_of_checked_ends_with_its_masks(session, document):
    draw_and_track(session, 1, 2)
    for frame in (3, 5):
        editing.SetChecked(frame, True).run(document)
    run_action(session, stroke(5, 50, 20))
    assert Describe().run(session).checked == [3]
    editing.DeleteObject(2).run(document)
    assert Describe().run(session).checked == []
    document.undo()
    document.undo()
    assert Describe().run(session).checked == [3, 5]


def test_edits_say_that_the_mark_of_checked_ends(session, document):
    draw_and_track(session, 1)
    for frame in (3, 5, 6):
        editing.SetChecked(frame, True).run(document)
    assert run_action(session, stroke(3, 50, 20)).warning == "Frame 3 is no longer marked as checked."
    assert run_action(session, stroke(3, 50, 30)).warning == ""
    pasted = editing.PasteMasks(0, 4, last=6).run(document)
    assert pasted.warning == "2 frames are no longer marked as checked."
    assert document.snapshot.state.checked == {}
    assert document.list_history()[0].label == "paste object 1 on 3 frames"


def test_request_for_checked_frames_only_rejected(session, document):
    draw_and_track(session, 1)
    for frame in (10, 11):
        editing.SetChecked(frame, True).run(document)
    with pytest.raises(InputError, match="frame 9: all frames to track are marked as checked; remove a mark first"):
        Track(9).run(session)


@pytest.mark.parametrize(
    "message",
    [
        {"do": "paint", "points": [[10, 8]], "radius": 30},
        {"do": "fill_polygon", "points": [[0, 0], [60, 0], [60, 40], [0, 40]]},
        {"do": "segment", "box": [0, 0, 60, 40], "mode": "auto"},
    ],
    ids=lambda message: message["do"],
)
@pytest.mark.parametrize("object_id", [None, 2])
def test_edit_can_keep_all_pixels_of_others(session, document, message, object_id):
    draw_and_track(session, 1)
    draw(session, 5, 2)
    session.prompter.segmenter = lambda frame, prompts: np.full(frame.shape[:2], 1)
    before = document.snapshot.labels(5)
    kept_ids = [1] if object_id else [1, 2]
    result = run_action(session, {**message, "frame": 5, "object_id": object_id, "keep_others": True})
    after = document.snapshot.labels(5)
    np.testing.assert_array_equal(after[np.isin(before, kept_ids)], before[np.isin(before, kept_ids)])
    assert result.lost_pixels == {}
    assert (after == result.object_id).sum() == (~np.isin(before, kept_ids)).sum() or message["do"] == "paint"
