"""The program that runs very long videos: its options, its files, and its exit status."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.configs.paths import BUNDLED_CHECKPOINT
from aotlab.masks.id_maps import write_mask
from benchmarks import endurance as tool
from benchmarks import long_run as endurance
from benchmarks.long_run import Course, Sample

WIDTH, HEIGHT = 60, 40


@pytest.fixture
def video(tmp_path: Path) -> Path:
    folder = tmp_path / "video"
    folder.mkdir()
    for index in range(5):
        Image.new("RGB", (WIDTH, HEIGHT), (50 * index, 90, 40)).save(folder / f"{index:05d}.png")
    return folder


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list:
    """The trials that would run, each of which gives its frames; `fate` of the list may end them."""

    class Trials(list):
        fate = None

    found = Trials()

    def run_in_process(trial, stop, tick):
        found.append(trial)
        for _ in range(trial.frames):
            tick()
        course = Course([Sample(0.01, 0.01, 10**8, 10**6, 3)] * trial.frames)
        return course if found.fate is None else found.fate(course)

    monkeypatch.setattr(endurance, "run_in_process", run_in_process)
    return found


def test_every_policy_has_a_trial_of_its_own_and_all_a_table(video, trials, tmp_path, capsys):
    files = ["--plot", str(tmp_path / "new" / "plot.png"), "--output", str(tmp_path / "out.json")]
    compare = ["--compare", "first_frame", "bounded_fifo,memory.frames=4,memory.every=1"]
    options = ["--frames", "9", "--clip-frames", "3", "--max-long-edge", "64", *compare]
    assert tool.main([str(video), *options, *files, "memory.every=7"]) == 0
    first, second = trials
    assert (first.frames, len(first.clip), first.clip[0].shape) == (9, 3, (HEIGHT, WIDTH, 3))
    common = ("memory.every=7", "input.max_long_edge=64")
    assert first.overrides == (*common, "memory.policy=first_frame")
    assert second.overrides == (*common, "memory.policy=bounded_fifo", "memory.frames=4", "memory.every=1")
    text = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == compare[1:]
    content = json.loads((tmp_path / "out.json").read_text())
    assert list(content["policies"]) == compare[1:]
    assert (content["model"], content["width"], content["height"]) == (BUNDLED_CHECKPOINT.stem, WIDTH, HEIGHT)
    with Image.open(tmp_path / "new" / "plot.png") as image:
        assert image.size == (1600, 560)


def test_frames_and_mask_come_in_the_size_asked_for(video, trials, tmp_path):
    masks = tmp_path / "masks"
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 10:40] = 3
    write_mask(masks / "00000.png", mask)
    write_mask(masks / "00001.png", mask * 0)
    assert tool.main([str(video), "--frames", "3", "--size", "30x20", "--masks", str(masks)]) == 0
    assert {frame.shape for frame in trials[0].clip} == {(20, 30, 3)}
    assert np.array_equal(trials[0].mask, mask[::2, ::2])


def test_without_a_mask_the_middle_of_the_frame_is_the_object(video, trials):
    assert tool.main([str(video), "--frames", "3"]) == 0
    rows, columns = np.nonzero(trials[0].mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 26, 20, 39)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--compare", "newest"], "--compare newest: no policy newest; expected one of first_frame"),
        (["--compare", "restricted,memory.frames=0"], "memory.frames must be at least 1"),
        (["--compare", "first_frame", "first_frame"], "stands there twice"),
        (["--masks", "EMPTY"], "holds no mask"),
        (["--masks", "none.png"], "none.png: no such file"),
        (["--checkpoint", "none.safetensors"], "none.safetensors: no such checkpoint"),
    ],
)
def test_wrong_options_are_one_sentence_before_anything_runs(
    video, trials, tmp_path, capsys, options, message
):
    (tmp_path / "empty").mkdir()
    options = [str(tmp_path / "empty") if option == "EMPTY" else option for option in options]
    assert tool.main([str(video), "--frames", "3", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert trials == []


@pytest.mark.parametrize(
    "options", [[], ["v", "--frames", "0"], ["v", "--size", "big"], ["v", "--stop-above", "8"]]
)
def test_options_that_cannot_be_read_end_with_status_2(options, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main(options)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_process_that_died_is_told_after_the_others_have_run(video, trials, capsys):
    trials.fate = lambda course: Course(
        course.samples[:1], "died after 1 frames (exit status -9)", len(trials) == 1
    )
    assert tool.main([str(video), "--frames", "3", "--compare", "first_frame", "every_nth"]) == 1
    assert len(trials) == 2
    assert "first_frame: died after 1 frames" in capsys.readouterr().out


def test_a_limit_that_is_reached_is_no_failure(video, trials, capsys):
    trials.fate = lambda course: Course(
        course.samples[:2], "stopped at frame 1: resident memory above 8.00 GB"
    )
    assert tool.main([str(video), "--frames", "3", "--compare", "every_nth", "--stop-above", "8GB"]) == 0
    assert trials[0].stop_above == 8 * 10**9
    assert "every_nth: stopped at frame 1" in capsys.readouterr().out


def test_ctrl_c_ends_the_run_and_keeps_what_was_measured(video, trials, tmp_path, capsys):
    def interrupted(course):
        signal.raise_signal(signal.SIGINT)
        return Course(course.samples[:2], "interrupted after 2 frames")

    trials.fate = interrupted
    output = tmp_path / "out.json"
    assert tool.main([str(video), "--frames", "3", "--output", str(output)]) == 130
    assert len(trials) == 1
    assert json.loads(output.read_text())["policies"]["first_frame"]["seconds"] == [0.01, 0.01]
    assert "interrupted: the results hold what was measured" in capsys.readouterr().err


def test_settings_can_be_shown_without_a_video(capsys):
    assert tool.main(["--print-config", "memory.every=3"]) == 0
    assert "every: 3" in capsys.readouterr().out


@pytest.mark.slow
def test_real_policies_run_from_end_to_end(video, tmp_path, capsys):
    output = tmp_path / "out.json"
    options = [
        "--frames",
        "24",
        "--compare",
        "bounded_fifo,memory.frames=2",
        "every_nth",
        "--output",
        str(output),
    ]
    assert tool.main([str(video), *options, "--plot", str(tmp_path / "plot.png"), "memory.every=1"]) == 0
    policies = json.loads(output.read_text())["policies"]
    assert policies["bounded_fifo,memory.frames=2"]["kept"] == [1, *[2] * 23]
    assert policies["every_nth"]["kept"] == list(range(1, 25))
