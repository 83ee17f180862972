"""Overlapping objects: tracked separately, with all their pixels."""

import threading

import numpy as np
import pytest
from PIL import Image

from aotlab.benchmark.ensemble import Branch, Ensemble
from aotlab.benchmark.evaluator import evaluate
from aotlab.engine.tracking.overlap import OverlapTracker
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.masks import read_mask
from aotlab.utils.errors import InputError
from aotlab_testing import miniatures
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.miniatures import open_dataset
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_testing.small_model import draw_stripes, draw_texture, run_tracker

SIZE = (24, 32)
FRAME = np.zeros((*SIZE, 3), np.uint8)


def box(top, left, bottom, right):
    return draw_box(SIZE, (top, bottom), (left, right), dtype=bool)


def test_overlapping_objects_keep_all_pixels():
    layers = OverlapTracker(RepeatingTracker())
    layer_masks = {1: box(0, 0, 20, 20), 2: box(5, 5, 10, 10), 3: box(0, 21, 20, 30), 4: box(6, 6, 8, 8)}
    layers.step(FRAME, layer_masks)
    found = layers.step(FRAME, {})
    assert len(layers.layers) == 3  # 1 and 3; 2 on 1; 4 on both
    for object_id, mask in layer_masks.items():
        np.testing.assert_array_equal(found.masks[object_id], mask)


def test_adjacent_objects_are_tracked_together():
    layers = OverlapTracker(RepeatingTracker())
    found = layers.step(FRAME, {1: box(0, 0, 20, 10), 2: box(0, 10, 20, 30), 3: box(19, 0, 24, 20)})
    assert len(layers.layers) == 2
    assert found.masks[3].sum() == 100
    edge = box(0, 0, 20, 20) | box(20, 0, 21, 1)
    other = OverlapTracker(RepeatingTracker())
    found = other.step(FRAME, {1: edge, 2: box(20, 0, 24, 32)})
    assert len(other.layers) == 1
    assert found.masks[1].sum() == 401  # the frame on which it begins has the given mask itself


def test_late_object_over_another_gets_its_own_layer():
    layers = OverlapTracker(RepeatingTracker())
    layers.step(FRAME, {1: box(0, 0, 20, 20)})
    layers.step(FRAME, {2: box(0, 21, 20, 30)})
    assert len(layers.layers) == 1
    layers.step(FRAME, {3: box(2, 2, 9, 9)})
    assert len(layers.layers) == 2
    found = layers.step(FRAME, {})
    assert [found.masks[object_id].sum() for object_id in (1, 2, 3)] == [400, 180, 49]


def test_unusable_overlapping_masks_rejected():
    tracker = OverlapTracker(RepeatingTracker())
    tracker.step(FRAME, {1: box(0, 0, 20, 20)})
    with pytest.raises(InputError, match="mask of object 1: tracked already; give another id"):
        tracker.step(FRAME, {1: box(0, 0, 20, 20)})
    for mask in (np.zeros(SIZE, bool), np.ones((9, 9), bool), np.ones(SIZE)):
        with pytest.raises(InputError, match="mask of object 2: expected H×W bool of 32×24 with pixels"):
            tracker.step(FRAME, mask[None])
    assert tracker.ids == (1,)


@pytest.mark.parametrize(("frame", "masks"), [
    (FRAME / 255, {2: box(0, 0, 9, 9)}),
    (FRAME[:9], {2: box(0, 0, 9, 9)[:9]}),
    ([[1, 2], [3]], {2: box(0, 0, 9, 9)}),
    (FRAME, {2: box(0, 0, 9, 9), 3: np.zeros(SIZE, bool)}),
    (FRAME, {2: box(0, 0, 9, 9), 1: box(0, 0, 9, 9)}),
    (FRAME, {2: box(0, 0, 9, 9), -1: box(0, 0, 9, 9)}),
    (FRAME, {2: box(0, 0, 9, 9), "a": box(0, 0, 9, 9)}),
    (FRAME, {2: box(0, 0, 9, 9), 3: "mask"}),
    (FRAME, 5),
])  # fmt: skip
def test_refused_step_changes_nothing(frame, masks):
    tracker = OverlapTracker(RepeatingTracker())
    tracker.step(FRAME, {1: box(0, 0, 20, 20)})
    with pytest.raises(InputError):
        tracker.step(frame, masks)
    assert (tracker.ids, len(tracker.layers)) == ((1,), 1)
    found = tracker.step(FRAME, {2: box(2, 2, 9, 9)})
    assert [mask.sum() for mask in found.objects] == [400, 49]


