"""Correcting what there is: clicks that change a mask, and results that are dropped."""

import json

import numpy as np
import pytest

from aotlab.annotation import editing
from aotlab.annotation.planning import Request
from aotlab.prompts.grabcut import Hints, segment
from aotlab.utils.errors import InputError
from tests.annotation.clips import LENGTH, truth
from tests.annotation.test_editing import draw


def patches():
    """A picture of a red and a brown square on grey, and the masks of both."""
    frame = np.full((120, 160, 3), 50, np.uint8)
    frame[20:60, 20:60] = (200, 40, 40)
    frame[20:60, 60:100] = (170, 120, 40)
    return frame, frame[..., 0] == 200, frame[..., 0] == 170


def test_a_click_beside_the_object_takes_that_part_from_the_mask_it_has():
    frame, red, brown = patches()
    mask = segment(frame, Hints(negative=[(80, 40)], known=red | brown))
    assert (mask != red).sum() < 0.05 * red.sum()


def test_a_click_on_a_part_that_the_mask_lacks_adds_it():
    frame, red, brown = patches()
    mask = segment(frame, Hints(positive=[(80, 40)], known=red))
    assert (mask != (red | brown)).sum() < 0.05 * red.sum()


def test_a_click_that_agrees_with_the_mask_changes_nothing_and_far_parts_stay():
    frame, red, brown = patches()
    known = red | brown
    known[100:110, 140:150] = True
    assert (segment(frame, Hints(positive=[(40, 40)], negative=[(10, 90)], known=known)) == known).all()
    assert segment(frame, Hints(negative=[(80, 40)], known=known))[100:110, 140:150].all()


def test_a_mask_of_everything_can_be_clicked_at():
    frame, *_ = patches()
    mask = segment(frame, Hints(negative=[(130, 100)], known=np.ones(frame.shape[:2], bool)))
    assert not mask[100, 130]


def test_a_page_says_that_clicks_change_the_mask_there_is(served):
    session = served.session
    draw(session, 0, 1, 2)
    merged = truth(0) > 0
    editing.set_mask(session.state, 0, 1, merged, "drawn")
    talk = served.open()
    answer = talk.do("suggest", frame=0, object=1, negative=[[45, 30]], refine=True)
    assert "error" not in answer
    labels = session.state.labels(0)
    assert ((labels == 1) == (truth(0) == 1)).mean() > 0.99
    assert "give a box" in talk.do("suggest", frame=0, object=1, negative=[[45, 30]])["error"]
    assert "refine" in talk.do("suggest", frame=0, object=1, negative=[[45, 30]], refine="yes")["error"]


def track(session):
    session.track(Request(0)).wait()


def test_results_are_dropped_from_a_frame_on_in_one_step(session):
    draw(session, 0, 1, 2)
    track(session)
    draw(session, 8, 1)
    assert session.drop_results(5, LENGTH - 1) == LENGTH - 5
    assert session.state.tracked_frames == [1, 2, 3, 4]
    assert ((session.state.labels(8) == 1) == (truth(8) == 1)).all()
    assert not session.state.labels(7).any()
    assert session.drop_results(5, LENGTH - 1) == 0
    session.undo()
    assert (session.state.labels(7) == truth(7)).all()


def test_of_a_chosen_object_alone_results_are_dropped_and_locked_ones_stay(session):
    draw(session, 0, 1, 2)
    track(session)
    assert session.drop_results(3, 4, [1]) == 2
    assert (session.state.labels(3) == np.where(truth(3) == 2, 2, 0)).all()
    assert set(session.state.scores(3)) == {2}
    assert (session.state.labels(5) == truth(5)).all()
    editing.change_object(session.state, 2, {"locked": True})
    assert session.drop_results(0, LENGTH - 1) == LENGTH - 3
    assert (session.state.labels(6) == np.where(truth(6) == 2, 2, 0)).all()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"frame": 99}, "no frame 99"),
        ({"frame": 0, "last": "x"}, "frame"),
        ({"frame": 0, "objects": [9]}, "no such object"),
        ({"frame": 0, "objects": "1"}, "objects"),
    ],
)
def test_results_of_what_there_is_not_cannot_be_dropped(served, message, words):
    draw(served.session, 0, 1)
    track(served.session)
    before = served.session.state.tracked_frames
    answer = served.open().raw(json.dumps({"id": 1, "do": "drop_results", **message}))
    assert words in answer["error"]
    assert served.session.state.tracked_frames == before


def test_results_are_not_dropped_while_tracking_runs(session, monkeypatch):
    draw(session, 0, 1)
    monkeypatch.setattr(type(session.runner), "busy", True)
    with pytest.raises(InputError, match="not while tracking runs"):
        session.drop_results(0, 3)
