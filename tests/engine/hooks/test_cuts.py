"""Cuts: detected by colors and places; the next frame ignores short-term memory."""

import numpy as np
import pytest
import torch

from aotlab.engine.hooks.cuts import CutDetection, describe_objects, is_cut, make_thumbnail
from aotlab.engine.recurrence import segment_frame
from aotlab.engine.tracking.groups import find_indices, merge_logits
from aotlab.engine.tracking.tracker import Tracker
from aotlab_testing.small_model import assert_resumes, assert_same, build, draw_stripes, draw_texture, run_tracker

CUTS = "rules.cuts=true", "rules.after_cut=continue"


@pytest.fixture(scope="module")
def model():
    return build("aotl", "model.max_objects=3", *CUTS, "memory.short_term_frames=2")


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
    without_stored = build("aott", "model.max_objects=3", *CUTS, "memory.short_term_frames=2")
    after, changed = (run_tracker(Tracker(*without_stored), clip_frames, mask) for clip_frames in (frames, other))
    assert_same(after[3:], changed[3:])


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


@pytest.fixture(scope="module")
def ending():
    return build("aott", "model.max_objects=3", "rules.cuts=true", "rules.after_cut=end")


def test_objects_end_at_a_cut_until_their_next_mask(ending):
    tracker, frames = Tracker(*ending), shots()
    after = run_tracker(tracker, frames, {0: draw_stripes([1, 2]), 4: draw_stripes([0, 2])})
    assert [set(np.unique(prediction.labels)) - {0} for prediction in after[:4]] == [{1, 2}, {1, 2}, {1, 2}, set()]
    assert [prediction.hidden for prediction in after] == [set(), set(), set(), {1, 2}, {1}, {1}]
    assert after[3].confidence == {1: 0, 2: 0}
    assert not any((prediction.labels == 1).any() for prediction in after[3:])
    assert (after[5].labels == 2).any()
    assert not after[4].probabilities[1].any()


def test_mask_on_the_frame_after_a_cut_holds(ending):
    after = run_tracker(Tracker(*ending), shots(), {0: draw_stripes([1, 2]), 3: draw_stripes([0, 2])})
    assert after[3].cut
    assert after[3].hidden == {1}
    np.testing.assert_array_equal(after[3].labels, draw_stripes([0, 2]))
    assert (after[4].labels == 2).any()


@pytest.fixture(scope="module")
def recognizing():
    return build("aott", "model.max_objects=3", "rules.cuts=true")


def describe_after_cut(tracker, frame):
    """Return the descriptors of the objects that the tracker would find on a frame after a cut."""
    state, draft = tracker.state, tracker.predict(frame)
    decoded = [segment_frame(tracker.model, state.groups[0].memory, draft.features, short_term=False).logits]
    indices = find_indices(merge_logits(state.groups, decoded, draft.size, align_corners=True))
    return describe_objects(draft.features.projected, indices, tracker.ids)


@torch.inference_mode()
def test_objects_that_look_different_after_a_cut_end(recognizing):
    tracker, frames = Tracker(*recognizing), shots()
    tracker.step(frames[0], draw_stripes([1, 2]))
    (hook,), found = tracker.hooks, describe_after_cut(tracker, frames[3])
    assert isinstance(hook, CutDetection)
    hook.descriptors = {1: found[1], 2: -found[2]}
    assert [prediction.hidden for prediction in map(tracker.step, frames[3:5])] == [{2}, {2}]
    found = describe_after_cut(tracker, frames[0])
    hook.descriptors = {1: -found[1], 2: found[2]}
    assert tracker.step(frames[0]).hidden == {1}  # all objects are looked for at the next cut


def test_descriptor_is_of_the_last_visible_frame(recognizing):
    tracker, frames = Tracker(*recognizing), shots()
    tracker.step(frames[0], draw_stripes([1, 2]))
    (hook,) = tracker.hooks
    assert isinstance(hook, CutDetection)
    assert {*hook.descriptors} == {1, 2}
    earlier, draft = hook.descriptors[2], tracker.predict(frames[1]).hide([2])
    tracker.commit(draft)
    assert torch.equal(hook.descriptors[2], earlier)
    tracker.step(frames[1])
    assert not torch.equal(hook.descriptors[2], earlier)
    tracker.forget(2)
    assert {*hook.descriptors} == {1}


def test_objects_are_described_by_their_features():
    features = torch.zeros(1, 2, 2, 3)
    features[0, 0, :, 1], features[0, 1, 0, 2] = 6, 12
    indices = torch.zeros(16, 24, dtype=torch.long)
    indices[:, 8:16], indices[:8, 16:] = 1, 2
    found = describe_objects(features, indices, (5, 7, 9))
    assert {key: value.tolist() for key, value in found.items()} == {5: [4, -2], 7: [-2, 10], 9: [0, 0]}


@pytest.mark.parametrize("rule", ["end", "recognize"])
def test_video_with_ended_objects_resumes(rule, tmp_path):
    model = build("aott", "model.max_objects=3", "rules.cuts=true", f"rules.after_cut={rule}")
    assert_resumes(model, shots(), {0: draw_stripes([1, 2])}, 4, tmp_path)