def test_step_refused_by_the_tracker_changes_nothing():
    def refuse(frame):
        if frame.any():
            raise InputError("too bright", subject="frame")

    tracker = OverlapTracker(RepeatingTracker(refuse))
    tracker.step(FRAME, {1: box(0, 0, 20, 20)})
    with pytest.raises(InputError, match="too bright"):
        tracker.step(FRAME + 9, {2: box(2, 2, 9, 9)})
    assert (tracker.ids, len(tracker.layers)) == ((1,), 1)


def test_image_and_lists_are_inputs_of_overlapping_objects():
    tracker = OverlapTracker(RepeatingTracker())
    found = tracker.step(Image.fromarray(FRAME), box(0, 0, 20, 20)[None].tolist())
    np.testing.assert_array_equal(found.masks[1], box(0, 0, 20, 20))


def test_fresh_ensemble_is_independent(models):
    tracker, frames, masks = Tracker(*models["aott"]), draw_texture(3), (draw_stripes([1]), draw_stripes([0, 2]))
    first = Ensemble([Branch(tracker), Branch(tracker.fresh(), flip=True)])
    expected = []
    for mask in masks:
        expected.append([prediction.labels for prediction in run_tracker(first, frames, {0: mask})])
        first.reset()
    both = (first, first.fresh())
    for index, frame in enumerate(frames):
        for ensemble, mask, labels in zip(both, masks, expected, strict=True):
            found = ensemble.step(frame, None if index else mask).labels
            np.testing.assert_array_equal(found, labels[index])


@pytest.fixture
def sav(tmp_path):
    """The videos of a drawn SA-V and a function that evaluates them."""
    miniatures.make_sav(tmp_path / "SA-V")
    videos = open_dataset("sav", tmp_path / "SA-V")
    options = {"inputs": {"models": []}, "stop": threading.Event()}
    return videos, lambda folder="out": evaluate(RepeatingTracker(), videos, tmp_path / folder, **options)


def test_separate_objects_get_a_folder_each(sav, tmp_path):
    videos, evaluate_sav = sav
    assert list(evaluate_sav().sequences) == ["sav_000001", "sav_000002"]
    whole = read_mask(videos[0].object_folders[1] / "00000.png") > 0
    for stem in videos[0].written_stems:
        np.testing.assert_array_equal(read_mask(tmp_path / "out" / "sav_000001" / "000" / f"{stem}.png"), whole)
    late = read_mask(tmp_path / "out" / "sav_000002" / "001" / "00004.png")
    assert not late.any()  # the object appears after this frame


def test_video_without_all_separate_masks_is_tracked_again(sav, tmp_path):
    _, evaluate_sav = sav
    evaluate_sav()
    assert evaluate_sav().resumed == ["sav_000001", "sav_000002"]
    (tmp_path / "out" / "sav_000001" / "001" / "00008.png").unlink()
    assert evaluate_sav().resumed == ["sav_000002"]
    assert (tmp_path / "out" / "sav_000001" / "001" / "00008.png").is_file()


def test_separate_masks_of_the_data_set_are_never_overwritten(sav):
    _, evaluate_sav = sav
    with pytest.raises(InputError, match="part of the data set"):
        evaluate_sav("SA-V/sav_val/Annotations_6fps")
