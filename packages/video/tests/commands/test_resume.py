"""Runs of ``aotlab track`` stopped by a signal, and resumed."""

import signal
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from aotlab.media.masks import read_mask
from aotlab.utils.errors import InputError
from aotlab_testing.files import read_results
from aotlab_testing.processes import wait_until
from aotlab_testing.video.runs import NAMES, WRITE, Repeater, interrupt, read_largest_ids, track
from aotlab_video.runs import built_in_outputs, loop, store
from aotlab_video.runs.store import STATE_FILE, Results
from aotlab_video.sources.video import open_frames

pytestmark = pytest.mark.usefixtures("repeater")


def test_run_without_a_checkpoint_does_not_claim_to_resume(video, mask, tmp_path, monkeypatch, capsys):
    save = Mock(side_effect=InputError("no space left"))
    monkeypatch.setattr(loop, "save_state", save)
    interrupt(monkeypatch, video, tmp_path, mask, args=WRITE)
    assert save.called
    assert "the same command resumes" not in capsys.readouterr().err


@pytest.fixture
def interrupted_run(request, video, mask, tmp_path, monkeypatch, capsys):
    """Output folder of a run that a signal, by default Ctrl-C, stopped on its third frame."""
    number = getattr(request, "param", signal.SIGINT)
    interrupt(monkeypatch, video, tmp_path, mask, args=WRITE, number=number)
    assert "hold the first 3 frames; the same command resumes" in capsys.readouterr().err
    return tmp_path / "out"


@pytest.mark.parametrize("args", [["--realtime", "--source", "fps=2"], ["--both-directions"]])
def test_run_that_needs_all_frames_does_not_offer_to_resume(video, mask, tmp_path, monkeypatch, capsys, args):
    interrupt(monkeypatch, video, tmp_path, mask, args=args)
    assert "interrupted: " in (error := capsys.readouterr().err)
    assert "resumes" not in error


def count_steps(video, tmp_path, mask, *args):
    """Run, which has to succeed; return the number of frames that were tracked."""
    before = Repeater.steps
    assert track(video, tmp_path, mask, args=[*WRITE, *args]) == 0
    return Repeater.steps - before


@pytest.mark.parametrize("interrupted_run", [signal.SIGINT, signal.SIGTERM], indirect=True)
def test_interrupted_run_has_complete_files(interrupted_run, tmp_path):
    assert list(read_largest_ids(tmp_path)) == NAMES[:3]
    assert len(list(open_frames(interrupted_run / "overlay.mp4"))) == 3


@pytest.mark.parametrize("args", [[], ["--force"]])
def test_resumed_run_equals_an_undisturbed_one(interrupted_run, video, mask, tmp_path, capsys, args):
    assert count_steps(video, tmp_path, mask, *args) == 1
    assert "4 frames, 3 restored; the rest at " in capsys.readouterr().out
    assert track(video, tmp_path / "whole", mask, args=WRITE) == 0
    assert read_results(interrupted_run) == read_results(tmp_path / "whole" / "out")
    assert not (interrupted_run / STATE_FILE).exists()


def test_run_stopped_before_a_new_frame_keeps_all(interrupted_run, video, mask, tmp_path, monkeypatch, capsys):
    before, load = read_results(interrupted_run), Repeater.load_state_dict

    def load_and_stop(self, state):
        load(self, state)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "load_state_dict", load_and_stop)
        assert track(video, tmp_path, mask, args=WRITE) == 128 + signal.SIGINT
    assert "the results hold the first 3 frames; the same command resumes" in capsys.readouterr().err
    assert read_results(interrupted_run) == before
    assert count_steps(video, tmp_path, mask) == 1


def test_second_signal_skips_the_outputs(video, mask, tmp_path, monkeypatch):
    def stop(*_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(built_in_outputs.VideoFile, "write", stop)
    with suppress(KeyboardInterrupt):
        interrupt(monkeypatch, video, tmp_path, mask, args=WRITE)
    assert list(read_largest_ids(tmp_path)) == NAMES[:3]
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []
    assert not Results.read(tmp_path / "out").outputs
    monkeypatch.undo()


def test_resumed_run_counts_frames_and_cuts_of_both(video, mask, tmp_path, monkeypatch, capsys):
    step, args = Repeater.step, [*WRITE, "--start", "1"]

    def cut_on_second(self, frame, mask=None):
        return replace(step(self, frame, mask), cut=frame[0, 0, 2] == 42)

    monkeypatch.setattr(Repeater, "step", cut_on_second)
    interrupt(monkeypatch, video, tmp_path, mask, args=args)
    capsys.readouterr()
    assert track(video, tmp_path, mask, args=args) == 0
    out = capsys.readouterr().out
    assert "3 frames, 2 restored; " in out
    assert out.count("1 cut, before frame 2; remove objects there with --remove 2:ID") == 1


def test_soft_edges_and_their_output_resume(video, mask, tmp_path, monkeypatch):
    line = ["--write", "mattes"]
    interrupt(monkeypatch, video, tmp_path, mask, args=line)
    assert track(video, tmp_path, mask, args=line) == 0
    assert track(video, tmp_path / "whole", mask, args=line) == 0
    found, expected = (read_results(tmp_path / name) for name in ("out", "whole/out"))
    assert found == expected
    assert {"soft/00003.png", "mattes/1/00003.png"} <= found.keys()


def test_state_is_saved_after_the_masks_before_it(video, mask, tmp_path, monkeypatch):
    saved = []

    def save(store, state):
        paths = sorted((tmp_path / "out" / "masks").iterdir())
        lines = (tmp_path / "out" / "frames.jsonl").read_text().count("\n")
        saved.append((len(paths), lines, len(store.entries)))

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0)
    monkeypatch.setattr(loop, "save_state", save)
    assert track(video, tmp_path, mask) == 0
    assert saved == [(count, count, count) for count in (1, 2, 3, 4)]


