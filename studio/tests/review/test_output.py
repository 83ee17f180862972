"""The output "review": lost objects, frames to check, disagreement of directions, thumbnail."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from aotlab import LostFlags, TrackedFrame, open_frames
from aotlab_studio.review.checks import find_checks
from aotlab_studio.review.output import ReviewFile, format_review, review_video
from aotlab_studio.review.scores import Score, Signals, measure_scores, merge_scores, read_scores

SEEN, GONE = Score(0.95, 100, 10.0, 10.0), Score(0.0, 0, 0.0, 0.0)


@dataclass
class Result:
    """What outputs read of a prediction."""

    labels: np.ndarray
    confidence: dict[int, float]
    disagreement: dict[int, float] = field(default_factory=dict)

    @property
    def ids(self):
        return tuple(self.confidence)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "clip").mkdir()
    for index in range(8):
        Image.new("RGB", (40, 30)).save(tmp_path / "clip" / f"{index + 100}.png")
    return open_frames(tmp_path / "clip")


def test_review_lists_lost_objects_and_frames(source, tmp_path):
    output = ReviewFile(tmp_path / "out" / "review.json", source)
    output.class_names[4] = "fish"
    output.frame_number = lambda index: index + 100
    for index, frame in enumerate(source):
        labels = np.zeros((30, 40), np.uint8)
        labels[5:15, 5:15] = 4 * (index < 3)
        result = Result(labels, {4: 0.9 if index < 3 else 0.0})
        output.write(str(index), TrackedFrame(index, frame, result, source.time(index)))
    output.finish()
    review = json.loads((tmp_path / "out" / "review.json").read_text())
    assert review["objects"][0]["lost_on"] == [[3, 7]]
    assert review["objects"][0]["class_name"] == "fish"
    assert {check["reason"] for check in review["check"]} == {"lost", "area"}
    assert "warning: object 4 is lost on frames 103 to 107" in output.summary()
    assert "frame 107: object 4 (lost, 1.00)" in output.summary()
    assert Image.open(tmp_path / "out" / "thumbnail.jpg").size == (3 * 240 + 2 * 8, 180)


def test_disagreement_of_directions_is_averaged():
    labels = np.ones((4, 4), int)
    scores = {
        index: read_scores(measure_scores(labels, [1, 2], {1: 0.9}, {1: value} if value else {}))
        for index, value in enumerate([0.2, 0.4, None])
    }
    review = review_video("clip", scores)
    assert [item["disagreement"] for item in review["objects"]] == [pytest.approx(0.3), None]
    assert "disagreement" in format_review(review)[0]


@pytest.mark.parametrize(
    ("reason", "after"),
    [
        ("unsure", Score(0.5, 100, 10.0, 10.0)),
        ("area", Score(0.95, 20, 10.0, 10.0)),
        ("jump", Score(0.95, 100, 30.0, 10.0)),
        ("disagreement", Score(0.95, 100, 10.0, 10.0, 0.5)),
        ("fragment", Score(0.95, 100, 10.0, 10.0, fragment=0.2)),
        ("contact", Score(0.95, 100, 10.0, 10.0, contact=0.5)),
        ("flip", Score(0.95, 100, 10.0, 10.0, flip=0.2)),
    ],
)
def test_check_names_its_reason_unless_the_mask_was_drawn(reason, after):
    scores = {0: {1: SEEN}, 1: {1: after}}
    assert [(check.frame, check.reason) for check in find_checks(scores)] == [(1, reason)]
    assert find_checks(scores, {1: frozenset({1})}) == []


def test_neighboring_checks_of_one_reason_are_merged():
    scores = {index: {1: Score(0.5 - index / 100, 100, 10.0, 10.0)} for index in range(4)}
    assert [check.frame for check in find_checks(scores)] == [3]


def test_lost_object_is_checked_once():
    scores = {index: {1: SEEN if index < 2 else GONE} for index in range(20)}
    lost = [check.frame for check in find_checks(scores) if check.reason == "lost"]
    assert lost == [1 + LostFlags.FRAMES]


def test_scores_survive_storage():
    labels = np.zeros((6, 8), int)
    labels[1:3, 2:6] = 5
    stored = measure_scores(labels, [5], {5: 0.75}, {5: 0.25}, {5: Signals(0.1, 0.2, 0.3)})
    assert read_scores(json.loads(json.dumps(stored))) == {5: Score(0.75, 8, 3.5, 1.5, 0.25, 0.1, 0.2, 0.3)}


@pytest.mark.parametrize(
    "stored", [5, {"x": [1] * 5}, {"1": [1]}, {"1": ["a"] * 5}, {"1": [1e999] * 5}, {"1": None}]
)
def test_invalid_stored_scores_are_skipped(stored):
    assert read_scores(stored) == {}


def test_scores_of_merged_objects_are_weighted_by_area():
    merged = merge_scores(
        {1: Score(1.0, 30, 0.0, 0.0), 2: Score(0.5, 10, 4.0, 8.0), 3: SEEN}, {1: 1, 2: 1, 3: 0}.get
    )
    assert merged == {1: Score(0.875, 40, 1.0, 2.0)}
