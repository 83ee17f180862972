"""Export that is killed at random moments: nothing is left behind."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import pytest
import torch

import aotlab_runtime
from aotlab.engine.export.graphs import export_model
from tests.engine.small_model import HEIGHT, WIDTH, build

pytestmark = pytest.mark.slow
LONGEST = 600
"""seconds after which a process that is not killed must have ended"""


def export_small(folder):
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


def test_killed_export_leaves_nothing(tmp_path):
    folder, draws = tmp_path / "export", random.Random(1)
    for _ in range(3):
        if not ends(export_small, folder, kill_after=draws.uniform(0.5, 3.0)):
            assert not folder.exists()
        elif folder.exists():
            break
    if not folder.exists():
        assert ends(export_small, folder)
    aotlab_runtime.Tracker.from_export(folder)
    assert leftovers(tmp_path) == []
