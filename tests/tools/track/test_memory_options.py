"""The track command's options for long-term memory."""

import pytest

from aotlab.tools.track import main
from tests.tools.track.runs import refused, run


def test_a_model_that_remembers_all_is_bounded_unless_told_otherwise(video, mask, tmp_path, tracker):
    options = ["--no-overlay", "--force", "--config", "aotl"]
    for more, overrides in (
        ([], []),  # `Tracker.from_checkpoint` bounds memory by itself
        (["--memory", "every_nth"], ["memory.policy=every_nth"]),
        (["memory.policy=every_nth"], ["memory.policy=every_nth"]),
        (["--memory-frames", "4"], ["memory.frames=4", "memory.newest=null"]),
        (["--size", "fast"], ["input.scale=0.6"]),
        (
            ["--memory", "bounded_fifo", "--memory-frames", "4"],
            ["memory.policy=bounded_fifo", "memory.frames=4", "memory.newest=null"],
        ),
    ):
        assert run(video, tmp_path, mask, more=[*options, *more]) == 0
        assert tracker.overrides == overrides
    assert tracker.length == 4


def test_the_settings_shown_are_those_of_a_bounded_tracker(capsys):
    assert main(["--config", "aotl", "--print-config"]) == 0
    assert "policy: restricted" in capsys.readouterr().out
    assert main(["--config", "aotl", "--print-config", "--memory", "every_nth"]) == 0
    assert "policy: every_nth" in capsys.readouterr().out


def test_a_budget_becomes_as_many_frames_as_fit(video, mask, tmp_path, tracker):
    options = ["--no-overlay", "--force", "--config", "aotl", "memory.every=1", "--memory-budget"]
    # 3×4 tokens of 256 keys and 256 values in three blocks
    each = 3 * 4 * 512 * 4 * 3
    assert run(video, tmp_path, mask, more=[*options, f"{3 * each + 5}B"]) == 0
    assert tracker.overrides[-1] == "memory.frames=3"
    assert run(video, tmp_path, mask, more=[*options, "2GB"]) == 0
    assert tracker.overrides[-1] == "memory.frames=6"  # the video has no more to give


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--config", "aott", "--memory-frames", "4"],
            ["--memory-frames", "first_frame", "--memory", "restricted"],
        ),
        (["--config", "aott", "--memory-budget", "1GB"], ["--memory-budget", "first_frame"]),
        (["--config", "aotl", "--memory-budget", "9KB"], ["--memory-budget", "too little", "0.1 MB"]),
        (["--memory", "all"], ["memory.policy", "every_nth", "restricted", "all"]),
        (["--memory", "restricted", "--memory-frames", "0"], ["memory.frames", "at least 1"]),
    ],
)
def test_memory_options_that_make_no_sense_are_refused(
    video, mask, tmp_path, capsys, tracker, options, words
):
    line = refused(capsys, tracker, run(video, tmp_path, mask, more=options))
    assert all(word in line for word in words)


@pytest.mark.parametrize(
    "options", [["--memory-budget", "2"], ["--memory-budget", "1GB", "--memory-frames", "4"]]
)
def test_memory_options_that_cannot_be_read_end_with_status_2(video, mask, tmp_path, capsys, options):
    assert run(video, tmp_path, mask, more=options) == 2
    assert "--memory-" in capsys.readouterr().err
