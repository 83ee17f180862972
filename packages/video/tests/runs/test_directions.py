"""Tracking between annotated frames, with a small model and with trackers of known predictions."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from aotlab.configs.schema import Config
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.utils.errors import InputError
from aotlab_testing.limits import limit_file_size
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_testing.small_model import build, draw_stripes, draw_texture, run_tracker
from aotlab_video.runs.directions import track_both_directions, weigh_directions
from aotlab_video.runs.merging import ObjectProbabilities, PredictionFile, TemporaryArrays, merge_predictions


def make_prediction(ids, rows):
    """A prediction of 1×W pixels from probabilities, background first."""
    probabilities = torch.tensor(rows)[:, None]
    return Prediction(ids, probabilities.log(), probabilities.max(0).indices)


def make_probabilities(ids, rows):
    """Probabilities of the other direction."""
    return ObjectProbabilities(ids, torch.tensor(rows)[:, None])


def merge(forward, backward, weight, removed=()):
    """The merged prediction, and how both differ."""
    return merge_predictions(forward, backward, weigh_directions(forward.ids, backward.ids, weight, removed))


def track_both(tracker, frames, masks, folder, stop=None, removals=None):
    stop = stop or threading.Event()
    return list(track_both_directions(tracker, enumerate(frames), masks, removals or {}, folder, stop))


@pytest.fixture(scope="module")
def annotated_clip(models, tmp_path_factory):
    """Frames, masks of frames 2 and 6 of 9, and predictions of both directions."""
    frames, masks = draw_texture(9), {2: draw_stripes([4, 9]), 6: draw_stripes([4, 9, 7])}
    results = track_both(Tracker(*models["aott"]), frames, masks, tmp_path_factory.mktemp("clip"))
    return frames, masks, results


def test_frames_come_once_and_annotated_ones_as_given(annotated_clip):
    frames, masks, results = annotated_clip
    assert [index for index, *_ in results] == list(range(9))
    for index, frame, *_ in results:
        np.testing.assert_array_equal(frame, frames[index])
    for index, mask in masks.items():
        np.testing.assert_array_equal(results[index][2].labels, mask)


def test_one_direction_outside_the_annotations(models, annotated_clip):
    frames, masks, results = annotated_clip
    backward = run_tracker(Tracker(*models["aott"]), frames[2::-1], {0: masks[2]})
    forward = run_tracker(Tracker(*models["aott"]), frames[6:], {0: masks[6]})
    for index in (0, 1):
        # probabilities are kept in steps of 1/255, which may turn a pixel that is in doubt
        assert (results[index][2].labels == backward[2 - index].labels).mean() > 0.99
    for index in (7, 8):
        np.testing.assert_array_equal(results[index][2].logits, forward[index - 6].logits)


def test_confidence_calibrated_before_the_first_mask(models, tmp_path):
    model, config = models["aott"]
    tracker = Tracker(model, config.replace(confidence_temperature=2.0))
    results = track_both(tracker, draw_texture(3), {1: draw_stripes([4, 9])}, tmp_path)
    assert [prediction.temperature for _, _, prediction, _ in results] == [2.0] * 3


def test_directions_are_weighted_by_distance(models, annotated_clip):
    frames, masks, results = annotated_clip
    forward = run_tracker(Tracker(*models["aott"]), frames[2:6], {0: masks[2]})
    backward = run_tracker(Tracker(*models["aott"]), frames[6:2:-1], {0: masks[6]})
    for index, weight in ((3, 0.25), (4, 0.5), (5, 0.75)):
        earlier, later = forward[index - 2].probabilities, backward[6 - index].probabilities
        assert results[index][2].ids == (4, 9, 7)
        expected = torch.zeros(4, *earlier.shape[1:])
        expected[1:3] = (1 - weight) * earlier[1:] + weight * later[[1, 3]]  # 4, 9
        expected[3] = later[2]  # 7, which only the mask after has
        expected[0] = (1 - expected[1:].sum(0)).clamp(min=0)
        expected /= expected.sum(0)
        # half a step of 1/255, and as much again from making the sum 1
        torch.testing.assert_close(results[index][2].probabilities, expected, atol=0.01, rtol=0)


def test_object_of_one_mask_keeps_its_direction():
    """As in the studio: a mask says nothing about objects that it does not contain."""
    ahead = make_prediction((1,), [[0.3, 1.0], [0.7, 0.0]])
    backward = make_probabilities((8,), [[1.0, 0.0], [0.0, 1.0]])
    for weight in (0.1, 0.9):
        assert merge(ahead, backward, weight)[0].labels.tolist() == [[1, 8]]
    assert merge(ahead, backward, 0.9, {8})[0].labels.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("last", "end", "kept"),
    [({}, 7, (3, 4, 5, 6)), ({6: draw_stripes([4, 9, 5])}, 6, (3,))],
    ids=["last mask", "one of two"],
)
def test_mask_of_one_object_does_not_change_others(models, tmp_path, last, end, kept):
    frames, masks = draw_texture(7), {0: draw_stripes([4, 9]), 3: np.where(draw_stripes([0, 0, 5]), 5, 0), **last}
    results = track_both(Tracker(*models["aott"]), frames, masks, tmp_path)
    forward = run_tracker(Tracker(*models["aott"]), frames, masks)
    assert {4, 9, 5} <= {*np.unique(results[3][2].labels)}
    for index in range(3, end):
        assert results[index][2].ids == (4, 9, 5)
    for index in kept:  # with the memory of earlier masks
        np.testing.assert_array_equal(results[index][2].labels, forward[index].labels)


def test_removed_object_has_no_pixel_until_it_is_given_again(models, tmp_path):
    frames, masks = draw_texture(7), {0: draw_stripes([4, 9]), 5: draw_stripes([4, 9])}
    results = track_both(Tracker(*models["aott"]), frames, masks, tmp_path, removals={3: [9], 6: [4]})
    shown = [{*np.unique(prediction.labels).tolist()} for _, _, prediction, _ in results]
    assert [9 in ids for ids in shown[:6]] == [True, True, True, False, False, True]
    assert [4 in ids for ids in shown[5:]] == [True, False]


def test_masks_of_all_but_a_removed_object_reset_the_memory(models, tmp_path):
    frames, masks = draw_texture(5), {0: draw_stripes([4, 9]), 3: draw_stripes([4])}
    results = track_both(Tracker(*models["aott"]), frames, masks, tmp_path, removals={3: [9]})
    forward = run_tracker(Tracker(*models["aott"]), frames[3:], {0: masks[3]})
    assert [prediction.ids for _, _, prediction, _ in results[3:]] == [(4,), (4,)]
    np.testing.assert_array_equal(results[4][2].logits, forward[1].logits)


def test_disagreement_is_measured_for_common_objects():
    ahead = make_prediction((1,), [[0.0, 0.9], [1.0, 0.1]])
    backward = make_probabilities((1, 2), [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert merge(ahead, backward, 0.25)[1] == {1: 0.0}
    ahead = make_prediction((1,), [[0.0, 0.1], [1.0, 0.9]])
    assert merge(ahead, backward, 0.25)[1] == {1: 0.5}


def test_stored_probabilities_are_rounded_to_the_nearest_level(tmp_path):
    with PredictionFile(tmp_path) as stored:
        for index, ids, value in ((9, (4,), 0.25), (5, (4, 2), 0.5)):
            stored.store(index, make_prediction(ids, [[1 - value], [value], [0.0]][: 1 + len(ids)]))
        assert [stored.load(index).ids for index in (5, 9)] == [(4, 2), (4,)]
        probabilities = [stored.load(index).probabilities for index in (5, 9)]
    assert [part.sum(0).item() for part in probabilities] == pytest.approx([1, 1])
    assert [part[1].item() for part in probabilities] == pytest.approx([0.5, 64 / 255])  # 0.25 is level 63.75


def test_later_of_two_neighboring_annotations_tracks_the_rest(models, tmp_path):
    frames, masks = draw_texture(3), {0: draw_stripes([1]), 1: draw_stripes([1, 2]), 7: draw_stripes([3])}
    results = track_both(Tracker(*models["aott"]), frames, masks, tmp_path)
    assert [index for index, *_ in results] == [0, 1, 2]
    np.testing.assert_array_equal(results[1][2].labels, masks[1])
    forward = run_tracker(Tracker(*models["aott"]), frames[1:], {0: masks[1]})
    np.testing.assert_array_equal(results[2][2].logits, forward[1].logits)


def test_broken_source_is_tracked_forward(models, tmp_path):
    frames = draw_texture(4)

    def read_until_damage():
        yield from enumerate(frames[:3])
        raise InputError("frame 3 is damaged")

    found, masks = [], {0: draw_stripes([1]), 9: draw_stripes([1])}
    tracker, stop = Tracker(*models["aott"]), threading.Event()
    with pytest.raises(InputError, match="frame 3"):
        found.extend(track_both_directions(tracker, read_until_damage(), masks, {}, tmp_path, stop))
    forward = run_tracker(Tracker(*models["aott"]), frames[:3], {0: draw_stripes([1])})
    assert [predicted.frame_index for predicted in found] == [0, 1, 2]
    np.testing.assert_array_equal(found[2][2].logits, forward[2].logits)


@pytest.mark.parametrize("count", [4, 14], ids=["backward", "forward"])
def test_stop_ends_at_once(models, tmp_path, count):
    stop, steps = threading.Event(), []

    class CountingTracker(Tracker):
        def step(self, frame, mask=None):
            steps.append(1)
            if len(steps) == count:
                stop.set()
            return super().step(frame, mask)

    masks = dict.fromkeys((0, 11), draw_stripes([1]))
    track_both(CountingTracker(*models["aott"]), draw_texture(12), masks, tmp_path, stop)
    assert len(steps) == count


def test_only_frames_of_one_gap_are_stored(models, tmp_path, monkeypatch):
    sizes, lengths = [], []
    original, reset = TemporaryArrays.append, Tracker.reset

    def append(self, array):
        original(self, array)
        sizes.append((self._compress, len(self)))

    monkeypatch.setattr(TemporaryArrays, "append", append)
    monkeypatch.setattr(Tracker, "reset", lambda self, length=None: lengths.append(length) or reset(self, length))
    masks = dict.fromkeys((0, 3, 6, 9), draw_stripes([1, 2]))
    track_both(Tracker(*models["aott"]), draw_texture(12), masks, tmp_path)
    assert {compress for compress, _ in sizes} == {True, False}
    assert max(count for _, count in sizes) == 2
    assert lengths.count(3) == 2 * 3, "both trackers know the length of each gap"
    assert list(tmp_path.iterdir()) == []


class ColorTracker(RepeatingTracker):
    """Sees a cut where a frame's color differs from the last one's."""

    config = Config()

    def reset(self, length=None):
        super().reset()
        self.last = None

    def is_cut(self, frame):
        return self.last is not None and bool((frame != self.last).any())

    def step(self, frame, mask=None):
        cut, self.last = self.is_cut(frame), frame
        return replace(super().step(frame, mask), cut=cut)


def test_cuts_are_found_in_both_directions(tmp_path):
    colors = [0, 1, 1, 2, 2, 3, 3, 4]
    frames = [np.full((1, 4, 3), color, np.uint8) for color in colors]
    for annotated in ((2, 5), (2, 3, 5), range(8)):
        results = track_both(ColorTracker(), frames, dict.fromkeys(annotated, np.ones((1, 4), int)), tmp_path)
        assert [index for index, _, prediction, _ in results if prediction.cut] == [1, 3, 5, 7]


def test_temporary_arrays_in_any_order_and_without_disk_space(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((3, 4, 3), (2, 5, 6))]
    for compress in (True, False):
        with TemporaryArrays(tmp_path, compress=compress) as stored_arrays:
            for array in arrays:
                stored_arrays.append(array)
            for index in (1, 0):
                np.testing.assert_array_equal(stored_arrays[index], arrays[index])
            with limit_file_size(10), pytest.raises(InputError, match=r"cannot be written \(File too large"):
                stored_arrays.append(arrays[0])


def test_cut_between_masks_separates_directions(tmp_path):
    model = build("aott", "model.max_objects=3", "rules.cuts=true", "rules.after_cut=end")
    frames = np.concatenate([draw_texture(3) // 2 + 128, draw_texture(3, seed=1) // 2])
    masks = {0: draw_stripes([1]), 5: draw_stripes([0, 1])}
    tracked = [predicted.prediction for predicted in track_both(Tracker(*model), frames, masks, tmp_path)]
    forward = run_tracker(Tracker(*model), frames, {0: masks[0]})
    backward = run_tracker(Tracker(*model), frames[::-1], {0: masks[5]})[::-1]
    for index in range(1, 5):
        expected = forward[index] if index < 3 else backward[index]
        torch.testing.assert_close(tracked[index].probabilities, expected.probabilities, atol=1 / 255, rtol=0)
    assert [prediction.cut for prediction in tracked] == [index == 3 for index in range(6)]
