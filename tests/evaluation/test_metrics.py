"""J and F of mask pairs; their mean, recall and decay over frames; and the order of tables."""

import numpy as np
import pytest

from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import LabelScorer
from aotlab.evaluation.metrics import crop_to_objects, measure_region_and_contour, region_similarity
from aotlab.evaluation.rows import compute_statistics
from aotlab.evaluation.sequence_scores import METRICS, ScoredObject, ScoringPlan, SequenceScores, join_scores
from aotlab.evaluation.tables import format_table, make_scores_table
from tests.golden.references import golden_arrays


def test_measures_equal_the_reference():
    pairs = golden_arrays("metrics/pairs")
    for index, name in enumerate(pairs["name"]):
        size = int(pairs["height"][index]), int(pairs["width"][index])
        truth, prediction, void = (
            np.unpackbits(pairs[f"{kind}_{index:03d}"], count=size[0] * size[1]).reshape(size).astype(bool)
            for kind in ("gt", "pr", "void" if pairs["has_void"][index] else "gt")
        )
        kept = ~void if pairs["has_void"][index] else True
        region, contour = measure_region_and_contour(*crop_to_objects(truth & kept, prediction & kept), size)
        # one division of the same two integers: no rounding can differ
        assert region == pairs["J"][index], name
        # integer counts, then four float64 operations: 1e-12 leaves room for their order alone
        assert contour == pytest.approx(pairs["F"][index], abs=1e-12), name


def test_region_similarity_takes_other_numbers_and_empty_masks():
    mask, other = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    mask[:2], other[:3] = 255, 1
    assert region_similarity(mask, other) == pytest.approx(2 / 3)
    assert region_similarity(mask * 0, mask * 0) == 1


def test_statistics_equal_the_reference():
    golden = golden_arrays("metrics/statistics")
    for index, expected in enumerate(zip(golden["mean"], golden["recall"], golden["decay"], strict=True)):
        values = golden[f"v{index:02d}"]
        if not np.isnan(values).any():  # frames that do not count are left out
            # float64 sums in another order: 1e-10 percent
            row = dict(zip(("J", "J-Recall", "J-Decay"), 100 * np.array(expected), strict=True))
            assert compute_statistics("J", values) == pytest.approx(row, abs=1e-10), index


def test_missing_frames_count_as_zero_for_their_object():
    objects = ScoredObject(1, missing_frames=2), ScoredObject(2, missing_frames=1)
    plan = ScoringPlan("a", (), objects, LabelScorer((1, 2)))
    scores = join_scores(plan, [(np.ones((2, 2)), set())], METRICS)
    np.testing.assert_array_equal(scores.region, [[1, 0, 0], [1, 0, np.nan]])


def test_summary_is_shown_if_it_differs_from_the_mean_of_objects():
    scores = {"a": SequenceScores(np.full((2, 1, 4), 0.5), (ScoredObject(1, seen_in_training=True),))}
    davis, youtube_vos = map(find_benchmark, ("davis2017", "youtubevos2019"))
    assert format_table(make_scores_table(davis, scores), davis.columns)[1] == ""
    _, summary = format_table(make_scores_table(youtube_vos, scores), youtube_vos.columns)
    assert summary == "overall -  J_seen 50.0  F_seen 50.0  J_unseen -  F_unseen -"
