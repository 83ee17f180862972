"""Scores of label maps by DAVIS rules."""

import re

import cv2
import numpy as np
import pytest
import torch

from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import find_first_ids, score_labels
from aotlab.evaluation.sequence_scores import ScoredObject, SequenceScores
from aotlab.evaluation.tables import make_scores_table
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import draw_box, draw_thin_stripes, write_masks
from tests.evaluation.scoring import score_sequence
from tests.golden.references import golden_arrays


def draw_moving_box(frames=4, height=24, width=32):
    """T×H×W ids with one object that moves right."""
    return np.stack([draw_box((height, width), (8, 16), (4 + index, 14 + index)) for index in range(frames)])


@pytest.fixture
def score(tmp_path):
    """Writes annotations and predictions, T×H×W ids each, and scores them by the rules of a benchmark."""

    def score(truth, found, benchmark="davis2017", **fields):
        name, *options = benchmark.split()
        paths = sorted(write_masks(tmp_path / "truth", truth).iterdir(), reverse=True)
        video = Video("a", frames=(), annotations=tuple(paths), **fields)
        return score_sequence(find_benchmark(name, options).plan(video), write_masks(tmp_path / "found", found))

    return score


def test_folders_score_as_arrays_do(score):
    arrays = golden_arrays("metrics/sequences")
    truth, prediction = arrays["missing_ids/gt"], arrays["missing_ids/pred"]
    np.testing.assert_array_equal(score(truth, prediction).values, score_labels(truth, prediction).values)


def test_means_of_scores_are_those_of_the_table_from_0_to_1():
    arrays = golden_arrays("metrics/sequences")
    scores = score_labels(arrays["missing_ids/gt"], arrays["missing_ids/pred"])
    table = make_scores_table(find_benchmark("davis2017"), {"a": scores})
    assert 0 < scores.J < 1
    expected = [table[name] / 100 for name in ("J", "F", "J&F")]
    assert [scores.J, scores.F, scores.mean] == pytest.approx(expected, rel=1e-12)


def test_scores_are_found_by_their_names():
    labels = np.ones((3, 8, 8), np.uint8)
    vost, mosev2 = map(find_benchmark, ("vost", "mosev2"))
    scores = score_labels(labels, labels, measure=vost.measure, metrics=vost.metrics)
    assert scores.J == 1
    for name in ("F", "mean"):
        with pytest.raises(AttributeError, match="no F: the metrics are J"):
            getattr(scores, name)
    assert score_labels(labels, labels, measure=mosev2.measure, metrics=mosev2.metrics).F == 1


def test_measure_with_other_scores_than_named_rejected():
    labels = np.ones((3, 8, 8), np.uint8)
    with pytest.raises(InputError, match=r"^metrics J, F: the measure returned 1 scores; give a name for each as"):
        score_labels(labels, labels, measure=find_benchmark("vost").measure)


def test_means_weight_objects_equally():
    values = np.array([[[1, np.nan, np.nan], [0, 0, 0]], [[1, np.nan, np.nan], [1, 1, 1]]])
    scores = SequenceScores(values, (ScoredObject(1), ScoredObject(2)))
    assert (scores.J, scores.F, scores.mean) == (0.5, 1, 0.75)


def test_first_and_last_frame_and_extra_files_are_not_read(score, tmp_path):
    labels = draw_moving_box()
    write_masks(tmp_path / "found", labels)
    for name in ("00000.png", "00003.png", "notes.png"):
        (tmp_path / "found" / name).write_bytes(b"not an image")
    assert score(labels, []).region.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("rules", ["folder", "folder new_objects"])
def test_255_is_an_object_in_masks_of_16_bits(score, rules):
    labels = draw_moving_box().astype(np.uint16) * 255
    labels[:, 18:22, 4:10] = 300
    scores = score(labels, labels, rules)
    assert scores.ids == (255, 300)
    np.testing.assert_array_equal(scores.region, 1)
    assert find_first_ids(labels[0], "a")[-1] == 300
    assert score(labels, labels, merge_ids=True).region.tolist() == [[1.0, 1.0]]
    assert (score(labels, labels == 255, merge_ids=True).region < 1).all()


@pytest.mark.parametrize("rules", ["davis2017", "folder", "folder new_objects"])
@pytest.mark.parametrize("covered", [0, 24])
def test_black_and_white_annotations_have_one_object(score, rules, covered):
    labels = draw_moving_box()
    labels[0, :covered] = 1
    assert score(labels * 255, labels, rules, merge_ids=True).region.tolist() == [[1, 1]]


def test_void_of_merged_objects_is_background(score):
    truth = draw_moving_box()
    truth[:, :4] = 255
    assert score(truth, draw_moving_box(), merge_ids=True).region.tolist() == [[1, 1]]


