"""Evaluations killed between two files and at random moments, and run again: equal results, no temporary files."""

import json

import pytest

from aotlab_testing.files import read_results
from aotlab_testing.kills import kill_at_random_moments, run_killed_between_files, time_run
from aotlab_testing.miniatures import make_mose

pytestmark = pytest.mark.slow


@pytest.fixture
def arguments(tmp_path):
    make_mose(tmp_path / "mose")
    return ["--dataset", "mose", "--root", tmp_path / "mose", "--split", "valid"]


def test_killed_evaluation_is_the_same(tmp_path, arguments):
    run_killed_between_files("aotlab.tools.eval", tmp_path, *arguments)
    expected, killed = (read_results(tmp_path / name) for name in ("undisturbed", "killed"))
    assert len(expected) >= 9
    assert sorted(expected) == sorted(killed)
    # records and scores hold the run's seconds
    assert all(killed[name] == content for name, content in expected.items() if not name.endswith(("json", "jsonl")))
    expected_scores, killed_scores = (json.loads(files["scores.json"]) for files in (expected, killed))
    other = {"fps": None, "provenance": None}
    assert expected_scores | other == killed_scores | other


def test_evaluation_killed_at_random_moments_is_the_same(tmp_path, arguments):
    seconds = time_run("eval", *arguments, "--output", tmp_path / "whole")
    command = ("eval", *arguments, "--output", tmp_path / "killed")
    for _ in kill_at_random_moments(seconds, *command, restart=tmp_path / "killed"):
        pass
    time_run(*command)
    found, expected = (read_results(tmp_path / name) for name in ("killed", "whole"))
    timed = ("scores.json", "sequences.jsonl")
    assert found.keys() == expected.keys()
    assert all(found[name] == content for name, content in expected.items() if name not in timed)
