"""Comparison of two systems: differences, intervals, wins and losses."""

import numpy as np
import pytest

from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.comparison import (
    bootstrap_mean,
    compare_systems,
    format_differences,
    format_means,
    select_columns,
)


def make_table(**sequences):
    """Return a table of J and F; each object is a pair."""
    return {
        "sequences": {
            name: {"objects": {str(number): dict(zip("JF", pair, strict=True)) for number, pair in enumerate(pairs, 1)}}
            for name, pairs in sequences.items()
        }
    }


DAVIS = find_benchmark("davis2017")
FIRST = make_table(bear=[(50.0, 60.0), (70.0, 80.0)], camel=[(90.0, 90.0)], dog=[(10.0, 10.0)])
SECOND = make_table(bear=[(54.0, 60.0), (72.0, 84.0)], camel=[(89.0, 90.0)], dog=[(10.0, 10.0)])


def test_differences_are_per_object_and_sequence():
    content = compare_systems([FIRST], [SECOND], ["J", "F"])
    assert content["sequences"]["bear"] == {
        "J": 3.0, "F": 2.0, "objects": {"1": {"J": 4.0, "F": 0.0}, "2": {"J": 2.0, "F": 4.0}},
    }  # fmt: skip
    entry = content["columns"]["J"]
    assert (entry["first"], entry["second"], entry["difference"]) == (55.0, 56.25, 1.25)
    low, high = entry["interval"]
    assert -1 <= low < 1.25 < high <= 3
    assert (content["better"], content["worse"], content["equal"]) == (1, 1, 1)


@pytest.mark.parametrize(("count", "words"), [(9, "9 sequences: too few for a reliable interval"), (10, None)])
def test_few_sequences_warn_of_the_interval(count, words):
    table = make_table(**{f"s{index}": [(50.0, 60.0)] for index in range(count)})
    content = compare_systems([table], [table], ["J"])
    assert content["warning"] == words
    assert (f"warning: {words}" in format_differences(content, ["J"])) == (words is not None)


def test_runs_of_a_system_are_averaged():
    other = make_table(bear=[(58.0, 60.0), (72.0, 84.0)], camel=[(91.0, 90.0)], dog=[(10.0, 10.0)])
    content = compare_systems([FIRST, FIRST], [SECOND, other], ["J"])
    assert content["sequences"]["bear"]["objects"] == {"1": {"J": 6.0}, "2": {"J": 2.0}}
    assert (content["better"], content["worse"], content["equal"]) == (1, 0, 2)
    assert content["columns"]["J"]["second_runs"] == [56.25, 57.75]
    assert format_means(DAVIS, content).splitlines()[2].split()[1:7] == ["55.0", "±", "0.0", "57.0", "±", "1.1"]


def test_objects_without_a_score_are_left_out():
    for table in (
        first := make_table(a=[(1.0, 2.0)], b=[(3.0, 4.0)]),
        second := make_table(a=[(2.0, 2.0)], b=[(3.0, 5.0)]),
    ):
        del table["sequences"]["b"]["objects"]["1"]["J"]
    content = compare_systems([first], [second], ["J", "F"])
    assert content["columns"]["J"]["difference"] == 1.0
    assert content["columns"]["J"]["interval"] is None  # of one sequence
    assert content["sequences"]["b"] == {"F": 1.0, "objects": {"1": {"F": 1.0}}}
    assert (content["better"], content["worse"], content["equal"]) == (1, 0, 0)


def test_interval_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(3)
    groups = [random.normal(1, 4, random.integers(1, 6)).tolist() for _ in range(40)]
    sums, counts = np.array([[sum(group), len(group)] for group in groups]).T

    def mean(sums, counts, axis):
        return sums.sum(axis) / counts.sum(axis)

    reference = stats.bootstrap((sums, counts), mean, paired=True, method="percentile", n_resamples=20_000)
    np.testing.assert_allclose(bootstrap_mean(groups), reference.confidence_interval, atol=0.08)


def test_equal_systems_have_an_empty_interval():
    content = compare_systems([FIRST], [FIRST], ["J"])
    entry = content["columns"]["J"]
    assert (entry["first"], entry["second"], entry["difference"], entry["interval"]) == (55.0, 55.0, 0.0, [0.0, 0.0])
    assert content["equal"] == 3


def test_comparison_is_printed_worst_first():
    content = compare_systems([FIRST], [SECOND], ["J", "F"])
    text = format_differences(content, ["J", "F"])
    lines = [line.split() for line in text.splitlines()]
    assert format_means(DAVIS, content).splitlines()[2].split()[:4] == ["J", "55.0", "56.2", "+1.2"]
    assert "the second is better on 1, worse on 1, equal on 1 of 3 sequences" in text
    assert lines[-5:] == [
        ["camel", "1", "-1.0", "+0.0"], ["dog", "1", "+0.0", "+0.0"],
        ["bear", "1", "+4.0", "+0.0"], ["bear", "2", "+2.0", "+4.0"], ["bear", "mean", "+3.0", "+2.0"],
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "columns"), [
    ("davis2017", ["J&F", "J", "F"]), ("lvosv2", ["J&F", "J", "F"]), ("vost", ["J", "J_tr"]),
])  # fmt: skip
def test_compared_columns_are_those_of_j_and_f(name, columns):
    assert select_columns(find_benchmark(name)) == columns
