"""Trackers of a small export and of its model."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from filelock import FileLock

from aotlab.engine.export.graphs import PROMPTING, build_prompt_graph
from runtime.tests.exports import RESTRICTED, export_pair


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Folder and trackers of an export, which all workers of pytest-xdist share.

    Its prompt graph runs in PyTorch, as its conversion takes the longest.
    """
    folder = tmp_path_factory.getbasetemp() / "exports" / "aott"
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parents[2] / "exports" / "aott"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / "lock"):
        runtime, pytorch_tracker = export_pair(
            folder, "aott", "model.prompt_blocks=1", *RESTRICTED, prompts=False
        )
    prompt, run = build_prompt_graph(pytorch_tracker.model), runtime.graphs.run

    def run_graph(name, tensors):
        if name != "prompt":
            return run(name, tensors)
        with torch.inference_mode():
            results = prompt(*(torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in prompt.inputs))
        return {key: result.numpy() for key, result in zip(prompt.outputs, results, strict=True)}

    runtime.graphs.run, runtime.graphs.prompting = run_graph, PROMPTING
    return folder, runtime, pytorch_tracker


@pytest.fixture(params=["aotlab_runtime", "aotlab"])
def tracker(request, exported):
    _, runtime, pytorch_tracker = exported
    return (runtime if request.param == "aotlab_runtime" else pytorch_tracker).fresh()
