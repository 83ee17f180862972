"""Groups, text and CSV of the benchmarks' tables."""

import numpy as np

from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.evaluation.tables import make_scores_table, worst_objects


def make_scores(*values, seen=()):
    """Objects that score the same in J and F on four frames."""
    region = np.repeat(np.array(values)[:, None], 4, axis=1)
    return SequenceScores(np.stack([region] * 2), ids=tuple(range(1, len(values) + 1)), seen=seen)


def test_worst_objects_come_first_and_ties_by_name():
    table = make_scores_table({"b": make_scores(0.5, 0.25), "a": make_scores(1.0, 0.5)})
    assert worst_objects(table, 3, "J") == [("b", "2", 25.0), ("a", "2", 50.0), ("b", "1", 50.0)]
