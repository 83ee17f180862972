"""Tracking in half precision."""

import numpy as np
import pytest
import torch

from aotlab.engine.tracking.tracker import Tracker
from aotlab_testing.marks import slow
from aotlab_testing.small_model import build, draw_stripes, draw_texture, run_tracker


def track_texture(*overrides, count=2):
    tracker = Tracker(*build("aott", "model.max_objects=3", *overrides))
    return run_tracker(tracker, draw_texture(), {0: draw_stripes(range(1, count + 1))}), tracker


@pytest.mark.parametrize("precision", ["bfloat16", *slow("float16")])
@pytest.mark.parametrize("count", [2, 5], ids=["one group", "two groups"])
def test_half_precision_is_close_to_float32(precision, count):
    """8 bits of mantissa leave errors of a per cent or so, which random weights show as a few other labels.

    What is remembered of them makes later frames differ more.
    """
    half, tracker = track_texture(f"compute.precision={precision}", count=count)
    full, _ = track_texture(count=count)
    for found, exact in zip(half[1:], full[1:], strict=True):
        assert found.logits.dtype == torch.float32
        assert not found.logits.isnan().any()
        assert not torch.equal(found.logits, exact.logits)
    assert np.mean(half[1].labels == full[1].labels) > 0.95
    assert tracker.state.groups[0].memory.read()[0][0].long.key.dtype in (torch.bfloat16, torch.float16)


def test_tracker_does_not_change_its_model():
    model, config = build("aott")
    before = model.state_dict().keys()
    tracker = Tracker(model, config)
    first = tracker.step(draw_texture()[0], draw_stripes([1, 2])).labels
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    tracker.reset()
    np.testing.assert_array_equal(tracker.step(draw_texture()[0], draw_stripes([1, 2])).labels, first)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.state_dict().keys() == before


def test_unoptimized_tracker_runs_the_model_itself():
    model, config = build("aott", "compute.precision=bfloat16")
    tracker = Tracker(model, config, optimize=False)
    frames = draw_texture()
    tracker.step(frames[0], draw_stripes([1, 2]))
    tracker.commit(tracker.predict(frames[1]))
    assert tracker.model is model
    assert tracker.state.groups[0].memory.read()[0][0].long.key.dtype == torch.bfloat16  # autocast
