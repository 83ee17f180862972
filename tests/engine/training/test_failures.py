"""Failed training runs: non-finite numbers, full disks, broken data and kills; each can be resumed."""

import json
import logging
from contextlib import ExitStack
from multiprocessing import active_children
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file

from aotlab.engine.training import printer, trainer, validation
from aotlab.engine.training.saved_states import describe_failure
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.errors import InputError, RunStopped
from aotlab_testing.limits import limit_file_size
from aotlab_testing.processes import kill_at_call, survives_in_subprocess
from aotlab_testing.small_model import assert_same_weights, register_tiny_encoder
from tests.engine.training.tiny_recipes import before_step, list_states, log_lines, phase, run_recipe, tiny_recipe

EVERY = ["train.save_every=1", "train.keep=2"]
FULL_DISK_SIZE = 10**5
"""Bytes of a file: less than a state or weights take, more than the log."""


def list_leftovers(config):
    return [path.name for path in Path(config.train.output).rglob("*") if ".part" in path.name]


def assert_finite(tensors):
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.fixture
def corrupt(monkeypatch):
    """Make the gradient or the loss of some steps (counted from 1) non-finite."""

    def corrupt_steps(*steps, part="gradient"):
        original, count = trainer.ClipModule.forward, iter(range(1, 1000))

        def forward(self, *args):
            value, losses = original(self, *args)
            if next(count) in steps:
                zero = (0 * next(self.model.decoder.parameters()).sum()).sqrt()  # its slope is infinite
                value = value * float("nan") if part == "loss" else value + zero
            return value, losses

        monkeypatch.setattr(trainer.ClipModule, "forward", forward)

    return corrupt_steps


def test_workers_end_while_the_error_of_a_step_is_kept(recipe, monkeypatch):
    before = {*active_children()}
    before_step(monkeypatch, 2, Mock(side_effect=ValueError("my block")))
    with pytest.raises(ValueError, match="my block") as caught:
        run_recipe(recipe("run", phase(), overrides=["data.workers=1"]))
    assert {*active_children()} <= before, caught  # its traceback holds the frames of the run


@pytest.fixture(scope="module")
def uninterrupted_weights(tmp_path_factory, data):
    """Weights of a run of four steps that nothing stops."""
    config = tiny_recipe(tmp_path_factory.mktemp("whole"), data, "run", phase(steps=4))
    return load_file(run_recipe(config).checkpoint)


@pytest.mark.parametrize("part", ["gradient", "loss"])
def test_non_finite_step_stops_with_the_state_before_it(recipe, corrupt, uninterrupted_weights, part):
    config = recipe("run", phase(steps=4), overrides=EVERY)
    corrupt(3, part=part)  # the third of both runs
    message = rf"the {part} of step 3 is not finite on clips of (one|two).*max_nonfinite_steps.*same command resumes"
    with pytest.raises(RunStopped, match=message):
        run_recipe(config)
    saved = torch.load(list_states(config)[0], weights_only=True)
    assert saved["step"] == 2
    assert_finite(saved["model"])
    assert_same_weights(load_file(run_recipe(config).checkpoint), uninterrupted_weights)
    assert len(list_states(config)) == 2  # train.keep


def test_non_finite_steps_are_skipped_on_request(recipe, corrupt, caplog, monkeypatch):
    config = recipe("run", phase(steps=4), overrides=["train.max_nonfinite_steps=1"])
    corrupt(2, 4)
    bars, original = [], printer.progress_bar
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        printer, "progress_bar", lambda *args, **options: bars.append(original(*args, **options)) or bars[-1]
    )
    with caplog.at_level(logging.WARNING):
        assert_finite(load_file(run_recipe(config).checkpoint))
    assert [line["step"] for line in log_lines(config)] == [1, 3]
    with open(f"{config.train.output}/log.jsonl") as file:
        events = [(line["event"], line["step"]) for line in map(json.loads, file) if "event" in line]
    assert events == [("skipped", 2), ("skipped", 4)]
    assert caplog.text.count("skipped") == 2
    assert [bar.n for bar in bars] == [4]


def test_stopped_run_resumes_past_the_bad_clip(recipe, corrupt):
    config = recipe("run", phase(steps=3))
    corrupt(2, 3)  # the second time it is the first step of the resumed run
    with pytest.raises(RunStopped, match="step 2"):
        run_recipe(config)
    assert run_recipe(recipe("run", phase(steps=3), overrides=["train.max_nonfinite_steps=1"])).checkpoint.is_file()
    assert [line["step"] for line in log_lines(config)] == [1, 3]


def test_float16_overflow_lowers_the_scale(recipe, corrupt):
    config = recipe("run", phase(steps=2), overrides=["train.precision=float16"])
    corrupt(1)
    assert_finite(load_file(run_recipe(config).checkpoint))
    assert [line["step"] for line in log_lines(config)] == [1, 2]
    assert torch.load(list_states(config)[0], weights_only=True)["scaler"]["scale"] < 65536


