"""One video whose tracking was interrupted, run again."""

import os
import signal

import pytest

from aotlab.engine.video import resume
from tests.tools.track.runs import Repeater, run

WRITE = ["--write", "masks,overlay,review,coco,objects,mattes"]


@pytest.fixture
def interrupted(video, mask, tmp_path, monkeypatch):
    """A run that Ctrl-C stopped on its third frame."""
    original = Repeater.step

    def step(self, frame, mask=None):
        if frame[0, 0, 2] == 42:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, frame, mask)

    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", step)
        assert run(video, tmp_path, mask, more=WRITE) == 130
    return tmp_path / "out"


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def test_the_same_command_resumes_and_leaves_what_an_undisturbed_run_leaves(
    interrupted, video, mask, tmp_path, tracker, capsys
):
    steps = tracker.steps
    assert run(video, tmp_path, mask, more=WRITE) == 0
    assert tracker.steps - steps == 1
    assert "4 frames, 3 of them before" in capsys.readouterr().out
    calm = tmp_path / "calm"
    assert run(video, calm, mask, more=WRITE) == 0
    assert files(interrupted) == files(calm / "out")
    assert not (interrupted / resume.STATE).exists()


@pytest.mark.parametrize(
    "more", [["--restart"], ["--write", "masks,vp9", "--force"], ["--end", "3", "--force"]]
)
def test_restart_and_other_inputs_start_with_the_first_frame(
    interrupted, video, mask, tmp_path, tracker, more
):
    steps = tracker.steps
    assert run(video, tmp_path, mask, more=[*WRITE, *more]) == 0
    assert tracker.steps - steps == 4


def test_a_finished_run_is_not_repeated_unless_asked_to(video, mask, tmp_path, tracker, capsys):
    assert run(video, tmp_path, mask) == 0
    assert run(video, tmp_path, mask) == 0
    assert "already tracked" in capsys.readouterr().out
    assert tracker.loads == 1
    (tmp_path / "out" / "overlay.mp4").unlink()
    assert run(video, tmp_path, mask) == 0
    assert run(video, tmp_path, mask, more=["--restart"]) == 0
    assert tracker.loads == 3


def test_other_inputs_do_not_replace_results_unless_asked_to(interrupted, video, mask, tmp_path, capsys):
    assert run(video, tmp_path, mask, more=[*WRITE, "memory.every=9"]) == 2
    assert "holds masks of another run" in capsys.readouterr().err


def test_progress_is_saved_while_tracking(request, video, mask, tmp_path, tracker, monkeypatch):
    monkeypatch.setattr(resume, "SAVE_EVERY", 0)
    monkeypatch.setattr(resume.Progress, "stopped", lambda *_: None)  # as if it had been killed
    request.getfixturevalue("interrupted")
    steps = tracker.steps
    assert run(video, tmp_path, mask, more=WRITE) == 0
    assert tracker.steps - steps == 1


def test_damaged_progress_is_one_sentence(interrupted, video, mask, tmp_path, capsys):
    (interrupted / resume.STATE).write_bytes(b"PK damaged")
    assert run(video, tmp_path, mask, more=WRITE) == 2
    assert "--restart tracks it from the first frame" in capsys.readouterr().err
    assert run(video, tmp_path, mask, more=[*WRITE, "--restart"]) == 0
