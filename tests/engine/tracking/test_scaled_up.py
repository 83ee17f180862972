"""Trackers that scale frames up for the smallest object of the first mask."""

import numpy as np
import pytest

from aotlab.engine.tracking.groups import find_smallest_area
from aotlab.engine.tracking.tracker import Tracker
from aotlab.export.export import resolve_export_config
from aotlab_testing.small_model import assert_resumes, assert_same, build, draw_stripes, draw_texture, run_tracker


@pytest.fixture(scope="module")
def model():
    return build("aott", "model.max_objects=3", "input.min_object=32", "memory.policy=bounded_fifo")


@pytest.fixture
def small_and_large():
    """A mask H×W with an object of 10×10 pixels and a larger one."""
    mask = draw_stripes([4, 9])
    mask[mask == 9] = 0
    mask[2:12, 35:45] = 9
    return mask


def test_smallest_first_object_sets_video_scale(model, small_and_large):
    assert find_smallest_area(small_and_large) == 100
    tracker = Tracker(*model)
    plain = Tracker(model[0], model[1].replace(input={"min_object": None, "scale": 2.0}))
    frames = draw_texture(5)
    for index, frame in enumerate(frames):
        mask = small_and_large if index == 0 else draw_stripes([0, 0, 5]) if index == 2 else None
        np.testing.assert_array_equal(tracker.step(frame, mask).logits, plain.step(frame, mask).logits)


def test_large_objects_are_not_scaled_up(model):
    frames, mask = draw_texture(3), np.ones_like(draw_stripes([]))
    plain = Tracker(model[0], model[1].replace(input={"min_object": None}))
    expected, found = (run_tracker(any_tracker, frames, {0: mask}) for any_tracker in (plain, Tracker(*model)))
    assert_same(found, expected)


def test_next_video_is_scaled_by_its_first_mask(model, small_and_large):
    frames, tracker = draw_texture(2), Tracker(*model)
    run_tracker(tracker, frames, {0: small_and_large})
    tracker.reset()
    large = np.ones_like(draw_stripes([]))
    expected, found = (run_tracker(Tracker(*model), frames, {0: large}), run_tracker(tracker, frames, {0: large}))
    np.testing.assert_array_equal(expected[1].logits, found[1].logits)


def test_resumed_video_keeps_its_size(model, small_and_large, tmp_path):
    assert_resumes(model, draw_texture(5), {0: small_and_large}, 2, tmp_path)


def test_exported_graphs_have_one_size(model):
    assert resolve_export_config(model[1]).input.min_object is None
