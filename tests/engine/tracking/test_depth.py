"""Depth of AOST: in tracking and in validation."""

import pytest

from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training import validation
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError
from tests.engine import small_model


def test_validation_scores_every_depth(monkeypatch):
    model, config = small_model.build("aost")
    depths = []
    monkeypatch.setattr(validation, "score_video", lambda each, _: depths.append(each.config.model.depth))
    monkeypatch.setattr(validation, "make_scores_table", lambda _: dict.fromkeys(("J&F", "J", "F"), 10.0 * depths[-1]))
    video = type("Video", (), {"name": "one"})()
    scores = validation.validate(model, config, [video], Distributed("cpu"))
    assert depths == [1, 2, 3]
    assert (scores["J&F at depth 1"], scores["J&F"]) == (10.0, 30.0)
    assert len(scores) == 9
    assert model.config.depths == [3]


@pytest.mark.parametrize(
    ("preset", "depth", "words"), [("aott", 1, "aot has no such setting"), ("aost", 4, "must be 1 to 3, got 4")]
)
def test_untrained_depth_rejected(preset, depth, words):
    with pytest.raises(InputError, match=words):
        load_config(preset, [f"model.depth={depth}"])


def test_depth_can_change_between_videos():
    tracker = Tracker(*small_model.build("aost", "model.depth=1"))
    tracker.reset(9)
    frame, mask = small_model.draw_texture(1)[0], small_model.draw_stripes([1])
    for depth in (1, 3, 2):
        tracker.set_depth(depth)
        tracker.step(frame, mask)
        assert (tracker.config.model.depth, tracker.state.length) == (depth, 9)
        assert len(tracker.state.groups[0].memory.read()) == depth
        state = tracker.state_dict()
        tracker.load_state_dict(state)
    tracker.set_depth(3)
    with pytest.raises(InputError, match="tracker state"):
        tracker.load_state_dict(state)
    with pytest.raises(InputError, match=r"model\.depth must be 1 to 3"):
        tracker.set_depth(4)
