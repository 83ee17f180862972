"""Objects: groups beyond one identity bank, and objects that are forgotten or lost from sight."""

import numpy as np
import pytest
import torch

from aotlab.engine.tracking.groups import (
    Group,
    find_vanished_ids,
    merge_logits,
    number_identities,
    resize_indices,
    split_by_group,
)
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import ROUNDING, assert_same, build, draw_stripes, draw_texture, run_tracker


@pytest.mark.parametrize(("name", "ids"), [("aott", [4, 7, 9]), ("three_objects", [4, 7, 9, 300, 12])])
def test_forgetting_an_object_does_not_change_other_ids(models, name, ids):
    frames, tracker = draw_texture(5), Tracker(*models[name])
    before = run_tracker(tracker, frames[:3], {0: draw_stripes(ids)})[-1]
    forgotten = int(np.bincount(before.labels[before.labels > 0]).argmax())
    tracker.forget(forgotten)
    left = tuple(sorted(set(ids) - {forgotten}))
    assert tracker.ids == left
    for frame in frames[3:]:
        prediction = tracker.step(frame)
        assert prediction.ids == left
        assert prediction.logits.shape[0] == len(left) + 1
        assert set(np.unique(prediction.labels)) <= {0, *left}
        np.testing.assert_array_equal(prediction.logits.max(0).indices, prediction.indices)
        assert list(prediction.confidence) == list(left)


@pytest.mark.parametrize(("name", "count"), [("aott", 3), ("three_objects", 5)])
def test_pixels_of_forgotten_object_are_background(models, name, count):
    frames, late = draw_texture(12), draw_stripes([0, 9])
    masks, seen = {0: draw_stripes(range(1, count + 1)), 6: late}, 0
    kept, forgot = Tracker(*models[name]), Tracker(*models[name])
    for index, frame in enumerate(frames):
        if index == 2:
            forgot.forget(2)
        labels, without = (tracker.step(frame, masks.get(index)).labels for tracker in (kept, forgot))
        if index >= 2:
            np.testing.assert_array_equal(without, np.where(labels == 2, 0, labels))
            seen += (labels == 2).any()
    assert seen > 2


def test_forgotten_id_given_again_is_new_object(models):
    frames, again = draw_texture(5), np.zeros((33, 49), np.int64)
    again[20:30, 5:15] = 2
    tracker = Tracker(*models["aott"])
    run_tracker(tracker, frames[:2], {0: draw_stripes([1, 2, 3])})
    tracker.forget(2)
    second = Tracker(*models["aott"])
    second.load_state_dict(tracker.state_dict())
    run_tracker(second, frames[2:3], {})
    expected = np.where(again > 0, 2, second.step(frames[3]).labels)
    tracker.step(frames[2])
    prediction = tracker.step(frames[3], again)
    np.testing.assert_array_equal(prediction.labels, expected)
    assert (expected == 1).any()
    assert tracker.ids == (1, 3, 2)
    assert tracker.step(frames[4]).logits.shape[0] == 4


def test_no_objects_left_ends_tracking_and_memory(models):
    frames = draw_texture(5)
    tracker = Tracker(*models["aott"])
    run_tracker(tracker, frames[:2], {0: draw_stripes([1, 2])})
    for number in (1, 2):
        tracker.forget(number)
    assert (tracker.ids, tracker.state.groups) == ((), [])
    with pytest.raises(InputError, match="but the video began with 49×33"):
        tracker.step(np.zeros((33, 65, 3), np.uint8))
    assert not tracker.step(frames[2]).labels.any()
    again = [tracker.step(frames[3], draw_stripes([5])), tracker.step(frames[4])]
    fresh = run_tracker(Tracker(*models["aott"]), frames[3:], {0: draw_stripes([5])})
    assert_same(again, fresh)


def test_empty_group_is_dropped(models):
    frames, late = draw_texture(4), draw_stripes([0, 0, 0, 0, 6, 7])
    late[:20] = 0
    tracker, other = (Tracker(*models["three_objects"]) for _ in range(2))
    run_tracker(tracker, frames[:3], {0: draw_stripes([1, 2, 3]), 2: late})
    assert len(tracker.state.groups) == 2
    for number in (1, 2, 3):
        tracker.forget(number)
    assert (len(tracker.state.groups), tracker.ids) == (1, (6, 7))
    other.step(frames[2], late)  # never had the other group
    np.testing.assert_array_equal(tracker.step(frames[3]).logits, other.step(frames[3]).logits)


