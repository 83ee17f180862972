"""Correcting what there is: clicks that change a mask, and results that are dropped."""

import json

import numpy as np
import pytest

from aotlab.annotation import editing
from aotlab.annotation.planning import Request
from aotlab.utils.errors import InputError
from tests.annotation.clips import LENGTH, truth
from tests.annotation.test_editing import draw


def test_a_page_says_that_clicks_change_the_mask_there_is(served):
    session = served.session
    draw(session, 0, 1, 2)
    merged = truth(0) > 0
    editing.set_mask(session.state, 0, 1, merged, "drawn")
    talk = served.open()
    answer = talk.do("suggest", frame=0, object_id=1, negative=[[45, 30]], refine=True)
    assert "error" not in answer
    labels = session.state.labels(0)
    assert ((labels == 1) == (truth(0) == 1)).mean() > 0.99
    assert "give a box" in talk.do("suggest", frame=0, object_id=1, negative=[[45, 30]])["error"]
    assert "refine" in talk.do("suggest", frame=0, object_id=1, negative=[[45, 30]], refine="yes")["error"]


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
        ({"frame": 0, "last": "x"}, "last"),
        ({"frame": 0, "object_ids": [9]}, "no such object"),
        ({"frame": 0, "object_ids": "1"}, "object_ids"),
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


def test_a_click_is_previewed_without_changing_a_mask(served):
    answer = served.open().do("preview", frame=0, positive=[[10, 10]])
    assert answer["result"] == [[[5, 5], [5, 14], [14, 14], [14, 5]]]
    assert not served.session.state.labels(0).any()
    served.session.segmenter = None
    assert "no segmenter" in served.open().do("preview", frame=0, positive=[[10, 10]])["error"]
