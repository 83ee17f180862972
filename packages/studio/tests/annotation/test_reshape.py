"""Outlines changed on frames: drawn masks stay drawn, tracked masks tracked."""

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.states import find_outdated, list_outdated
from aotlab_studio.document.timeline import mark_frames
from aotlab_studio.review.checks import list_checks
from aotlab_studio.session.actions import run_action
from aotlab_studio.session.session import UnfinishedError
from studio.tests.annotation.clips import LENGTH, square, truth
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    find_pending,
    list_labels,
    list_tracked_frames,
    restore_backup,
    run_job,
    start_held_job,
    wait_for,
)

LAST = LENGTH - 1


def count_areas(document, object_id=1):
    return [int((labels == object_id).sum()) for labels in list_labels(document)]


def confidences(document):
    return {frame: document.snapshot.scores(frame)[1].confidence for frame in range(1, LENGTH)}


def test_holes_are_filled(document):
    editing.AddObject().run(document)
    editing.FillPolygon(0, 1, square(10, 10, 20)).run(document)
    editing.FillPolygon(0, 1, square(15, 15, 5), erase=True).run(document)
    assert not document.snapshot.labels(0)[17, 17]
    editing.Reshape(0, 1, "fill holes").run(document)
    assert document.snapshot.labels(0)[17, 17] == 1


def test_outlines_are_changed(document):
    editing.AddObject().run(document)
    editing.FillPolygon(0, 1, square(10, 10, 12)).run(document)
    editing.Paint(0, 1, [(40, 30)], 1).run(document)
    area = lambda: int((document.snapshot.labels(0) == 1).sum())  # noqa: E731
    editing.Reshape(0, 1, "drop specks", 2).run(document)
    assert area() == 13 * 13
    editing.Reshape(0, 1, "grow", 2).run(document)
    assert area() == 17 * 17 - 4  # with round corners
    editing.Reshape(0, 1, "shrink", 2).run(document)
    assert area() == 13 * 13
    editing.Reshape(0, 1, "smooth", 2).run(document)
    assert not document.snapshot.labels(0)[10, 10]
    assert document.snapshot.labels(0)[16, 10]


def test_outline_is_changed_on_a_range(session, document):
    for frame in range(4):
        draw(session, frame, 1, 2)
    step = document.log.head
    assert editing.Reshape(1, 1, "grow", 3, last=3).run(document).count == 3
    areas = [int((document.snapshot.labels(frame) == 1).sum()) for frame in range(4)]
    assert areas[0] < areas[1] == areas[2] == areas[3]
    assert document.log.head == step + 1


def test_reshaped_tracked_masks_stay_tracked(session, document):
    session.runner.make_tracker().change_logits = lambda logits, *_, **__: 0.4 * logits
    draw_and_track(session, 1, 2)
    before, marks, checks = confidences(document), mark_frames(document.snapshot), list_checks(document.snapshot)
    assert checks
    areas, labels = count_areas(document), list_labels(document)
    assert editing.Reshape(0, 1, "shrink", 2, last=LAST).run(document).count == LENGTH
    assert document.snapshot.drawn_frames == [0]
    assert list_tracked_frames(document.snapshot) == [*range(1, LENGTH)]
    assert all(0 < new < old for new, old in zip(count_areas(document), areas, strict=True))
    assert confidences(document) == before
    assert mark_frames(document.snapshot) == marks
    assert [(check.frame, check.object_id) for check in list_checks(document.snapshot)] == [
        (check.frame, check.object_id) for check in checks
    ]
    assert list_outdated(document.snapshot) == []  # the drawn mask of frame 0 is reshaped too
    assert count_areas(document, 2) == [int((each == 2).sum()) for each in labels]
    document.undo()
    np.testing.assert_array_equal(list_labels(document), labels)
    document.redo()
    assert document.snapshot.scores(3)[1].area == count_areas(document)[3] < areas[3]


def test_correction_spreads_over_reshaped_masks(session, document):
    draw_and_track(session, 1)
    editing.Reshape(1, 1, "grow", 2, last=LAST).run(document)
    editing.FillPolygon(5, 1, square(50, 30, 6)).run(document)
    assert list_outdated(document.snapshot) == [(6, LAST)]
    run_job(session, 5, force=True)
    assert list_outdated(document.snapshot) == []
    grown = count_areas(document)
    assert all(area > 100 for area in grown[1:5])
    assert all(area == 100 for area in grown[6:])
    np.testing.assert_array_equal(document.snapshot.labels(LAST), truth(LAST) == 1)


def test_outdated_mask_stays_outdated_when_reshaped(session, document):
    draw_and_track(session, 1)
    editing.FillPolygon(5, 1, square(50, 30, 6)).run(document)
    editing.Reshape(6, 1, "grow", 2, last=LAST).run(document)
    assert list_outdated(document.snapshot) == [(6, LAST)]


def test_unchanged_frames_are_left_alone(session, document):
    draw_and_track(session, 1)
    editing.FillPolygon(0, 1, square(50, 30, 1)).run(document)
    run_job(session, 0, last=4)
    events = []
    document.listeners[events.append] = None
    labels = list_labels(document)
    assert editing.Reshape(0, 1, "drop specks", 3, last=LAST).run(document).count == 1
    assert document.snapshot.drawn_frames == [0]
    np.testing.assert_array_equal(list_labels(document)[1:], labels[1:])
    assert [event.frame for event in events if hasattr(event, "frame")] == [0]


