"""Rules of MOSE v2, compared with cases worked out by hand and a plain evaluator of whole frames."""

import math

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import ObjectInfo, Video
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.metrics import crop_to_objects
from aotlab.evaluation.tables import format_table, make_scores_table
from aotlab_testing.drawn_clips import draw_disc, write_masks
from tests.evaluation.scoring import brute_force_f, score_sequence

MOSEV2 = find_benchmark("mosev2")
SIZES = [(75, 100), (150, 200), (90, 161), (200, 333), (40, 60)]
"""Of frames; the first two have a tolerance without a fraction, and the last one below a pixel."""


def reference_measures(truth, prediction):
    """J, F_dot, F and absence as the published scorer says, on whole frames."""
    union, common = (truth | prediction).sum(), (truth & prediction).sum()
    region = 1.0 if union == 0 else min(1.0, (common + 1) / (union + 1))
    widest = 0.008 * float(np.linalg.norm(truth.shape))
    tolerance = math.ceil(0.1 * math.sqrt(truth.sum())) if truth.any() else math.inf
    if tolerance < widest:
        narrow, wide = (brute_force_f(truth, prediction, radius) for radius in (tolerance, math.ceil(widest)))
        return [region, narrow, wide, 0.0]
    full = brute_force_f(truth, prediction, max(1, widest))
    return [region, full, full, float(not truth.any())]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_measures_equal_plain_evaluator(size):
    rng = np.random.default_rng(size[1])
    truth, prediction = (np.zeros(size, dtype=np.uint8) for _ in range(2))
    # the last object's tolerance is the smallest one above F's, unless it is cut off at a border
    radii = 0.5, 2.0, 5.0, size[0] / 5, size[0] / 3, 5.64 * (math.floor(0.008 * math.hypot(*size)) + 0.5)
    for object_id, radius in enumerate(radii, 1):
        row, column = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        if object_id != 2:
            truth[draw_disc(size, row, column, radius)] = object_id
        shift = rng.integers(-3, 4, 2)
        if object_id != 4:
            prediction[draw_disc(size, row + shift[0], column + shift[1], radius + 1)] = object_id
    for object_id in range(1, 8):
        true, found = truth == object_id, prediction == object_id
        expected = reference_measures(true, found)
        values = MOSEV2.measure(*crop_to_objects(true, found), size)
        assert values == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("side", "shift", "matches"), [(20, 2, True), (20, 3, False), (21, 3, True)])
def test_tolerance_is_a_tenth_of_the_side_rounded_up(side, shift, matches):
    truth = np.zeros((200, 333), bool)
    truth[50 : 50 + side, 50 : 50 + side] = True
    _, adaptive, *_ = MOSEV2.measure(truth, np.roll(truth, shift, axis=1), truth.shape)
    assert bool(adaptive == 1) is matches


def test_runs_of_absence_have_equal_weight():
    absent = np.array([1, 0, 0, 1, 0, 1, 1, 1, 0], dtype=float)
    region = np.array([9, 9, 9, 0.2, 0.4, 0.6, 0.6, 0.9, 0.8])  # at the start: gone, but from nowhere
    row = MOSEV2.make_row(region, region / 2, region / 4, absent)
    assert row["J&F_d"] == pytest.approx(75 * (0.2 + 0.7) / 2)
    # first seen after an empty start: also a return
    assert row["J&F_r"] == pytest.approx(75 * (9 + 0.4 + 0.8) / 3)


def test_permanent_objects_have_no_reappearance_score():
    row = MOSEV2.make_row(np.full(4, 0.5), np.full(4, 0.3), np.full(4, 0.2), np.zeros(4))
    assert row == pytest.approx({"J&F_dot": 40, "J": 50, "F_dot": 30, "J&F": 35, "F": 20})
    rows = [row, {**row, "J&F_d": 10.0, "J&F_r": 30.0}]
    assert MOSEV2.summarize(rows, [None, None])["J&F_d"] == 10
    assert MOSEV2.summarize(rows[:1], [None])["J&F_r"] is None


def test_metadata_objects_count_on_inner_frames(tmp_path):
    labels = np.zeros((6, 40, 60), dtype=np.uint8)
    labels[:, 10:20, 10:20] = 3
    labels[3:, 25:35, 30:50] = 7  # not in the first frame
    truth = tuple(sorted(write_masks(tmp_path / "truth", labels).iterdir()))
    write_masks(tmp_path / "results", labels)
    stems = tuple(path.stem for path in truth)
    video = Video("a", (), annotations=truth, objects=(ObjectInfo(3, stems), ObjectInfo(7, stems)))
    scores = score_sequence(MOSEV2.plan(video), tmp_path / "results", MOSEV2.metrics)
    assert (scores.ids, scores.frames) == ((3, 7), stems[1:-1])
    assert scores.values.shape == (4, 2, 4)
    assert scores.values[3].tolist() == [[0, 0, 0, 0], [1, 1, 0, 0]]
    table = make_scores_table(MOSEV2, {"a": scores})
    assert [table[column] for column in MOSEV2.columns] == [100, 100, 100, None, 100, 100, 100]
    assert "-" in format_table(table, MOSEV2.columns)[0].splitlines()[2]
    assert [item.object_id for item in MOSEV2.plan(Video("a", (), annotations=truth)).objects] == [3]