def test_frames_after_the_saved_state_are_tracked_again(video, mask, tmp_path, monkeypatch, repeater):
    class Killed(BaseException):
        """End of a process without any cleanup."""

    save, append = loop.save_state, store.Results.append

    def save_once(store, state):
        if len(store.entries) == 1:
            save(store, state)

    def die(store, frame):
        append(store, frame)
        if frame.index == 2:
            raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(loop, "SAVE_SECONDS", 0)
        patch.setattr(loop, "save_state", save_once)
        patch.setattr(store.Results, "append", die)
        track(video, tmp_path, mask, args=WRITE)
    assert len(Results.read(tmp_path / "out").entries) == 3
    assert count_steps(video, tmp_path, mask) == 3
    assert len(Results.read(tmp_path / "out").entries) == 4


def test_state_ahead_of_the_masks_is_not_saved(video, mask, tmp_path, monkeypatch):
    append, step, predicted = store.Results.append, Repeater.step, []

    def fail_late(self, frame):
        if frame.index == 1:
            wait_until(lambda: len(predicted) == 4)  # the tracker is ahead of the writer
            raise InputError("disk full")
        append(self, frame)

    monkeypatch.setattr(Repeater, "step", lambda *args: predicted.append(step(*args)) or predicted[-1])
    with monkeypatch.context() as patch:
        patch.setattr(store.Results, "append", fail_late)
        assert track(video, tmp_path, mask) == 1
    assert not (tmp_path / "out" / STATE_FILE).exists()
    assert track(video, tmp_path, mask) == 0
    assert len(predicted) == 8
    assert set(read_largest_ids(tmp_path).values()) == {1}


def test_changed_inputs_start_over(interrupted_run, video, mask, tmp_path):
    assert count_steps(video, tmp_path, mask, "memory.every=3", "--force") == 4


def test_resumed_run_may_write_further_outputs(video, mask, tmp_path, monkeypatch):
    interrupt(monkeypatch, video, tmp_path, mask, args=["--write", "soft"])
    assert count_steps(video, tmp_path, mask) == 1
    assert len(list(open_frames(tmp_path / "out" / "overlay.mp4"))) == 4


def test_damaged_progress_starts_over(interrupted_run, video, mask, tmp_path, caplog, capsys):
    (interrupted_run / STATE_FILE).write_bytes(b"PK damaged")
    assert track(video, tmp_path, mask, args=[*WRITE, "--dry-run"]) == 0
    assert "status: to resume\n" in capsys.readouterr().out
    assert count_steps(video, tmp_path, mask) == 4
    assert "not readable" in caplog.text
    assert "tracking starts from the first frame" in caplog.text


@pytest.mark.parametrize("args", [[], ["--force"]])
def test_progress_without_one_of_its_masks_starts_over(interrupted_run, video, mask, tmp_path, caplog, args):
    (interrupted_run / "masks" / NAMES[1]).unlink()
    assert count_steps(video, tmp_path, mask, *args) == 4
    assert f"{NAMES[1]}: no such file; tracking starts from the first frame" in caplog.text
    assert list(read_largest_ids(tmp_path)) == NAMES


def test_damaged_mask_is_named_and_tracked_again_once_removed(interrupted_run, video, mask, tmp_path, capsys):
    path = interrupted_run / "masks" / NAMES[1]
    path.write_bytes(b"damaged")
    assert track(video, tmp_path, mask, args=WRITE) == 1
    assert f"{NAMES[1]}: not readable" in capsys.readouterr().err
    assert not Results.read(interrupted_run).outputs
    path.unlink()
    assert count_steps(video, tmp_path, mask, "--force") == 4


def test_forced_run_that_was_stopped_resumes(video, mask, tmp_path, monkeypatch):
    assert track(video, tmp_path, mask, args=[*WRITE, "--end", "2"]) == 0
    interrupt(monkeypatch, video, tmp_path, mask, args=[*WRITE, "--force"])
    assert count_steps(video, tmp_path, mask) == 1


def test_rate_excludes_reading_of_masks(interrupted_run, video, mask, tmp_path, monkeypatch):
    clock = SimpleNamespace(seconds=0.0)

    def read(path, **options):
        clock.seconds += 1
        return read_mask(path, **options)

    monkeypatch.setattr("aotlab.media.masks.read_mask", read)
    monkeypatch.setattr("aotlab_video.runs.loop.time", SimpleNamespace(monotonic=lambda: clock.seconds))
    assert track(video, tmp_path, mask, args=WRITE) == 0
    assert (clock.seconds, Results.read(tmp_path / "out").seconds) == (4, 0)
