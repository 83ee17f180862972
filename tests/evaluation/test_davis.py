"""Scores of label maps by DAVIS rules."""

import numpy as np
import pytest

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation.davis import find_first_ids, plan_sequence, score_labels
from aotlab.evaluation.rules import RULES
from aotlab.utils.errors import InputError
from tests.drawn_clips import draw_box, write_masks
from tests.evaluation.scoring import score_sequence
from tests.golden.references import golden_arrays


def draw_moving_box(frames=4, height=24, width=32):
    """T×H×W ids with one object that moves right."""
    return np.stack([draw_box((height, width), (8, 16), (4 + index, 14 + index)) for index in range(frames)])


def score_folder(truth, results):
    """Score a folder against annotations, as DAVIS 2017 does."""
    return score_sequence(plan_sequence(Video("a", frames=(), annotations=tuple(truth))), results)


def write_sequence(folder, labels):
    return sorted(write_masks(folder, labels).iterdir())


def test_folders_score_as_arrays_do(tmp_path):
    arrays = golden_arrays("metrics/sequences")
    truth, prediction = arrays["missing_ids/gt"], arrays["missing_ids/pred"]
    paths = write_sequence(tmp_path / "truth", truth)
    write_sequence(tmp_path / "found", prediction)
    from_files, from_arrays = score_folder(paths[::-1], tmp_path / "found"), score_labels(truth, prediction)
    np.testing.assert_array_equal(from_files.values, from_arrays.values)


def test_first_and_last_frame_and_extra_files_are_not_read(tmp_path):
    labels = draw_moving_box()
    paths = write_sequence(tmp_path / "truth", labels)
    write_sequence(tmp_path / "found", labels)
    for name in ("00000.png", "00003.png", "notes.png"):
        (tmp_path / "found" / name).write_bytes(b"not an image")
    assert score_folder(paths, tmp_path / "found").region.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("rules", ["folder", "folder_new_objects"])
def test_255_is_an_object_in_masks_of_16_bits(tmp_path, rules):
    labels = draw_moving_box().astype(np.uint16) * 255
    labels[:, 18:22, 4:10] = 300
    paths = write_sequence(tmp_path / "truth", labels)
    write_sequence(tmp_path / "found", labels)
    plan = RULES[rules].plan(Video("a", frames=(), annotations=tuple(paths)))
    assert [item.object_id for item in plan.objects] == [255, 300]
    np.testing.assert_array_equal(score_sequence(plan, tmp_path / "found").region, 1)
    assert find_first_ids(labels[0], "a")[-1] == 300
    merged = plan_sequence(Video("a", frames=(), annotations=tuple(paths), merge_ids=True))
    assert score_sequence(merged, tmp_path / "found").region.tolist() == [[1.0, 1.0]]
    write_sequence(tmp_path / "found", labels == 255)
    assert (score_sequence(merged, tmp_path / "found").region < 1).all()


@pytest.mark.parametrize("rules", ["folder", "folder_new_objects"])
def test_black_and_white_annotations_have_one_object(tmp_path, rules):
    labels = draw_moving_box()
    paths = write_sequence(tmp_path / "truth", labels * 255)
    write_sequence(tmp_path / "found", labels)
    plan = RULES[rules].plan(Video("a", frames=(), annotations=tuple(paths), merge_ids=True))
    assert score_sequence(plan, tmp_path / "found").region.tolist() == [[1, 1]]


def test_merged_object_may_fill_the_first_frame(tmp_path):
    labels = draw_moving_box()
    labels[0] = 1
    paths = write_sequence(tmp_path / "truth", labels * 255)
    write_sequence(tmp_path / "found", labels)
    plan = plan_sequence(Video("a", frames=(), annotations=tuple(paths), merge_ids=True))
    assert score_sequence(plan, tmp_path / "found").region.tolist() == [[1, 1]]


def test_void_of_merged_objects_is_background(tmp_path):
    truth = draw_moving_box()
    truth[:, :4] = 255
    paths = write_sequence(tmp_path / "truth", truth)
    write_sequence(tmp_path / "found", draw_moving_box())
    plan = plan_sequence(Video("a", frames=(), annotations=tuple(paths), merge_ids=True))
    assert score_sequence(plan, tmp_path / "found").region.tolist() == [[1, 1]]


def test_labels_without_object_rejected():
    empty = draw_moving_box(4) * 0
    with pytest.raises(InputError, match="no object"):
        score_labels(empty, empty)


@pytest.mark.parametrize("object_id", [2, 255])
def test_id_above_the_number_of_objects_rejected(object_id, tmp_path):
    prediction = draw_moving_box()
    prediction[2, 0, 0] = object_id
    paths = write_sequence(tmp_path / "truth", draw_moving_box())
    write_sequence(tmp_path / "found", prediction)
    with pytest.raises(InputError, match=rf"00002\.png: id {object_id}, .* first annotation are 1"):
        score_folder(paths, tmp_path / "found")


def test_error_names_the_prediction_of_another_size(tmp_path):
    paths = write_sequence(tmp_path / "truth", draw_moving_box())
    write_sequence(tmp_path / "found", draw_moving_box(height=48, width=64))
    with pytest.raises(InputError, match=r"00001\.png: 64×48, but its annotation is 32×24"):
        score_folder(paths, tmp_path / "found")
