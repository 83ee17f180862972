"""Depth of AOST: validation at every depth, the depth that keeps up, attention of shared blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aotlab.configs.load import load_config
from aotlab.engine.inspection.attention import inspect_attention
from aotlab.engine.pacing import PacedTracker
from aotlab.engine.tracker import Tracker
from aotlab.engine.training import validation
from aotlab.utils.distributed import World
from aotlab.utils.errors import InputError
from tests.engine import small_model
from tests.engine.small_model import clip, stripes


def tracker(preset="aost", *overrides):
    return Tracker(*small_model.build(preset, *overrides))


def test_validation_scores_every_depth(monkeypatch):
    model, config = small_model.build("aost")
    depths = []
    monkeypatch.setattr(validation, "score_video", lambda tracker, _: depths.append(tracker.model.depth))
    monkeypatch.setattr(
        validation, "scores_table", lambda _: dict.fromkeys(("J&F", "J", "F"), 10.0 * depths[-1])
    )
    video = type("Video", (), {"name": "one"})()
    scores = validation.validate(model, config, [video], World("cpu"))
    assert depths == [1, 2, 3]
    assert scores["J&F at depth 1"], scores["J&F"] == (10.0, 30.0)
    assert len(scores) == 9
    assert model.depth == 3


@pytest.mark.parametrize(
    ("seconds", "depth"), [((0.01, 0.01, 0.01), 3), ((0.09, 0.05, 0.01), 1), ((9, 9, 9), 1)]
)
def test_the_largest_depth_that_keeps_up_is_taken(seconds, depth, monkeypatch):
    times = iter(seconds)
    monkeypatch.setattr(PacedTracker, "_seconds", lambda self, frame, mask: next(times))
    paced = PacedTracker(tracker(), 30.0)
    frames = clip(3)
    paced.step(frames[0])
    paced.step(frames[1], stripes([1]))
    assert paced.step(frames[2], stripes([0, 2])).ids == (1, 2)
    assert len(paced.tracker.banks[0].read()[0]) == depth


def test_a_depth_is_timed_by_its_fastest_frame_and_leaves_the_tracker_empty(monkeypatch):
    ticks = itertools.accumulate([0, 5, 0, 2, 0, 3, 0, 4])
    monkeypatch.setattr("aotlab.engine.pacing.time.perf_counter", lambda: next(ticks))
    paced = PacedTracker(tracker(), 30.0)
    assert paced._seconds(clip(1)[0], stripes([1])) == 2
    assert paced.tracker.ids == ()


@pytest.mark.parametrize(
    ("preset", "depth", "words"),
    [("aott", 1, "this model has one depth"), ("aost", 4, "must be 1 to 3, got 4")],
)
def test_a_depth_that_was_not_trained_is_refused(preset, depth, words):
    with pytest.raises(InputError, match=words):
        load_config(preset, [f"model.depth={depth}"])


def test_one_depth_cannot_be_chosen():
    with pytest.raises(InputError, match="depth auto: this model has one depth"):
        PacedTracker(tracker("aott"), 30.0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_shared_block_is_inspected_at_every_depth(precision):
    found = inspect_attention(
        tracker("aost_share", f"compute.precision={precision}"), clip(4), stripes([1, 2]), frame=2, query=1
    )
    assert [block.name[-7:] for block in found.blocks] == ["block 1", "block 2", "block 3"]
    assert all(block.long.sum() == pytest.approx(1, abs=1e-4) for block in found.blocks)
    assert not np.allclose(found.blocks[0].long, found.blocks[2].long)