@pytest.fixture
def fill_disk(monkeypatch):
    """Let the disk be full from the step of a number on, until the returned stack is closed."""
    with ExitStack() as stack:

        def fill_after(step, size=FULL_DISK_SIZE):
            before_step(monkeypatch, step, lambda: stack.enter_context(limit_file_size(size)))
            return stack

        yield fill_after


@pytest.mark.parametrize(
    ("step", "remedy"), [(3, r"the same command resumes from .*0_video_000002\.pt"), (1, "--restart starts over")]
)
def test_full_disk_stops_and_names_the_newest_state(recipe, fill_disk, step, remedy):
    config = recipe("run", phase(steps=4), overrides=["train.save_every=1", "train.keep=9"])
    disk = fill_disk(step)
    with pytest.raises(RunStopped, match=f"File too large.*{remedy}"):
        run_recipe(config)
    assert len(list_states(config)) == step - 1
    assert list_leftovers(config) == []
    disk.close()
    run_recipe(config, restart=step == 1)
    assert [line["step"] for line in log_lines(config)] == [1, 2, 3, 4]


def test_unwritable_weights_stop_with_the_state_saved(recipe, monkeypatch):
    config = recipe("run", phase(steps=1))

    def save(*args, **options):
        with limit_file_size(FULL_DISK_SIZE):
            save_checkpoint(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(validation, "save_checkpoint", save)
        with pytest.raises(RunStopped, match=r"video\.safetensors: cannot be written \(File too large\).* is saved"):
            run_recipe(config)
    assert len(list_states(config)) == 1
    assert list_leftovers(config) == []
    assert run_recipe(config).checkpoint.is_file()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's thread
def test_unwritable_logs_do_not_stop_training(recipe, fill_disk, monkeypatch):
    settings, reached = ["train.image_every=1", "train.save_every=9"], []
    config = recipe("run", phase(steps=3), overrides=settings)
    disk = fill_disk(1, size=600)
    before_step(monkeypatch, 3, lambda: reached.append(3))
    with pytest.raises(RunStopped, match=r"File too large.*--restart"):  # by the state after the last step
        run_recipe(config)
    assert reached
    disk.close()
    assert run_recipe(config, restart=True).checkpoint.is_file()


@pytest.mark.parametrize(("function", "error", "reason"), [
    ("train_step", InputError("clip: gone"), "clip: gone"),
    ("train_step", MemoryError("out of memory"), "raise train.accumulate"),
    ("validate", InputError("clip: gone"), "clip: gone"),
])  # fmt: skip
def test_failure_in_mid_phase_saves_the_state(recipe, monkeypatch, function, error, reason):
    settings = ["train.save_every=9", "train.validate_every=2", "data.validation=[{path: held}]"]
    config = recipe("run", phase(steps=3), overrides=settings)
    if function == "validate":
        monkeypatch.setattr(validation, "validate", Mock(side_effect=error))
    else:
        before_step(monkeypatch, 3, Mock(side_effect=error))
    with pytest.raises(RunStopped, match=f"{reason}.*; the state after step 2 of video is saved in"):
        run_recipe(config)


def test_only_bad_input_before_the_first_step_is_not_a_stop(state):
    assert describe_failure(RunStopped("y"), state) == "y"
    reasons = []
    for index, step in ((0, 0), (0, 1), (1, 0)):
        state.index, state.step = index, step
        reasons.append(describe_failure(InputError("x"), state))
    assert reasons == [None, "x", "x"]


def run_in_process(config, last_file=0):
    """Run; die before the file of this number is complete."""
    torch.set_num_threads(1)
    register_tiny_encoder()
    kill_at_call("os.replace", last_file)
    run_recipe(config)


@pytest.mark.slow
def test_repeatedly_killed_run_ends_with_the_same_weights(tmp_path, data):
    phases = phase("first", steps=3), phase("second", steps=3)
    uninterrupted, config = (
        tiny_recipe(tmp_path, data, name, *phases, overrides=EVERY) for name in ("whole", "killed")
    )
    # like the killed ones: sums depend on the threads
    assert survives_in_subprocess(run_in_process, uninterrupted)
    for last_file in (1, 2, 5, 4, 3, 2):  # logs, states and weights
        before = list_states(config)
        assert not survives_in_subprocess(run_in_process, config, last_file)
        assert not before or list_states(config), "a kill lost all states"
        for state in list_states(config):
            torch.load(state, weights_only=True)
    assert survives_in_subprocess(run_in_process, config)
    whole, killed = (load_file(f"{run.train.output}/second.safetensors") for run in (uninterrupted, config))
    assert_same_weights(killed, whole)
    assert list_leftovers(config) == []
