"""Trackers of a small export and of its model."""

import os
from functools import cache

import pytest
from filelock import FileLock


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Folder and trackers of an export, which all workers of pytest-xdist share."""
    from torch.onnx._internal.exporter._registration import onnxscript_apis  # takes 3 s

    import aotlab_runtime
    from runtime.tests.exports import RESTRICTED, GraphsWithPrompts, export_pair  # imports PyTorch

    folder = tmp_path_factory.getbasetemp() / "exports" / "aott"
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parents[2] / "exports" / "aott"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / "lock"), pytest.MonkeyPatch.context() as patch:
        # the exporter parses the operators of onnxscript for each graph
        patch.setattr(onnxscript_apis, "get_torchlib_ops", cache(onnxscript_apis.get_torchlib_ops))
        _, pytorch_tracker = export_pair(folder, "aott", "model.prompt_blocks=1", *RESTRICTED, prompts=False)
    runtime = aotlab_runtime.Tracker(GraphsWithPrompts(folder, pytorch_tracker.model))
    return folder, runtime, pytorch_tracker


@pytest.fixture(params=["aotlab_runtime", "aotlab"])
def tracker(request, exported):
    _, runtime, pytorch_tracker = exported
    return (runtime if request.param == "aotlab_runtime" else pytorch_tracker).fresh()