def test_identity_of_forgotten_object_stays_reserved_in_masks():
    groups, indices = [Group([4, 0, 9], None), Group([0, 7], None)], torch.tensor([[0, 1, 2, 3, 0]])
    for count, expected in [(1, [[0, 1, 3, 2]]), (2, [[0, 1, 3, 0, 2], [0, 0, 0, 2, 0]])]:
        chosen = indices[:, [0, 1, 2, 4] if count == 1 else slice(None)]
        forgotten = torch.zeros_like(chosen)
        forgotten[0, -1] = 2
        numbers = number_identities(groups[:count], chosen, forgotten)
        masks = split_by_group(groups[:count], numbers, numbers.shape, 10)
        assert [mask.shape[1] for mask in masks] == [[4], [11, 11]][count - 1]
        assert [mask.argmax(1)[0, 0].tolist() for mask in masks] == expected


def test_probabilities_of_several_groups_are_clamped():
    groups = [Group([1], None), Group([2], None)]
    certain = torch.tensor([100.0, -100.0]).view(1, 2, 1, 1)
    logits = merge_logits(groups, [certain, -certain], (1, 1), align_corners=True).flatten()
    # the published 1e-5 of 1: background, the first object, and the second, which is there
    assert logits.exp().tolist() == pytest.approx([1e-5, 1e-5, 1 - 1e-5])


def test_object_of_another_group_does_not_raise_confidence():
    alone = torch.tensor([0.2, 0.8]).log().view(1, 2, 1, 1)
    absent = torch.tensor([0.99, 0.01]).log().view(1, 2, 1, 1)
    groups = [Group([1], None), Group([2], None)]
    logits = merge_logits(groups, [alone, absent], (1, 1), align_corners=True)
    prediction = Prediction((1, 2), logits, logits.max(0).indices)
    # 0.8 / (0.2 * 0.99 + 0.8 + 0.01); odds instead of probabilities would give 0.94
    assert prediction.probabilities[1].item() == pytest.approx(0.8 / 1.008)
    assert prediction.confidence[1] == pytest.approx(0.8 / 1.008)


@pytest.mark.parametrize(("length", "resized"), [(150, 145), (266, 257), (480, 481), (1080, 593), (17, 33)])
def test_objects_without_a_pixel_in_the_network_are_found(length, resized):
    mask = np.arange(1, 2 * length + 1).reshape(length, 2)  # an object per pixel
    kept = np.unique(resize_indices(torch.from_numpy(mask), (resized, 1)))
    vanished = find_vanished_ids(mask, range(1, 2 * length + 1), (resized, 1))
    assert {*vanished} == {*range(1, 2 * length + 1)} - {*kept}


def test_object_too_small_for_the_network_is_logged(caplog):
    tracker, mask = Tracker(*build("aott", "input.scale=0.5")), draw_stripes([2])
    mask[1, 1] = 7
    tracker.step(draw_texture(1)[0], mask)
    tracker.step(draw_texture(1)[0], np.where(mask == 7, 2, 0))  # a correction of a tracked object
    assert [record.message for record in caplog.records] == ["object 7: too small to be tracked; raise input.scale"]


def test_objects_beyond_existing_groups_get_new_group(models):
    tracker, frames = Tracker(*models["three_objects"]), draw_texture(4)
    tracker.step(frames[0], draw_stripes([1, 2]))
    tracker.step(frames[1])
    tracker.step(frames[2], draw_stripes([0, 0, 0, 50, 60]))
    assert tracker.step(frames[3]).ids == (1, 2, 50, 60)
    assert [group.ids for group in tracker.state.groups] == [[1, 2, 50], [60]]
    assert [group.memory.frames for group in tracker.state.groups] == [[0, 2], [0]]


def test_each_group_has_the_logits_of_a_separate_tracker(models):
    frames, mask = draw_texture(4), draw_stripes(range(1, 7))
    together = run_tracker(Tracker(*models["three_objects"]), frames, {0: mask})
    first, second = (
        run_tracker(Tracker(*models["three_objects"]), frames[:2], {0: np.where(own, mask, 0)})
        for own in (mask < 4, mask > 3)
    )
    probabilities = [one[1].probabilities for one in (first, second)]
    background = probabilities[0][0] * probabilities[1][0]
    joined = torch.cat([background[None], probabilities[0][1:], probabilities[1][1:]])
    found = together[1].logits.exp()
    # rounding; probabilities are clamped to 1e-5; one group alone has no plane for identities that are not in use
    torch.testing.assert_close(found, joined.clamp(1e-5, 1 - 1e-5), atol=ROUNDING, rtol=1e-3)


def test_image_is_encoded_once_per_frame(models, monkeypatch):
    model, config = models["three_objects"]
    calls, original = [], model.encode
    monkeypatch.setattr(model, "encode", lambda image: calls.append(image.shape[0]) or original(image))
    masks = {0: draw_stripes(range(1, 8)), 1: draw_stripes([0] * 7 + [70])}
    run_tracker(Tracker(model, config), draw_texture(3), masks)
    assert calls == [1, 1, 1]
