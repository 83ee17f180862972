"""A disk that is full at any file of a run: one sentence, nothing lost, and the run goes on when there is room."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import pytest

from aotlab.engine.training import phase_loop
from aotlab.engine.training.phase_state import saved_states
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.errors import InputError, RunStopped
from tests.engine.training.tiny_recipes import log_lines, phase, run
from tests.limits import files_up_to

MEGABYTE = 10**6
"""less than a state or weights take, more than logs and images"""


def parts_in(output):
    return [path.name for path in Path(output).rglob("*") if ".part" in path.name]


@pytest.fixture
def fills_up(monkeypatch):
    """Lets the disk be full from the step of a number on, until the returned stack is closed."""
    with ExitStack() as stack:

        def after(step, size=MEGABYTE):
            original, count = phase_loop.train_step, iter(range(step - 1))

            def train_step(*args):
                if next(count, None) is None and len(full) == 0:
                    full.append(stack.enter_context(files_up_to(size)))
                return original(*args)

            full: list = []
            monkeypatch.setattr(phase_loop, "train_step", train_step)
            return stack

        yield after


def test_the_newest_state_is_named_and_gone_on_from(recipe, fills_up):
    config = recipe("run", phase(steps=4), overrides=["train.save_every=1", "train.keep=9"])
    disk = fills_up(3)
    with pytest.raises(RunStopped, match=r"File too large.*resumes from .*0_video_000002\.pt"):
        run(config)
    assert [path.name for path in saved_states(Path(config.train.output))] == [
        "0_video_000002.pt", "0_video_000001.pt",
    ]  # fmt: skip
    assert parts_in(config.train.output) == []
    disk.close()
    run(config)
    assert [line["step"] for line in log_lines(config)] == [1, 2, 3, 4]


@pytest.mark.parametrize(("function", "error", "reason"), [
    ("train_step", InputError("clip: gone"), "clip: gone"),
    ("train_step", MemoryError("out of memory"), "raise train.accumulate"),
    ("validate", InputError("clip: gone"), "clip: gone"),
])  # fmt: skip
def test_what_breaks_in_the_middle_is_named_and_the_state_saved(recipe, monkeypatch, function, error, reason):
    config = recipe("run", phase(steps=3), overrides=["train.save_every=9", "train.validate_every=2",
                    "data.validation=[{path: drawn}]"])  # fmt: skip
    original, calls = getattr(phase_loop, function), []

    def fails(*args):
        calls.append(1)
        if function == "validate" or len(calls) == 3:
            raise error
        return original(*args)

    monkeypatch.setattr(phase_loop, function, fails)
    with pytest.raises(RunStopped, match=f"{reason}.*; the state after step 2 of video is saved in"):
        run(config)


def test_a_run_without_a_state_says_so(recipe, fills_up):
    config = recipe("run", phase(steps=2), overrides=["train.save_every=1"])
    fills_up(1)
    with pytest.raises(
        RunStopped, match=r"File too large.*resumes from the beginning, as no state was saved"
    ):
        run(config)
    assert parts_in(config.train.output) == []


def test_weights_that_cannot_be_written_end_the_run_with_its_state_saved(recipe, monkeypatch):
    config = recipe("run", phase(steps=1))
    with ExitStack() as disk:

        def save(path, *args, **options):
            disk.enter_context(files_up_to(MEGABYTE))
            save_checkpoint(path, *args, **options)

        monkeypatch.setattr(phase_loop, "save_checkpoint", save)
        with pytest.raises(RunStopped, match=r"video\.safetensors: cannot be written \(File too large\)"):
            run(config)
    assert len(saved_states(Path(config.train.output))) == 1
    assert parts_in(config.train.output) == []
    monkeypatch.undo()
    assert run(config).checkpoint.is_file()


def test_no_room_for_log_tensorboard_and_images_ends_no_training(recipe, fills_up, caplog, capfd):
    config = recipe("run", phase(steps=3), overrides=["train.image_every=1", "train.save_every=9"])
    disk = fills_up(1, size=600)
    with caplog.at_level(logging.WARNING), pytest.raises(RunStopped, match="File too large"):
        run(config)
    disk.close()
    assert "a line is missing" in caplog.text
    assert "tensorboard: no more is written" in caplog.text
    assert "Traceback" not in capfd.readouterr().err
    assert run(config).checkpoint.is_file()
