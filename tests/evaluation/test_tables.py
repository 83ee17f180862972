"""Groups, text and CSV of the benchmarks' tables."""

import csv
import io
import json

import numpy as np
import pytest

from aotlab.evaluation import lvos, youtube_vos
from aotlab.evaluation.rules import RULES
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.evaluation.tables import csv_text, format_table, scores_table, worst_objects


def scores_of(*values, seen=()):
    """Objects that score the same in J and F on four frames."""
    region = np.repeat(np.array(values)[:, None], 4, axis=1)
    return SequenceScores(np.stack([region] * 2), ids=tuple(range(1, len(values) + 1)), seen=seen)


@pytest.mark.parametrize(
    ("layout", "column"), [(youtube_vos.TABLE, "overall"), (lvos.TABLE, "J&F")], ids=["youtube_vos", "lvos"]
)
def test_groups_weigh_the_same_and_must_both_be_there(layout, column):
    table = scores_table({"a": scores_of(0.9, 0.7, 0.8, 0.4, seen=(True, True, True, False))}, layout)
    assert (table["J_seen"], table["J_unseen"], table[column]) == pytest.approx((80, 40, 60))
    table = scores_table({"a": scores_of(0.9, seen=(True,))}, layout)
    assert (table["J_unseen"], table[column]) == (None, None)
    assert table["J_seen"] == pytest.approx(90)
    assert f"{column} -" in format_table(table, layout)
    json.dumps(table, allow_nan=False)


def test_lvos_without_a_list_of_unseen_videos_has_means_over_all():
    table = scores_table({"a": scores_of(0.9, 0.5, seen=(None, None))}, lvos.TABLE)
    assert {key: table[key] for key in table if key != "sequences"} == pytest.approx(
        {"J&F": 70, "J": 70, "F": 70, "V": 0}
    )


def test_visor_tells_unseen_kitchens_beside_all():
    layout = RULES["visor"].table
    table = scores_table({"a": scores_of(0.9, seen=(True,)), "b": scores_of(0.5, seen=(False,))}, layout)
    assert (table["J"], table["J_unseen"], table["J&F_unseen"]) == pytest.approx((70, 50, 50))
    assert scores_table({"a": scores_of(0.9)}, layout)["J_unseen"] is None


@pytest.mark.parametrize(("frames", "tail"), [(1, 1), (2, 1), (4, 1), (5, 2), (8, 2), (17, 5)])
def test_tail_of_vost_begins_at_three_quarters_rounded_down(frames, tail):
    region = np.zeros(frames)
    region[-tail:] = 1
    assert RULES["vost"].table.row(region, region)["J_tr"] == 100
    region[-tail] = 0
    assert RULES["vost"].table.row(region, region)["J_tr"] == pytest.approx(100 * (tail - 1) / tail)


def test_spread_of_lvos_is_the_root_of_a_rounded_variance():
    steady, changing = np.array([0.5, 0.51]), np.array([0.0, 1.0])
    # a variance of 0.000025 rounds to 0
    assert lvos.object_row(steady, steady)["V"] == 0
    assert lvos.object_row(changing, changing)["V"] == 50


def test_frames_that_do_not_count_for_an_object_are_left_out():
    region = np.array([[np.nan, np.nan, 0.5, 1.0]])
    table = scores_table({"a": SequenceScores(np.stack([region] * 2), ids=(7,))})
    assert list(table["sequences"]["a"]["objects"]) == ["7"]
    assert (table["J"], table["J-Recall"]) == (75, 50)


def test_csv_has_a_row_for_each_object_each_sequence_and_all():
    table = scores_table({"b": scores_of(0.25), "a": scores_of(0.5, 1.0)})
    rows = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [" ".join((row["sequence"], row["object"], row["J"])) for row in rows] == [
        "a 1 50.000", "a 2 100.000", "a mean 75.000", "b 1 25.000", "b mean 25.000", "all mean 58.333",
    ]  # fmt: skip


def test_worst_objects_come_first_and_ties_by_name():
    table = scores_table({"b": scores_of(0.5, 0.25), "a": scores_of(1.0, 0.5)})
    assert worst_objects(table, 3, "J") == [("b", "2", 25.0), ("a", "2", 50.0), ("b", "1", 50.0)]
