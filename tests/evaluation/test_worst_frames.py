"""The worst frames of all videos: one for each stretch, of one system or of two."""

import numpy as np
import pytest

from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.sequence_scores import ScoredObject, SequenceScores
from aotlab.evaluation.worst_frames import find_worst_frames, split_runs

NAN = float("nan")
DAVIS = find_benchmark("davis2017")


def make_scores(*objects, metrics=2):
    """Objects 1, 2, ... by their J in every frame, which is also their F."""
    frames = tuple(f"{index:02d}" for index in range(len(objects[0])))
    ids = tuple(ScoredObject(number) for number in range(1, len(objects) + 1))
    return SequenceScores(np.array([objects] * metrics, np.float64), ids, frames)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([90, 0, 5, 0, 90], [(1, 1, 3), (0, 0, 0), (4, 4, 4)]),
        ([50, 40, 30, 20], [(3, 2, 3), (1, 0, 1)]),
        ([NAN, 0, NAN, 0], [(1, 1, 1), (3, 3, 3)]),
        ([NAN], []),
    ],
)
def test_neighbors_that_are_about_as_bad_are_one_stretch(values, expected):
    assert list(split_runs(np.array(values, np.float64))) == expected


def test_worst_frames_are_of_all_videos_and_objects():
    run = {"b": make_scores([1, 0.5, 1], [0.9, 1, 0.1]), "a": make_scores([1, 1, 0.1])}
    frames = find_worst_frames(DAVIS, [[run]], 3)
    assert [(entry.sequence, entry.object_name, entry.frame) for entry in frames] == [
        ("a", "1", "02"), ("b", "2", "02"), ("b", "1", "01"),
    ]  # fmt: skip
    assert [entry.value for entry in frames] == pytest.approx([10, 10, 50])


def test_stretch_of_a_frame_is_named():
    (entry,) = find_worst_frames(DAVIS, [[{"a": make_scores([1, 0.1, 0, 0.1, 1])}]], 9)
    assert (entry.frame, entry.first, entry.last) == ("02", "01", "03")


def test_missing_and_perfect_frames_are_not_listed():
    scores = SequenceScores(np.array([[[1.0, 0.5, 0.0]]] * 2), (ScoredObject(3),), frames=("00", "01", ""))
    assert [entry.frame for entry in find_worst_frames(DAVIS, [[{"a": scores}]], 9)] == ["01"]


def test_frames_on_which_the_second_is_worse_are_listed():
    first, again = {"a": make_scores([0.5, 0.8, 0.2])}, {"a": make_scores([0.5, 0.6, 0.2])}
    second = {"a": make_scores([0.9, 0.3, 0.2]), "b": make_scores([0.0])}
    (entry,) = find_worst_frames(DAVIS, [[first, again], [second]], 9)
    assert (entry.sequence, entry.frame) == ("a", "01")
    assert entry.value == pytest.approx(-40)


def test_frames_are_ranked_without_the_measures_of_plugins():
    values = np.array([[[0.5, 0.4]], [[0.1, 0.9]]])
    run = {"a": SequenceScores(values, (ScoredObject(1),), ("00", "01"), metrics=("J", "mine"))}
    (entry,) = find_worst_frames(find_benchmark("vost"), [[run]], 9)
    assert (entry.frame, entry.first, entry.value) == ("01", "00", 40)


def test_rules_with_one_score_are_ranked_by_it():
    (entry,) = find_worst_frames(find_benchmark("vost"), [[{"a": make_scores([0.25, 1], metrics=1)}]], 9)
    assert entry.value == 25
