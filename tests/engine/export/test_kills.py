"""Export that is killed at several places: nothing is left behind."""

import onnx
import pytest
import torch

import aotlab_runtime
from aotlab.engine.export import graphs
from tests.engine.small_model import HEIGHT, WIDTH, build, register_encoder
from tests.processes import die_before, ends_in_process

pytestmark = pytest.mark.slow


def export_small(folder):
    register_encoder(pytest.MonkeyPatch())
    torch.set_num_threads(1)
    model, config = build("aott", "memory.policy=bounded_fifo", "memory.frames=2")
    graphs.export_model(model, config, folder, video=(HEIGHT, WIDTH))


def export_until(place, folder):
    """Export empty graphs; die before a function is called."""
    graphs._convert_to_onnx = lambda graph: onnx.ModelProto()
    die_before(place)
    export_small(folder)


def test_killed_export_leaves_nothing(tmp_path):
    folder = tmp_path / "export"
    for place in ("aotlab.engine.export.graphs.sha256", "os.replace"):
        assert not ends_in_process(export_until, place, folder)
        assert not folder.exists()
        assert [path for path in tmp_path.iterdir() if ".part" in path.name]
    assert ends_in_process(export_small, folder)
    aotlab_runtime.Tracker.from_export(folder)
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]
