"""Training and export that are killed at random moments: nothing is lost, nothing is left behind."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aotlab.engine.export.graphs import export_model
from aotlab.engine.export.runtime import read_description
from aotlab.engine.training.phase_state import saved_states
from tests.engine.small_model import HEIGHT, WIDTH, build
from tests.engine.training.tiny_recipes import phase, run, tiny_recipe

pytestmark = pytest.mark.slow
LONGEST = 600
"""seconds after which a process that is not killed must have ended"""


def train_again(config):
    torch.set_num_threads(1)
    run(config)


def export_again(folder):
    torch.set_num_threads(1)
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=2")
    export_model(model, config, folder, video=(HEIGHT, WIDTH))


def ends(work, *args, kill_after=None):
    """Run ``work`` in a process of its own, killed after some seconds; whether it came to its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=args)
    process.start()
    process.join(LONGEST if kill_after is None else kill_after)
    if process.exitcode is None:
        process.kill()
        process.join()
        return False
    assert process.exitcode == 0
    return True


def leftovers(folder):
    return [path.name for path in Path(folder).rglob("*") if ".part" in path.name]


def test_training_killed_again_and_again_ends_with_the_weights_of_a_run_that_never_was(tmp_path, data):
    phases = phase("first", steps=3), phase("second", steps=3)
    settings = ["train.save_every=1", "train.keep=2"]
    for name in ("first", "whole"):  # in processes like the killed ones: sums depend on the threads
        uninterrupted = tiny_recipe(tmp_path, data, name, *phases, overrides=settings)
        begin = time.perf_counter()
        assert ends(train_again, uninterrupted)
        seconds = time.perf_counter() - begin
    whole = load_file(Path(uninterrupted.train.output) / "second.safetensors")
    config = tiny_recipe(tmp_path, data, "killed", *phases, overrides=settings)
    output, draws, kills = Path(config.train.output), random.Random(0), 0
    for _ in range(12):
        before = saved_states(output)
        if ends(train_again, config, kill_after=draws.uniform(0.1, 0.9) * seconds):
            break
        kills += 1
        states = saved_states(output)
        assert not before or states, "a kill lost all states"
        for state in states:
            torch.load(state, weights_only=True)
    assert kills
    assert ends(train_again, config)
    killed = load_file(output / "second.safetensors")
    assert [key for key, tensor in whole.items() if not torch.equal(tensor, killed[key])] == []
    assert leftovers(output) == []


def test_an_export_that_is_killed_is_not_there_and_the_next_one_is_whole(tmp_path):
    folder, draws = tmp_path / "export", random.Random(1)
    for _ in range(3):
        if not ends(export_again, folder, kill_after=draws.uniform(0.5, 3.0)):
            assert not folder.exists()
        elif folder.exists():
            break
    if not folder.exists():
        assert ends(export_again, folder)
    assert read_description(folder).graphs
    assert leftovers(tmp_path) == []