def test_white_beside_gray_of_one_object_rejected(score):
    """The evaluator of DAVIS 2016 refuses it too; every gray pixel would count as the object."""
    truth = draw_moving_box()
    prediction = truth * 255
    prediction[2] = cv2.blur(prediction[2], (1, 2))
    with pytest.raises(InputError, match=r"00002\.png: white beside gray values, like a soft mask; threshold it"):
        score(truth, prediction, merge_ids=True)


def test_gray_values_of_one_object_are_named(score, caplog):
    truth = draw_moving_box()
    prediction = truth * 255
    prediction[2] = cv2.GaussianBlur(prediction[2], (0, 0), 2) // 2
    score(truth, prediction, merge_ids=True)
    assert re.search(r"00002\.png: \d+ values, like the gray ones of a soft or smoothed mask; if it is", caplog.text)


def test_twelve_stripes_are_named_and_scored(score, caplog):
    stripes = draw_thin_stripes()[None].repeat(4, 0)
    scores = score(stripes, stripes)
    assert (len(scores.objects), scores.mean) == (12, 1)
    assert "00000.png: 12 values, like the gray ones of a soft or smoothed mask; if it is one, save it" in caplog.text


def test_many_merged_ids_are_not_soft(score):
    truth = draw_moving_box(height=64, width=96)
    prediction = truth.copy()
    for object_id in range(2, 20):
        prediction[:, 40:44, 4 * object_id : 4 * object_id + 4] = object_id
    assert score(prediction, prediction, merge_ids=True).region.tolist() == [[1, 1]]


def test_labels_without_object_rejected():
    empty = draw_moving_box(4) * 0
    with pytest.raises(InputError, match="no object"):
        score_labels(empty, empty)


@pytest.mark.parametrize("ids", ["1", "12", 1, [], [0], ["1"], [-1], [1.5], [True], [None]])
def test_scored_ids_that_are_no_ids_rejected(ids):
    labels = draw_moving_box()
    with pytest.raises(InputError, match=r"^ids: expected a list of ids from 1, got "):
        score_labels(labels, labels, ids=ids)


def test_scored_ids_may_be_any_collection():
    labels = draw_moving_box()
    for ids in ([1], (1,), {1}, range(1, 2), np.array([1], np.uint8)):
        assert score_labels(labels, labels, ids=ids).mean == 1


@pytest.mark.parametrize(("annotated", "predicted"), [(4, 3), (3, 4), (2, 2)])
def test_other_numbers_of_labels_rejected(annotated, predicted):
    with pytest.raises(
        InputError, match=f"{predicted} predictions, {annotated} annotations: give equally many, 3 or more"
    ):
        score_labels(draw_moving_box(annotated), draw_moving_box(predicted))


@pytest.mark.parametrize("axis", [0, 3])
def test_error_names_the_shape_of_labels_with_other_axes(axis):
    labels = draw_moving_box(height=2)
    deep = np.stack([labels] * 3, axis) if axis else labels[:, None]
    shape = re.escape(str(deep.shape[1:]))
    with pytest.raises(InputError, match=f"annotation of shape {shape}: expected object ids H×W"):
        score_labels(deep, deep)
    with pytest.raises(InputError, match=f"prediction of shape {shape}: expected object ids H×W"):
        score_labels(labels, deep)


@pytest.mark.parametrize("convert", [torch.from_numpy, np.ndarray.tolist, lambda labels: labels.astype(np.uint64)])
def test_tensors_and_lists_are_scored(convert):
    truth = draw_moving_box() * 3
    expected = score_labels(truth, truth, ids=[3])
    found = score_labels(convert(truth), convert(truth), ids=[3])
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize(("change", "message"), [
    (lambda labels: labels / 2, "object ids must be integers, got float64"),
    (lambda labels: torch.from_numpy(labels).float(), "object ids must be integers, got float32"),
    (lambda labels: -labels.astype(int), "object ids must be at least 0, got -1"),
    (lambda labels: [[[1, 2], [3]]] * len(labels), "expected an array, got list"),
])  # fmt: skip
def test_labels_that_are_no_ids_rejected(change, message):
    labels = draw_moving_box()
    with pytest.raises(InputError, match=f"annotation: {message}"):
        score_labels(change(labels), labels)
    with pytest.raises(InputError, match=f"prediction: {message}"):
        score_labels(labels, change(labels))


@pytest.mark.parametrize("object_id", [2, 255])
def test_id_above_the_number_of_objects_rejected(score, object_id):
    prediction = draw_moving_box()
    prediction[2, 0, 0] = object_id
    with pytest.raises(InputError, match=rf"00002\.png: unknown ids {object_id}; the objects are 1"):
        score(draw_moving_box(), prediction)


def test_error_names_the_prediction_of_another_size(score):
    with pytest.raises(InputError, match=r"00001\.png: 64×48, but its annotation is 32×24"):
        score(draw_moving_box(), draw_moving_box(height=48, width=64))
