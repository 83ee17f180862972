"""Export that is killed at random moments: nothing is left behind."""

import random
from pathlib import Path

import pytest
import torch

import aotlab_runtime
from aotlab.engine.export.graphs import export_model
from tests.engine.small_model import HEIGHT, WIDTH, build
from tests.limits import ends_in_process

pytestmark = pytest.mark.slow


def export_small(folder):
    torch.set_num_threads(1)
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=2")
    export_model(model, config, folder, video=(HEIGHT, WIDTH))


def leftovers(folder):
    return [path.name for path in Path(folder).rglob("*") if ".part" in path.name]


def test_killed_export_leaves_nothing(tmp_path):
    folder, draws = tmp_path / "export", random.Random(1)
    for _ in range(3):
        if not ends_in_process(export_small, folder, kill_after=draws.uniform(0.5, 3.0)):
            assert not folder.exists()
        elif folder.exists():
            break
    if not folder.exists():
        assert ends_in_process(export_small, folder)
    aotlab_runtime.Tracker.from_export(folder)
    assert leftovers(tmp_path) == []
