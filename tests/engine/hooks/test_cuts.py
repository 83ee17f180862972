"""Cuts: detected by colors and places; the next frame ignores short-term memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aotlab.configs.schema import RulesConfig
from aotlab.engine.hooks.cuts import CutDetection, is_cut, make_thumbnail
from aotlab.engine.hooks.ownership import ComponentOwnership
from aotlab.engine.tracking.tracker import Tracker
from tests.engine.small_model import assert_resumes, assert_same, build, draw_stripes, draw_texture, run_tracker


@pytest.fixture(scope="module")
def model():
    return build("aotl", "model.max_objects=3", "rules.cuts=true", "memory.short_term_frames=2")


def shots(length=3):
    """Two shots: bright texture, then dark texture in other places."""
    first, second = draw_texture(length) // 2 + 128, draw_texture(length, seed=1) // 2
    return np.concatenate([first, second])


@pytest.mark.parametrize("change", [lambda x: x + 150, lambda x: x[:, ::-1]], ids=["colors", "places"])
def test_one_kind_of_change_is_not_a_cut(change):
    frame = np.repeat(np.linspace(0, 90, 49).astype(np.uint8)[None], 33, 0)[..., None].repeat(3, 2)
    frame[:, :, 1] //= 2
    assert not is_cut(make_thumbnail(frame), make_thumbnail(np.ascontiguousarray(change(frame))))


def test_cut_from_a_uniform_frame_is_found():
    black, (first, *_) = np.zeros((33, 49, 3), np.uint8), shots()
    assert is_cut(make_thumbnail(black), make_thumbnail(first))


@pytest.mark.parametrize(("width", "cut"), [(42, False), (44, True)])
def test_cut_shares_less_than_55_percent_of_colors(width, cut):
    first, second = np.zeros((2, 54, 96, 3), np.uint8)
    first[:, :width], second[:, 96 - width :] = 255, 120  # 56 % or 54 % of both is black
    assert is_cut(first, second) is cut


@pytest.mark.parametrize(("shift", "cut"), [(11, False), (13, True)])
def test_cut_correlates_by_less_than_a_half(shift, cut):
    first, second = np.zeros((54, 96, 3), np.uint8), np.full((54, 96, 3), 100, np.uint8)
    first[:, :48], second[:, shift : 48 + shift] = 255, 160  # correlation of 0.55 or 0.46
    assert is_cut(first, second) is cut


@pytest.mark.parametrize(("channel", "other"), [(0, 1), (0, 2), (1, 2)])
def test_dark_colors_of_two_channels_are_a_cut(channel, other):
    first, second = np.zeros((2, 54, 96, 3), np.uint8)
    first[:, :48, channel], second[:, 48:, other] = 32, 32  # half of both is black
    assert is_cut(first, second)


def test_cut_detection_does_not_change_the_state(model):
    tracker, frames = Tracker(*model), shots()
    tracker.step(frames[0], draw_stripes([1]))
    predicted = tracker.predict(frames[1])
    assert tracker.is_cut(frames[3])
    tracker.commit(predicted)
    assert not tracker.is_cut(frames[2])


def test_frames_after_cut_ignore_short_term_memory(model):
    frames, mask = shots(), {0: draw_stripes([1, 2])}
    after = run_tracker(Tracker(*model), frames, mask)
    other = frames.copy()
    other[2] = frames[1]  # short-term memory of another frame, the same reference
    changed = run_tracker(Tracker(*model), other, mask)
    assert [prediction.cut for prediction in after] == [False, False, False, True, False, False]
    assert not torch.equal(after[2].logits, changed[2].logits)
    without_stored = build("aott", "model.max_objects=3", "rules.cuts=true", "memory.short_term_frames=2")
    after, changed = (run_tracker(Tracker(*without_stored), clip_frames, mask) for clip_frames in (frames, other))
    assert_same(after[3:], changed[3:])


def test_no_part_is_reassigned_on_the_frame_after_a_cut(model, monkeypatch):
    network, config = model
    config, frames, searched = replace(config, rules=RulesConfig(cuts=True, ownership=True)), shots(), []
    monkeypatch.setattr(ComponentOwnership, "find_reassignments", lambda _, __, frame: searched.append(frame) or [])
    run_tracker(Tracker(network, config), frames, {0: draw_stripes([1, 2])})
    np.testing.assert_array_equal(searched, frames[[1, 2, 4, 5]])


def test_reused_frame_buffer_is_not_a_cut(model):
    (frame, *_), tracker = shots(), Tracker(*model)
    buffer = np.zeros_like(frame)
    tracker.is_cut(buffer)
    buffer[:] = frame
    tracker.step(buffer, draw_stripes([1]))
    assert not tracker.step(frame.copy()).cut


def test_thumbnail_is_of_the_stored_frame(model):
    tracker, frames = Tracker(*model), shots()
    tracker.step(frames[0], draw_stripes([1]))
    draft = tracker.predict(frames[1])
    tracker.predict(frames[4])
    tracker.commit(draft)
    (hook,) = tracker.hooks
    assert isinstance(hook, CutDetection)
    np.testing.assert_array_equal(hook.thumbnail, make_thumbnail(frames[1]))


def test_mask_after_all_objects_are_forgotten_is_not_a_cut(model):
    before, after = shots(1)
    tracker = Tracker(*model)
    tracker.step(before, draw_stripes([1]))
    tracker.forget(1)
    for _ in range(2):
        tracker.step(after)
    assert not tracker.step(after, draw_stripes([2])).cut


def test_video_resumed_at_a_cut_is_the_same(model, tmp_path):
    assert assert_resumes(model, shots(), {0: draw_stripes([1, 2])}, 3, tmp_path)[0].cut
