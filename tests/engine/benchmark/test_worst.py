"""Which frames stand for an object that was found badly."""

import numpy as np
import pytest

from aotlab.engine.benchmark.worst import pick_frames
from aotlab.evaluation.sequence_scores import SequenceScores


def scores_of(*region):
    """One object, id 3, by its J in every frame."""
    values = np.array([[region]] * 2)
    return SequenceScores(values, ids=(3,), frames=tuple(f"{index:02d}" for index in range(len(region))))


@pytest.mark.parametrize(
    ("worst", "wanted"),
    [(0, ["00", "03", "06", "09"]), (5, ["00", "03", "05", "09"]), (8, ["00", "03", "06", "08"])],
)
def test_frames_are_spread_and_the_worst_is_one_of_them(worst, wanted):
    region = [0.9] * 10
    region[worst] = 0.1
    assert pick_frames(scores_of(*region), 3, 4) == wanted


def test_frames_that_do_not_count_are_not_shown():
    nan = float("nan")
    assert pick_frames(scores_of(nan, 0.5, nan, 0.25), 3, 4) == ["01", "03"]


def test_frame_that_counts_without_being_there_has_no_image():
    values = np.array([[[0.5, 0.0]]] * 2)
    assert pick_frames(SequenceScores(values, ids=(3,), frames=("01", "")), 3, 4) == ["01"]
