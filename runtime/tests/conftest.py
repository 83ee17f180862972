"""Trackers of a small export and of its model."""

import os
from functools import cache

import numpy as np
import pytest
import torch
from filelock import FileLock

import aotlab_runtime
from aotlab.engine.export.graphs import PROMPTING, build_prompt_graph
from aotlab_runtime.graphs import Graphs
from runtime.tests.exports import RESTRICTED, export_pair


class GraphsWithPrompts(Graphs):
    """Graphs of an export without prompts; those of any size run in PyTorch, as converting them takes long."""

    def __init__(self, folder, model):
        super().__init__(folder, threads=1)
        self.prompting = PROMPTING
        self._prompt = build_prompt_graph(model)

    def run(self, name, tensors):
        if name != "prompt":
            return super().run(name, tensors)
        with torch.inference_mode():
            inputs = (torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in self._prompt.inputs)
            results = self._prompt(*inputs)
        return {key: result.numpy() for key, result in zip(self._prompt.outputs, results, strict=True)}


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Folder and trackers of an export, which all workers of pytest-xdist share."""
    from torch.onnx._internal.exporter._registration import onnxscript_apis  # takes 3 s

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
