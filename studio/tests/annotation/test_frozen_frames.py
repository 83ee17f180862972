"""Frozen frames, which neither tracking nor drawing changes, and marks of *checked* that end."""

import numpy as np
import pytest

from aotlab import InputError
from aotlab_studio.document import editing
from aotlab_studio.document.events import UncheckedEvent
from aotlab_studio.document.log import Changes, Layer
from aotlab_studio.document.masks import LayerFrame
from aotlab_studio.document.scores import Score
from aotlab_studio.document.states import list_corrections, list_outdated
from aotlab_studio.session.actions import Describe, Track, run_action
from aotlab_studio.session.uploads import load_upload
from studio.tests.annotation.clips import LENGTH, png, square, truth
from studio.tests.annotation.sessions import (
    draw,
    draw_and_track,
    find_pending,
    list_labels,
    list_visible_frames,
    outline_message,
    run_job,
    wait_until_propagated,
)
from studio.tests.annotation.trackers import Shifted
from tests.processes import wait_until


def freeze(session, *frames, frozen=True):
    for frame in frames:
        run_action(session, {"do": "set_frozen", "frame": frame, "frozen": frozen})


def test_freezing_changes_no_pixel_and_outdates_nothing(session, document, long_pause):
    draw_and_track(session, 1, 2)
    before = list_labels(document)
    freeze(session, 4, 7)
    assert Describe().run(session).frozen == [4, 7]
    assert (list_outdated(document.snapshot), list_corrections(document.snapshot)) == ([], [])
    np.testing.assert_array_equal(list_labels(document), before)
    freeze(session, 4, frozen=False)
    assert (Describe().run(session).frozen, list_outdated(document.snapshot)) == ([7], [])
    np.testing.assert_array_equal(list_labels(document), before)
    for _ in range(3):
        document.undo()
    assert document.snapshot.drawn_frames == [0]


def test_freezing_where_an_object_was_absent_outdates_nothing(session, document, long_pause):
    draw(session, 0, 1)
    editing.MarkAbsent(5, 1).run(document)
    document.edit("tracking", Changes(layers={1: Layer([1], 1, LENGTH - 1)}))
    for frame in range(1, LENGTH):
        document.add_tracked_masks(1, LayerFrame(frame, {1: Score(1.0, 1, 0.0, 0.0)}), truth(frame) == 1)
    editing.ResetFrame(5).run(document)
    before = list_outdated(document.snapshot)
    freeze(session, 5)
    assert list_outdated(document.snapshot) == before == []


def test_freezing_after_a_merge_outdates_nothing(session, document, long_pause):
    draw_and_track(session, 1)
    editing.AddObject().run(document)
    editing.MergeObjects(1, 2).run(document)  # masks of object 1 were tracked before object 2 was added
    document.finish_layer(2)
    before = list_outdated(document.snapshot)
    freeze(session, 5)
    assert list_outdated(document.snapshot) == before == []


def test_correction_of_a_frozen_frame_survives_other_edits(session, document, long_pause):
    draw(session, 8, 1)
    freeze(session, 8)
    draw(session, 9, 2)
    document.edit("tracking", Changes(layers={1: Layer([2], 8, 9, 9, "correction")}))
    draw(session, 0, 1)
    assert find_pending(document.snapshot) == {}
    freeze(session, 8, frozen=False)
    assert find_pending(document.snapshot) == {1: [8]}


def test_tracking_changes_no_frozen_frame(session, document, short_pause):
    draw_and_track(session, 1)
    before = list_labels(document)
    freeze(session, 5, 8)
    session.runner.make_tracker = Shifted
    run_job(session, 0)
    run_action(session, outline_message(3, 1, square(5, 5, 8)))
    run_action(session, outline_message(2, None, square(40, 25, 10)))  # an object that those frames lack
    wait_until_propagated(session)
    after = list_labels(document)
    np.testing.assert_array_equal([after[5], after[8]], [before[5], before[8]])
    assert list_visible_frames(session, 2) == [2, 3, 4, 6, 7, *range(9, LENGTH)]
    assert (after[4] != before[4]).any()
    assert list_outdated(document.snapshot) == []
    freeze(session, 5, frozen=False)
    np.testing.assert_array_equal(document.snapshot.labels(5), before[5])


