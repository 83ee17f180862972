"""Mean, recall and decay of per-frame values, and the order of tables."""

import numpy as np
import pytest

from aotlab.evaluation.sequence_scores import ScoredObject, SequenceScores
from aotlab.evaluation.tables import (
    decay,
    make_scores_table,
    measure_statistics,
    nanmean,
    recall,
    worst_objects,
)
from tests.shared import golden_arrays


@pytest.mark.parametrize("measure", [nanmean, recall, decay])
def test_statistics_equal_the_reference(measure):
    golden = golden_arrays("metrics/statistics")
    for index, wanted in enumerate(golden[measure.__name__.removeprefix("nan")]):
        # float64 sums in another order: 1e-12
        assert measure(golden[f"v{index:02d}"]) == pytest.approx(wanted, abs=1e-12, nan_ok=True), (
            f"v{index:02d}"
        )


def test_statistics_of_no_frames_are_nan():
    assert np.isnan(list(measure_statistics("J", np.array([])).values())).all()


def make_scores(*values, seen=()):
    """Objects that score the same in J and F on four frames."""
    region = np.repeat(np.array(values)[:, None], 4, axis=1)
    groups = seen or [None] * len(values)
    objects = tuple(ScoredObject(index, group) for index, group in enumerate(groups, start=1))
    return SequenceScores(np.stack([region] * 2), objects)


def test_worst_objects_come_first_and_ties_by_name():
    table = make_scores_table({"b": make_scores(0.5, 0.25), "a": make_scores(1.0, 0.5)})
    assert worst_objects(table, 3, "J") == [("b", "2", 25.0), ("a", "2", 50.0), ("b", "1", 50.0)]
