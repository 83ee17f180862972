"""The framework replays the recorded cases, as the runtime does in test_standalone.py and the page in its tests."""

import pytest

from runtime.tests.cases import assert_equal_labels, read_cases, replay_tracking
from runtime.tests.exports import configure, segment_with_pytorch

CASES = read_cases()


@pytest.mark.parametrize("name", CASES["tracking"])
def test_framework_replays_recorded_labels(exported, name):
    tracker, case = exported[2], CASES["tracking"][name]
    tracker = configure(tracker.model, tracker.config, case["memory"])
    assert_equal_labels(replay_tracking(tracker, case, CASES["frames"]), case["labels"])


@pytest.mark.parametrize("name", CASES["prompts"])
def test_framework_replays_recorded_prompts(exported, name):
    case, prompts = CASES["prompts"][name], exported[2].segmenter.load()
    found = segment_with_pytorch(prompts, CASES["prompt_frame"], case, case["keep"])
    assert_equal_labels(found, case["segmented"])