def test_correction_ends_at_a_frozen_frame(session, document, short_pause):
    draw_and_track(session, 1)
    freeze(session, 6)
    before = list_labels(document)
    session.runner.make_tracker = Shifted
    run_action(session, outline_message(3, 1, square(5, 5, 8)))
    wait_until_propagated(session)
    changed = [index for index, labels in enumerate(list_labels(document)) if (labels != before[index]).any()]
    assert changed == [1, 2, 3, 4, 5]
    assert list_outdated(document.snapshot) == []


@pytest.mark.parametrize(
    "message",
    [
        {"do": "paint", "object_id": 1, "points": [[20, 20]], "radius": 3},
        {"do": "mark_absent", "object_id": 1},
        {"do": "segment", "object_id": None, "box": [38, 23, 14, 14]},
        {"do": "reset_frame"},
    ],
    ids=lambda message: message["do"],
)
def test_drawing_on_a_frozen_frame_rejected(session, document, message):
    draw_and_track(session, 1)
    freeze(session, 5)
    before = document.log.head
    with pytest.raises(InputError, match="frame 5: frozen; unfreeze it first"):
        run_action(session, {**message, "frame": 5})
    assert document.log.head == before


def test_masks_are_not_loaded_on_a_frozen_frame(session, document):
    draw(session, 5, 1)
    freeze(session, 5)
    with pytest.raises(InputError, match="frame 5: frozen; unfreeze it first"):
        load_upload(document, 5, png(truth(6)))


def test_frame_without_masks_is_not_frozen(session):
    draw(session, 0, 1)
    with pytest.raises(InputError, match="frame 5: no mask to freeze; draw or track an object first"):
        freeze(session, 5)


def test_request_for_frozen_frames_only_rejected(session):
    draw_and_track(session, 1)
    freeze(session, 10, 11)
    with pytest.raises(InputError, match="frame 9: all frames to track are frozen; unfreeze one first"):
        Track(9).run(session)


def test_checked_frame_stays_checked_when_frozen(session, document):
    draw_and_track(session, 1)
    editing.SetChecked(5, True).run(document)
    events = listen(document)
    freeze(session, 5)
    assert Describe().run(session).checked == [5]
    freeze(session, 5, frozen=False)
    assert Describe().run(session).checked == [5]
    assert events == []


def listen(document):
    """Return the list of later events of ended marks, as frames and step."""
    events = []
    document.listeners[
        lambda event: isinstance(event, UncheckedEvent) and events.append((event.frames, event.step))
    ] = None
    return events


def test_marks_that_an_edit_ends_are_announced(session, document):
    draw_and_track(session, 1, 2)
    for frame in (3, 5, 6):
        editing.SetChecked(frame, True).run(document)
    events = listen(document)
    editing.SetChecked(6, False).run(document)
    editing.ChangeObject(1, name="car").run(document)
    assert events == []
    editing.DeleteObject(2).run(document)
    assert events == [([3, 5], document.log.head)]
    document.undo()
    assert Describe().run(session).checked == [3, 5]


def test_marks_that_tracking_ends_are_announced(session, document, short_pause):
    draw_and_track(session, 1)
    for frame in (3, 8):
        editing.SetChecked(frame, True).run(document)
    events = listen(document)
    session.runner.make_tracker = Shifted
    run_action(session, outline_message(5, 1, square(5, 5, 8)))
    step = document.log.head
    wait_until_propagated(session)
    wait_until(lambda: events)
    assert events == [([3, 8], step)]
    document.undo()
    assert Describe().run(session).checked == [3, 8]