def test_reshape_leaves_frames_that_wait_for_tracking(session, document):
    draw(session, 0, 1)
    job, tracker = start_held_job(session, 4, done=3)
    job.stop(interrupt=True)
    tracker.release_frames()
    wait_for(job)
    assert find_pending(document.snapshot) == {1: [*range(4, LENGTH)]}
    editing.Reshape(1, 1, "grow", 1, last=LAST).run(document)
    assert find_pending(document.snapshot) == {1: [*range(4, LENGTH)]}
    assert count_areas(document)[4:] == [0] * (LENGTH - 4)


def test_merged_object_is_reshaped_and_stays_tracked(session, document):
    draw_and_track(session, 1, 2)
    editing.MergeObjects(2, 1).run(document)
    editing.Reshape(1, 1, "shrink", 1, last=LAST).run(document)
    assert document.snapshot.drawn_frames == [0]
    assert count_areas(document)[1:] == [8 * 8 * 2] * (LENGTH - 1)
    assert not any(flags.any() for flags in find_outdated(document.snapshot).values())


def test_reshaped_masks_survive_a_restart(folder, reopen):
    session = reopen(folder)
    draw_and_track(session, 1)
    editing.Reshape(1, 1, "grow", 2, last=LAST).run(session.document)
    labels = list_labels(session.document)
    again = reopen(folder).document
    np.testing.assert_array_equal(list_labels(again), labels)
    assert again.snapshot.drawn_frames == [0]
    again.undo()
    assert count_areas(again)[1:] == [100] * (LENGTH - 1)


def test_reshaped_masks_that_a_backup_lacks_are_tracked_again(folder, reopen):
    session = reopen(folder)
    draw_and_track(session, 1)
    editing.Reshape(1, 1, "grow", 2, last=LAST).run(session.document)
    session.close()
    restore_backup(session.document.folder)
    again = reopen(folder)
    assert list_outdated(again.document.snapshot) == [(1, LAST)]
    run_job(again, 0)
    assert list_outdated(again.document.snapshot) == []
    assert count_areas(again.document) == [100] * LENGTH


def test_reshape_ends_the_mark_of_checked_for_good(session, document):
    draw_and_track(session, 1)
    for frame in (0, 3):
        editing.SetChecked(frame, True).run(document)
    changed = editing.Reshape(3, 1, "grow", 2).run(document)
    assert changed.warning == "Frame 3 is no longer marked as checked."
    assert document.snapshot.state.checked.keys() == {0}
    run_job(session, 0, force=True)
    assert document.snapshot.checked_frames == [0]
    document.undo()
    document.undo()
    assert document.snapshot.checked_frames == [0, 3]


def test_tracking_asks_before_it_replaces_reshaped_masks(session, document):
    draw_and_track(session, 1)
    editing.Reshape(3, 1, "grow", 2, last=7).run(document)
    editing.SetChecked(4, True).run(document)
    grown, head = count_areas(document), document.log.head
    with pytest.raises(UnfinishedError, match=r"^Tracking replaces the reshaped masks of 4 frames; mark"):
        run_action(session, {"do": "track", "frame": 0})
    assert (count_areas(document), document.log.head) == (grown, head)
    run_action(session, {"do": "track", "frame": 0, "force": True})
    wait_for(session.runner.job)
    assert [frame for frame, area in enumerate(count_areas(document)) if area > 100] == [4]
    run_action(session, {"do": "track", "frame": 0})  # nothing is lost any more
    wait_for(session.runner.job)


def test_refused_reshape_leaves_no_mask(session, document, monkeypatch):
    draw_and_track(session, 1)
    labels, head = list_labels(document), document.log.head
    put = document.tracked_masks.put

    def fail(layer_id, description, ids):
        if description.frame == 3:
            raise InputError("no space")
        put(layer_id, description, ids)

    with monkeypatch.context() as patch:
        patch.setattr(document.tracked_masks, "put", fail)
        with pytest.raises(InputError, match="no space"):
            editing.Reshape(1, 1, "grow", 2, last=LAST).run(document)
    assert document.log.head == head
    np.testing.assert_array_equal(list_labels(document), labels)
    editing.Reshape(4, 1, "grow", 2).run(document)
    assert [frame for frame, area in enumerate(count_areas(document)) if area > 100] == [4]


def test_mask_that_would_vanish_stays_and_is_named(session, document):
    draw_and_track(session, 1)
    labels = list_labels(document)
    message = {"do": "reshape", "object_id": 1, "shape": "shrink", "radius": 30}
    with pytest.raises(InputError, match=r"^On 1 frame nothing would be left of object 1, so it was not changed\.$"):
        run_action(session, message | {"frame": 0})
    np.testing.assert_array_equal(list_labels(document), labels)
    editing.FillPolygon(4, 1, square(0, 0, 39)).run(document)
    changed = run_action(session, message | {"frame": 0, "last": 4, "radius": 8})
    warning = "On 4 frames nothing would be left of object 1, so they were not changed."
    assert (changed.count, changed.warning) == (1, warning)
    np.testing.assert_array_equal(list_labels(document)[:4], labels[:4])


@pytest.mark.parametrize(("shape", "message"), [
    ("drop specks", "^No specks found.$"), ("fill holes", "^No holes found.$"),
    ("grow", "^grow: changes no pixel that is free$"),
])  # fmt: skip
def test_reshape_without_an_effect_says_so(session, document, shape, message):
    draw(session, 0, 1)
    everything = np.ones(truth(0).shape, bool)
    editing.edit_mask(document, 0, None, lambda _: everything & (document.snapshot.labels(0) == 0), "rest")
    with pytest.raises(InputError, match=message):
        editing.Reshape(0, 1, shape).run(document)
